/* log_kafka - the inside of the Kafka backend: log_kafka.c (clients, assignment, positions),
 * log_kafka_up.c (whether it can be used), log_kafka_append.c (producing), log_kafka_read.c
 * (consuming), log_kafka_relay.c (what the database hands on). Private to these five.
 *
 * Kafka assigns partitions; the database says whose work counts (db/kafka.h). So an assignment is
 * first claimed there, and only then is anything delivered.
 */
#ifndef EDGE_LOG_KAFKA_H
#define EDGE_LOG_KAFKA_H

#include "actors/edge/cloudevent.h"
#include "actors/edge/kafka_trial.h"
#include "actors/edge/log.h"
#include "db/kafka.h"
#include "db/pg.h"

#include <uthash.h>

#define KAFKA_READ 256      /* records that are looked up together */
#define KAFKA_LANE_READ 128 /* of one partition among them */
#define KAFKA_RELAY 64      /* rows that are handed on together */

enum klane_state {
    KLANE_NONE,     /* not ours */
    KLANE_ASSIGNED, /* Kafka says ours; not claimed yet */
    KLANE_CLAIMING, /* the claim is on its way */
    KLANE_HELD,     /* and the database */
    KLANE_LOST,     /* the database says another's; Kafka will */
};

/* A partition, as far as this process knows. */
struct klane {
    enum klane_state state;
    bool more;          /* its queue may hold something */
    int64_t fence;      /* while HELD */
    int64_t generation; /* of our assignments: tells an old one's work from a new one's */
    int64_t position;   /* settled up to here; -1 = nothing since the assignment */
    int64_t committed;  /* and committed up to here, or on its way */
    rd_kafka_queue_t *queue;
};

/* One record that is being produced, or will be. */
struct kentry {
    struct kappend *append;
    const char *topic;
    struct id id;
    struct str key, body, trace; /* borrowed from who appends */
    uint8_t digest[CLOUDEVENT_DIGEST];
    int64_t offset;
    bool duplicate;
    bool same;
    bool known; /* it is in the log: not produced again */
};
/* One rlog_append(). */
struct kappend {
    struct kappend *next;
    rlog_append_fn *fn; /* NULL: answered, its time was over */
    void *arg;
    int64_t due_ms;
    size_t open; /* entries without a delivery report */
    int err;     /* of the first that failed */
    size_t n;
    struct kentry entries[];
};
struct kappend_queue {
    struct kappend *first, **last;
};

/* What this process has produced and may not have read again yet. */
struct krecent {
    UT_hash_handle hh; /* by id, in the order of arrival */
    struct id id;
    uint8_t digest[CLOUDEVENT_DIGEST];
    int64_t offset; /* -1: its delivery report is still to come */
    int64_t at_ms;
};

/* A record that was taken from Kafka and isn't delivered yet. */
struct kread {
    rd_kafka_message_t *message;
    int64_t generation;
    struct buf body;
    struct cloudevent event;
    int err;
    const char *why;
};

struct kafka {
    struct rlog base;
    struct loop *loop;
    struct rlog_settings settings;
    struct rlog_events events;
    struct pg *pg;
    rd_kafka_t *producer, *consumer;
    int wake_fd; /* librdkafka's queues write to it when they are no longer empty */
    struct loop_watch *wake;
    struct loop_timer *pause; /* it isn't listened to for a moment */
    struct loop_timer *tick;
    int32_t owner; /* our number in the database; 0 = none yet */
    bool known;    /* this connection has it */
    bool asking_owner;
    bool up;         /* both can be used */
    bool kafka_up;   /* its topics are there */
    bool leaving;    /* the process ends */
    bool closing;    /* the consumer is asked to leave the group */
    bool outside;    /* the group will not have us */
    bool unreadable; /* its records may not be read */
    int64_t probe_ms;
    enum kafka_trouble trouble; /* said so far in this outage */
    struct kafka_cause cause;   /* what was told since */
    unsigned silent;            /* probes without an answer in it */
    struct kafka_trial *trial;  /* whether we may do what we need to */

    struct klane lanes[RLOG_MAX_PARTITIONS];
    int64_t generation;
    struct loop_timer *position_timer;

    struct kappend_queue queue; /* wait for the next look-up */
    size_t queue_n;
    int64_t flushed_ms;          /* when the last batch began */
    struct kappend_queue asking; /* are being looked up */
    size_t sending;              /* appends that are being produced */
    size_t producing;            /* delivery reports that are still to come */
    struct krecent *recent;
    struct loop_timer *flush_timer;

    struct kread reads[KAFKA_READ];
    struct dbkafka_record records[KAFKA_READ];
    size_t read_n;
    bool reading; /* a look-up is on its way */
    struct loop_timer *read_timer;

    bool relaying;
    size_t relay_open;
    bool relay_failed;
    int64_t relay_offsets[KAFKA_RELAY];
    size_t relay_n;
    int retain_ticks;
};

/* --- log_kafka.c --- */
/* A fence fell: the lane is another's. */
void kafka_lane_lost(struct kafka *k, int32_t partition);

/* --- log_kafka_up.c --- */
/* The database or Kafka says that it can't be used, or can be again. */
void kafka_state(struct kafka *k);
/* No broker answers: asks until one does. */
void kafka_away(struct kafka *k);
/* To be called again and again: asks whether Kafka is there, if that isn't known. */
void kafka_probe(struct kafka *k);
/* A member of the group again: says so, if something else was said before. */
void kafka_welcome(struct kafka *k);
/* An error of a client, which may mean that Kafka can't be used: then it is said. */
void kafka_failed(struct kafka *k, int err, const char *reason);

/* --- log_kafka_append.c --- */
void kafka_append(struct rlog *self, const struct rlog_entry *entries, size_t n, rlog_append_fn *fn,
                  void *arg);
void kafka_append_flush(struct kafka *k);
/* Something has changed: at the end of this turn, if enough waits. */
void kafka_append_soon(struct kafka *k);
void kafka_append_expire(struct kafka *k, bool all);
void kafka_append_fini(struct kafka *k);
/* Produces one record; its delivery report comes to kafka_delivered() with `opaque`. 0 or an error
 * of enum err. */
int kafka_produce(struct kafka *k, const struct cloudevent *e, struct str key, void *opaque);
/* What a delivery report's opaque points at: first an entry, or the relay (NULL). */
void kafka_delivered(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque);

/* --- log_kafka_read.c --- */
/* Takes what lanes with room have, looks it up and delivers it. */
void kafka_read(struct kafka *k);
void kafka_read_fini(struct kafka *k);

/* --- log_kafka_relay.c --- */
void kafka_relay(struct kafka *k);
void kafka_relay_delivered(struct kafka *k, int err);

#endif
