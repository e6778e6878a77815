/* router - the inside of the router: router.c (the process), bind.c (where it listens), door.c
 * (who may come in), route.c (what becomes of a message). */
#ifndef ROUTER_ROUTER_H
#define ROUTER_ROUTER_H

#include "actors/router/allow.h"
#include "actors/router/credit.h"
#include "actors/router/door.h"
#include "proto/envelope.h"
#include "proto/err.h"
#include "proto/head.h"
#include "proto/lifeline.h"
#include "proto/runtime/log.h"
#include "proto/runtime/loop.h"
#include "proto/runtime/option.h"

#include <zmq.h>

/* What is counted; names in route.c. Asked by CALL to the service `router`. */
enum counter {
    COUNT_ROUTED,      /* messages handed on */
    COUNT_SETTLED,     /* of these, the ends of units (DONE) */
    COUNT_BUSY,        /* refused for want of credit */
    COUNT_LOST,        /* units in the hands of workers that died */
    COUNT_DEATHS,      /* workers that died */
    COUNT_MALFORMED,   /* heads that could not be read */
    COUNT_VERSION,     /* heads of another version */
    COUNT_TYPE,        /* types that are not known */
    COUNT_TOO_BIG,     /* bodies over PROTO_MAX_MESSAGE */
    COUNT_UNREACHABLE, /* addressees that are gone */
    COUNT_REFUSED,     /* connections by tcp that the door refused */
    COUNT_SIZE,
};

struct router {
    struct loop *loop;
    void *zmq;
    void *socket;
    struct credit *credit;
    struct door *door; /* NULL: no tcp */
    struct lifeline lifeline;
    uint32_t generation; /* random per start, never 0 */
    uint64_t counters[COUNT_SIZE];
    int64_t ticked_ms; /* when we last looked for silence */
    struct buf scratch;
    int signal_fd;
    int lock_fd;
};

/* What the router keeps about a worker's process; in worker_data(). */
struct watch {
    struct router *router;
    struct worker *worker;
    int pidfd; /* -1: on another machine, or in another PID namespace */
    struct loop_watch *death;
    struct loop_timer *last_words; /* it is dead: what it said before may still be on its way */
    int64_t dying_ms;
    bool disconnected;
    int64_t heard_ms;
};

/* [sender's routing id][head][body] as they came. */
struct message {
    zmq_msg_t from, head, body;
    int frames;
};

extern const struct option router_options[];
/* False if endpoints and keys don't go together; says why on stderr. */
bool router_allowed(void);
/* Opens the socket and binds it. 0, or an exit code after saying why. */
int router_bind(struct router *self);

/* Decides what becomes of a message and does it. */
void router_route(struct router *self, struct message *m);
/* The worker died: who waits for what it held hears LOST. */
void router_lost(struct router *self, struct worker *w);
/* Ends the watch on a worker (arg: the router) without telling anyone. */
void router_forget(void *arg, struct worker *w);
void router_close(struct router *self);

#endif
