/* actor_private - the inside of an actor, shared by actor.c (life), connection.c (the socket),
 * mailbox.c (units) and call.c (questions). */
#ifndef PROTO_RUNTIME_ACTOR_PRIVATE_H
#define PROTO_RUNTIME_ACTOR_PRIVATE_H

#include "proto/lifeline.h"
#include "proto/runtime/actor.h"

#define HASH_KEYCMP(a, b, n) memcmp(a, b, n)
#include <uthash.h>
#include <zmq.h>

#define ROUTE_SIZE 16
#define DEFAULT_SLOTS 256

/* A unit with what the runtime keeps about it. `unit` stands first: a struct unit * is one of
 * these. */
struct held {
    struct unit unit;
    bool in_hand; /* given to the handler, not settled */
    char service[PROTO_MAX_SERVICE + 1];
    uint8_t route[PROTO_MAX_ROUTE];
    char *bytes;               /* CALL: what `question` points into */
    msgpack_unpacked question; /* CALL: the memory behind unit.body */
    struct held *prev, *next;  /* in its mailbox */
    UT_hash_handle hh;         /* WORK only, by id */
};

struct mailbox {
    struct held *first, *last;
    size_t n;
};

struct question {
    struct id id;
    call_fn *fn;
    void *arg;
    struct loop_timer *timer;
    struct actor *self;
    UT_hash_handle hh;
};

struct actor {
    const struct actor_spec *spec;
    struct option *options; /* the spec's and the runtime's */
    struct loop *loop;
    void *zmq;
    void *socket;
    void *monitor;         /* tells when a connection stands, and when not */
    struct buf endpoint;   /* where the router is */
    const char *apart;     /* why there is no connection to a router behind tcp; NULL: there is */
    int64_t complained_ms; /* when that was last said */
    struct loop_timer *again; /* connects anew */
    uint8_t route[ROUTE_SIZE];
    struct lifeline lifeline;
    bool remote;         /* the router is reached by tcp: on another machine, perhaps */
    uint32_t generation; /* of the router; 0 = not heard yet */
    uint32_t greeting;   /* the number in its last READY, and the units that came since */
    int holds;
    bool announced; /* READY was said to this generation of the router */
    bool lined;     /* READY was said on the lifeline */
    bool draining;
    bool beat; /* the next half second brings a heartbeat */
    int exit_code;
    struct mailbox work, call;
    struct held *by_id;
    size_t in_hand;
    size_t held;      /* in mailboxes and in hand */
    uint32_t freed;   /* slots to give back as CREDIT at the end of the turn */
    uint64_t settled; /* units; of the edge, deliveries; of who only asks, answers */
    uint64_t refused; /* messages that could not be read */
    struct question *questions;
    uint64_t question_n;
    struct buf scratch;
    int signal_fd;
    void *context;
};

/* --- connection.c --- */
/* False if the settings don't allow to connect; says why on stderr. */
bool connection_allowed(struct actor *self);
/* Connects; from then on `on_message` is called when there is something to receive. 0 or an exit
 * code. */
int connection_open(struct actor *self, loop_watch_fn *on_message);
void connection_close(struct actor *self); /* also if it was never opened */

/* --- mailbox.c --- */
/* Takes a WORK or CALL in. */
void mailbox_receive(struct actor *self, const struct head *h, struct str body);
/* Hands out what is queued, as far as the spec allows; then gives back credit. */
void mailbox_turn(struct actor *self);
void mailbox_fini(struct actor *self);
/* One message to the router. `h->service` and `h->route` are borrowed. */
void mailbox_send(struct actor *self, const struct head *h, struct str body);
/* The {code, why} of a RETRY or FAIL. */
void error_pack(int err, const char *why, struct buf *out);
/* Reads one; `why` is borrowed from `u`, which the caller destroys. */
int error_unpack(struct str body, msgpack_unpacked *u, struct str *ret_why);

/* --- call.c --- */
/* True if the message answers a question of ours. */
bool question_answer(struct actor *self, const struct head *h, struct str body);
/* Answers all that are open with `err`. */
void question_fail_all(struct actor *self, int err);

#endif
