/* server - threads that answer the requests which the gate has whole. */
#ifndef ACTORS_INGRESS_SERVER_H
#define ACTORS_INGRESS_SERVER_H

#include "actors/ingress/answer.h"
#include "actors/ingress/gate.h"

struct server;

struct server_settings {
    struct gate_settings gate; /* without `take` and `context` */
    unsigned threads;
    /* Answers one request, on a thread of the server. Returns the route's name for the metrics
     * (static). */
    const char *(*serve)(void *context, struct request *r, struct answer *a);
    void *context;
};

/* Listens and starts its threads. NULL with a sentence in ret_why where it can't. */
struct server *server_start(const struct server_settings *settings, struct buf *ret_why);
/* To be called by a thread of the server when it begins to wait for something, and when it has it:
 * others may work meanwhile. Only so many take up requests as the machine can run; else a crowd of
 * them would keep the processes that they wait for from running. */
void server_wait(bool begins);
/* Takes no more, answers what it has, and waits for all threads. Accepts NULL. */
void server_stop(struct server **s_p);

#endif
