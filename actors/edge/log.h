/* log - the contract of a durable log with partitions, kept by one of two backends: PostgreSQL
 * (log_postgres.c) or Kafka (log_kafka.c). Symbols are rlog_*: log_* is the logger.
 *
 * What every backend promises:
 *  - What was appended without an error is durable, once under its id, and will be delivered.
 *  - The records of one key are in one partition, and a partition's records are delivered in the
 *    order of their offsets, none skipped.
 *  - At most one process holds a partition at a time. A holder whose lease is over moves nothing:
 *    its positions, compositions and dead letters are refused (fencing).
 *  - A record that was appended twice (a producer that tried again) is delivered once.
 *  - After a crash a partition's holder is given all that lies behind the stored position, again.
 *
 * One thread, that of the loop. Callbacks are never called from inside an rlog_*() function, but
 * for revoked(), which rlog_leave() calls.
 */
#ifndef EDGE_LOG_H
#define EDGE_LOG_H

#include "actors/edge/kafka_client.h"
#include "proto/id.h"
#include "proto/runtime/loop.h"
#include "proto/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RLOG_MAX_PARTITIONS 64
#define RLOG_MAX_BODY (200 * 1024) /* bytes: an envelope around it stays below PROTO_MAX_BODY */
#define RLOG_APPEND_MS 2000        /* an append is answered within this time */
#define RLOG_OTHER_BACKEND                                                                         \
    "this database belongs to the other backend: `fte up` changes it, once nothing is unsettled"

struct rlog;

/* A record to append. */
struct rlog_entry {
    struct str topic;  /* rlog_topic_ok() */
    struct id id;      /* who appends an id again finds the first record */
    struct str key;    /* 1..256 bytes of text */
    struct str body;   /* at most RLOG_MAX_BODY bytes */
    struct str trace;  /* text; may be empty */
    struct str digest; /* tells whether a repeat has the same content; empty: made from the body */
};
struct rlog_appended {
    int64_t offset;
    bool duplicate; /* the id was there before */
    bool same;      /* and its digest is the same */
};
/* All entries are durable (err 0), or nothing is known of any (ERR_UNAVAILABLE: append again, ids
 * absorb what was done), or they can't be (ERR_INVALID, ERR_INTERNAL). `results` is borrowed. */
typedef void rlog_append_fn(void *arg, int err, const struct rlog_appended *results, size_t n);

/* A record of the consumed topic, borrowed for the callback. */
struct rlog_record {
    int32_t partition;
    int64_t offset;
    struct id id;
    struct id unit; /* nil, or the unit that it is part `unit_at` of `unit_size` of, for good */
    int unit_at;
    int unit_size;
    bool recovered; /* an earlier holder of the partition may have delivered it */
    struct str key;
    struct str body;
    struct str trace;
    int64_t received_us; /* Unix time: when the log had it */
    /* 0, or why it can't be a message (ERR_MALFORMED ...): `body` then holds its bytes as they
     * came, and what it needs is rlog_bury(). `why` is static text. */
    int err;
    const char *why;
};

struct rlog_events {
    void (*up)(void *arg);
    void (*down)(void *arg, const char *why); /* partitions were revoked before */
    /* Never going to work: `setting` names what is wrong (wrong password, schema too old). */
    void (*refused)(void *arg, const char *setting, const char *why);
    /* The partition is ours from `position` on. */
    void (*assigned)(void *arg, int32_t partition, int64_t position);
    /* It is ours no longer: drop all that came from it, and settle nothing of it. */
    void (*revoked)(void *arg, int32_t partition);
    /* Another holder waits for it: when nothing of it is unsettled, rlog_release() it. */
    void (*leave)(void *arg, int32_t partition);
    /* How many of its records may be delivered now. 0 until rlog_resume(). */
    size_t (*room)(void *arg, int32_t partition);
    /* How many units are with the stages. */
    size_t (*in_flight)(void *arg);
    void (*record)(void *arg, const struct rlog_record *record);
    /* A place that needs nothing: a repeat of an earlier record. It is settled. */
    void (*skip)(void *arg, int32_t partition, int64_t offset);
    void *arg;
};

struct rlog_settings {
    const char *url;   /* of the database */
    const char *topic; /* what is consumed */
    struct kafka_settings kafka;
    int64_t lease_ms;
    int64_t retention_ms; /* settled records are kept so long */
};

/* 0: done and durable. ERR_LOST: not done, the lease is over. ERR_UNAVAILABLE: not known, do it
 * again. ERR_CONFLICT (rlog_bury() only): not done, the unit has an outcome already, which counts.
 */
typedef void rlog_done_fn(void *arg, int err);
struct rlog_dead;

struct rlog_backend {
    const char *name;
    struct rlog *(*open)(struct loop *loop, const struct rlog_settings *settings,
                         const struct rlog_events *events);
    void (*append)(struct rlog *self, const struct rlog_entry *entries, size_t n,
                   rlog_append_fn *fn, void *arg);
    void (*resume)(struct rlog *self);
    bool (*holds)(const struct rlog *self, int32_t partition);
    void (*settled)(struct rlog *self, int32_t partition, int64_t position);
    void (*compose)(struct rlog *self, int32_t partition, struct id unit, const int64_t *offsets,
                    size_t n, rlog_done_fn *fn, void *arg);
    void (*bury)(struct rlog *self, const struct rlog_dead *dead, rlog_done_fn *fn, void *arg);
    void (*release)(struct rlog *self, int32_t partition);
    void (*leave)(struct rlog *self);
    bool (*idle)(const struct rlog *self);
    void (*close)(struct rlog *self);
};

/* What all backends' structs begin with. */
struct rlog {
    const struct rlog_backend *backend;
};

extern const struct rlog_backend rlog_postgres;
extern const struct rlog_backend rlog_kafka;

/* The backend of this name ("postgres", "kafka"), or NULL. */
const struct rlog_backend *rlog_backend(const char *name);
/* Topics exist or don't; they aren't made by writing to them. */
bool rlog_topic_ok(struct str topic);

/* Appends n entries (1..64), together. All that is appended in one turn of the loop, by whomever,
 * is committed together. The entries' text is borrowed until fn is called, within RLOG_APPEND_MS.
 */
static inline void
rlog_append(struct rlog *self, const struct rlog_entry *entries, size_t n, rlog_append_fn *fn,
            void *arg)
{
    self->backend->append(self, entries, n, fn, arg);
}

/* There is room again. Cheap where nothing waits. */
static inline void
rlog_resume(struct rlog *self)
{
    self->backend->resume(self);
}

/* True while the lease of this partition certainly stands: nothing of it may be delivered else. */
static inline bool
rlog_holds(const struct rlog *self, int32_t partition)
{
    return self->backend->holds(self, partition);
}

/* Everything up to `position` is settled. Stored lazily: a crash may lose some 200 ms of it. */
static inline void
rlog_settled(struct rlog *self, int32_t partition, int64_t position)
{
    self->backend->settled(self, partition, position);
}

/* Makes durable that the records at these offsets are one unit (rlog_record.unit), in this order.
 */
static inline void
rlog_compose(struct rlog *self, int32_t partition, struct id unit, const int64_t *offsets, size_t n,
             rlog_done_fn *fn, void *arg)
{
    self->backend->compose(self, partition, unit, offsets, n, fn, arg);
}

/* A unit that could not be done. All is borrowed until rlog_bury() returns. */
struct rlog_dead {
    int32_t partition;
    int64_t offset; /* of its newest record */
    struct id unit;
    struct str key;
    struct id link; /* the status page that tells it; may be nil */
    const struct id *message_ids;
    size_t message_n;
    const struct str *bodies; /* of its records, oldest first */
    size_t body_n;
    struct str trace;
    int64_t received_us;
    int err;
    struct str service; /* who gave it up */
    const char *why;
    unsigned attempts;
};

/* Stores a dead letter, the note on its ticket and the record on fte.dlq, together. */
static inline void
rlog_bury(struct rlog *self, const struct rlog_dead *dead, rlog_done_fn *fn, void *arg)
{
    self->backend->bury(self, dead, fn, arg);
}

/* Gives a partition back. Nothing of it may be unsettled. */
static inline void
rlog_release(struct rlog *self, int32_t partition)
{
    self->backend->release(self, partition);
}

/* Gives all back, stops reading: the process ends. */
static inline void
rlog_leave(struct rlog *self)
{
    self->backend->leave(self);
}

/* True if nothing is on its way to the backend. */
static inline bool
rlog_idle(const struct rlog *self)
{
    return self->backend->idle(self);
}

/* Appends that are open are answered ERR_UNAVAILABLE. Accepts NULL; sets *self_p to NULL. */
void rlog_close(struct rlog **self_p);

#endif
