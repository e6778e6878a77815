/* edge - the inside of the edge, shared by edge.c (the story), conversation.c (order), delivery.c
 * (a unit's life), append.c (questions). Private to actors/edge. */
#ifndef EDGE_EDGE_H
#define EDGE_EDGE_H

#include "actors/edge/log.h"
#include "actors/edge/window.h"
#include "proto/buf.h"
#include "proto/envelope.h"
#include "proto/runtime/actor.h"

#include <uthash.h>

#define EDGE_ATTEMPTS 5
#define EDGE_SUSPECT_FROM 3 /* this attempt on, if its worker died with it */
#define EDGE_IN_FLIGHT_MIN 32
#define EDGE_IN_FLIGHT_START 256
#define EDGE_IN_FLIGHT_MAX 1024
#define EDGE_HELD_BYTES (32 * 1024 * 1024) /* of records: no more are read above it */
#define EDGE_FIRST_SERVICE "identity"

/* A record of the log that is not settled. */
struct record {
    struct record *next; /* in its conversation or its delivery */
    uint64_t number;     /* in the window of its partition */
    int64_t offset;
    struct id id;
    struct id unit; /* as in struct rlog_record */
    int unit_at;
    int unit_size;
    bool recovered;
    int64_t received_us;
    int err;         /* it can't be a message: the reason of its dead letter */
    const char *why; /* static */
    struct str body;
    struct str trace;
    char bytes[]; /* of both */
};

enum delivery_state {
    DELIVERY_COMPOSING, /* its composition is not durable yet */
    DELIVERY_READY,     /* waits for a place in flight */
    DELIVERY_IN_FLIGHT, /* the stages have it; the timer is its deadline */
    DELIVERY_WAITING,   /* it failed; the timer says when it goes again */
    DELIVERY_DYING,     /* its dead letter is being stored */
};

/* A unit on its way: one record, or several of one burst. */
struct delivery {
    UT_hash_handle hh; /* edge.deliveries, by id */
    struct id id;
    struct conversation *conversation;
    struct record *records;
    enum delivery_state state;
    uint32_t attempt;    /* 1 + counted failures */
    uint32_t generation; /* counts what was sent */
    unsigned patience;   /* failures in a row that weren't counted */
    bool busy;           /* WAITING because nobody had credit: goes again when a worker comes */
    bool asking;         /* the log will call back for it */
    bool dropped;        /* its partition was revoked meanwhile: free it then */
    struct loop_timer *timer;
    struct delivery *ready_next;
    int err; /* of the last failure */
    char service[PROTO_MAX_SERVICE + 1];
    char why[120];
    struct buf errors; /* msgpack strs, for the envelope */
    uint32_t error_n;
    struct edge *edge;
};

/* All that is unsettled of one key. Exists while there is something. A key that another producer
 * has put into two partitions is two conversations: each partition has its own order. */
struct conversation {
    UT_hash_handle hh; /* edge.conversations, by partition and key as they stand in `name` */
    int32_t partition;
    struct record *first, **last; /* waiting, in order */
    struct delivery *out;         /* at most one */
    struct str key;               /* in `name` */
    size_t name_n;
    char name[];
};

struct partition {
    bool held;
    bool leaving;
    struct window window;
};

struct edge {
    struct actor *actor;
    struct rlog *rlog;
    struct partition *partitions[RLOG_MAX_PARTITIONS]; /* NULL until first assigned */
    struct conversation *conversations;
    struct delivery *deliveries;
    struct delivery *ready, **ready_last;
    struct delivery *suspect; /* in flight: what seems to kill its workers goes one at a time */
    size_t in_flight;         /* DELIVERY_IN_FLIGHT */
    size_t active;            /* deliveries of any state */
    size_t held;              /* records that are read and not settled */
    size_t held_bytes;
    size_t cap;        /* how many may be in flight: grows with success, shrinks with BUSY */
    size_t cap_credit; /* successes since it grew */
    int64_t cap_cut_ms;
    uint64_t seq;
    int64_t deadline_ms;
    bool is_up;
    bool draining;
    bool left;
    bool hurried;       /* the time to drain is over */
    char instance[256]; /* of the group of edges; may be empty */
    struct buf scratch;
    struct {
        uint64_t appended, duplicates, dispatched, settled, redelivered, dead, merged, ignored;
    } count;
};

/* --- conversation.c --- */
/* Takes a record in; starts a unit if its conversation is idle. */
void conversation_take(struct edge *edge, const struct rlog_record *r);
/* A record that needs nothing: settled at once. */
void conversation_skip(struct edge *edge, int32_t partition, int64_t offset);
/* The delivery is settled: forgets it and its records, and goes on with what waits. */
void conversation_settled(struct edge *edge, struct delivery *d);
/* Forgets all of a partition. */
void conversation_drop(struct edge *edge, int32_t partition);
/* Records that are read and unsettled can't grow beyond this: how many more of the partition. */
size_t conversation_room(const struct edge *edge, int32_t partition);

/* --- delivery.c --- */
/* A new delivery of these records (taken), not sent. */
struct delivery *delivery_new(struct edge *edge, struct conversation *c, struct record *records,
                              struct id id);
/* Frees it and its records. Timers, lists and tables are left. */
void delivery_free(struct delivery *d);
/* Sends it as soon as there is a place in flight. */
void delivery_ready(struct delivery *d);
/* Makes it durable that its records are one unit, then as delivery_ready(). */
void delivery_compose(struct delivery *d);
/* Makes it a dead letter without having tried it. `why` is static. */
void delivery_refuse(struct delivery *d, int err, const char *why);
void delivery_outcome(struct edge *edge, const struct head *h, int err, struct str why);
/* The router is new: all that is in flight goes again. */
void delivery_again(struct edge *edge);
/* A service has a worker: what found it busy goes again. */
void delivery_service_up(struct edge *edge);
/* Sends what is ready, as far as there are places. */
void delivery_pump(struct edge *edge);

/* --- append.c --- */
void edge_call(struct actor *self, struct unit **units, size_t n);

#endif
