/* gate - where HTTP comes in: one thread that holds all connections, so that a client costs a
 * thread only while we are at work for it.
 *
 * A request is handed over when it is whole, head and body, and not before; its answer is given
 * back and written as fast as the client reads it. Whoever is slow, silent or endless waits here,
 * within bounds: of time (crowd_limit()), of connections (all, and of one address) and of memory
 * (GATE_BYTES). What can't be a request is refused here. An address that asks far more than it may
 * is told so a second late, one request of a connection at a time, and further connections of it
 * are reset: what it costs us doesn't grow with what it sends.
 */
#ifndef ACTORS_INGRESS_GATE_H
#define ACTORS_INGRESS_GATE_H

#include "actors/ingress/answer.h"
#include "actors/ingress/meter.h"
#include "actors/ingress/rate.h"
#include "actors/ingress/request.h"

#include <stdint.h>

#define GATE_BYTES (64 * 1024 * 1024) /* of what came and is not answered yet, and of answers */
#define GATE_FILES 128                /* descriptors that are left to the rest of the process */

struct gate;

/* A request that is whole. */
struct job {
    struct request request;
    int64_t start_us; /* when its head was whole */
    struct buf out;   /* the answer's bytes, to be filled before gate_answer() */
    bool keep;        /* the connection may go on after it; set to what the client wants */
    struct job *next; /* free for whoever has it */
    /* private */
    struct conn *conn;
    struct buf head;
    bool sound; /* the head could be read */
    struct heading heading;
};

struct gate_settings {
    const char *bind; /* an IPv4 address */
    int port;
    unsigned proxies;     /* trusted ones: then no limit goes by the address of a connection */
    unsigned connections; /* at the same time; fewer where the system allows fewer descriptors */
    unsigned per_address; /* of these from one address; 0: no limit */
    struct rate *flood;   /* requests of any kind that an address may make */
    struct meter *meter;
    /* Gate's thread: takes a request over until gate_answer(). */
    void (*take)(void *context, struct job *job);
    /* Writes a refusal as the client prefers it. Gate's thread. */
    void (*refuse)(const struct request *r, struct answer *a, int status, const char *detail);
    void *context;
};

/* Listens and starts the thread. NULL with a sentence in ret_why where it can't. */
struct gate *gate_open(const struct gate_settings *settings, struct buf *ret_why);
/* Gives a request back, with its answer. Any thread. */
void gate_answer(struct gate *g, struct job *job);
/* Takes no more, waits for the jobs that are out and for their answers to be read, for at most 2 s
 * if the clients are slow, and ends the thread. Accepts NULL. */
void gate_close(struct gate **g_p);

#endif
