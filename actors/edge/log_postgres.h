/* log_postgres - the inside of the PostgreSQL backend: log_postgres.c (connection, leases,
 * positions), log_append.c (group commit), log_read.c (reading). Private to these three. */
#ifndef EDGE_LOG_POSTGRES_H
#define EDGE_LOG_POSTGRES_H

#include "actors/edge/log.h"
#include "db/log.h"
#include "db/pg.h"

/* A partition, as far as this process knows. */
struct lane {
    bool held;
    bool leaving; /* another waits for it: nothing more is read */
    bool more;    /* there may be something to read that there was no room for */
    int64_t fence;
    int64_t high;     /* at the time of the claim: what is not above it may have been delivered */
    int64_t read_to;  /* what lies behind it is not read yet */
    int64_t position; /* settled up to here */
    int64_t stored;   /* and stored up to here, or on its way */
};

/* One rlog_append(). */
struct append {
    struct append *next;
    rlog_append_fn *fn; /* NULL: answered, its time was over */
    void *arg;
    int64_t due_ms;
    size_t n;
    size_t bytes;
    struct dblog_row rows[];
};
struct append_queue {
    struct append *first, **last;
};

struct postgres {
    struct rlog base;
    struct loop *loop;
    struct rlog_settings settings;
    struct rlog_events events;
    struct pg *pg;
    struct loop_timer *tick; /* each half second: reads, answers what is over due */
    bool leaving;            /* the process ends */

    /* leases */
    int32_t owner; /* our number while connected; 0 = none yet */
    struct lane lanes[DBLOG_PARTITIONS];
    bool lease_pending;
    int64_t lease_sent_ms;
    int64_t lease_until_ms; /* on our clock, on the safe side */
    int64_t lease_wait_ms;  /* until the next try, while we hold less than our share */
    struct loop_timer *lease_timer;

    /* positions */
    struct loop_timer *position_timer;
    bool position_pending;

    /* appending */
    struct append_queue queue;  /* not sent */
    struct append_queue flight; /* in the transaction on its way */
    size_t alone;               /* so many of the queue go one by one: together they failed */
    struct dblog_row *batch;    /* rows of the transaction on its way */
    struct dblog_appended *appended;
    size_t batch_n, batch_cap;
    struct loop_timer *flush_timer;
    bool crowded; /* the last commit held many appends */

    /* reading */
    bool reading;
    bool read_again;
    int64_t span_fence[DBLOG_PARTITIONS]; /* of the lanes that are being read; 0 = it isn't */
    int64_t span_room[DBLOG_PARTITIONS];

    int retain_ticks;
    bool retaining;
};

/* --- log_append.c --- */
void postgres_append(struct rlog *self, const struct rlog_entry *entries, size_t n,
                     rlog_append_fn *fn, void *arg);
/* Answers what is over due; `all`: everything that is open. */
void postgres_append_expire(struct postgres *p, bool all);
/* Sends what waits, if it can be sent. */
void postgres_append_flush(struct postgres *p);
void postgres_append_fini(struct postgres *p);

/* --- log_read.c --- */
/* Reads what is new in the lanes that may have something and have room; where a read is on its way,
 * again after it. */
void postgres_read(struct postgres *p);
/* All lanes may have something. */
void postgres_read_all(struct postgres *p);
void postgres_resume(struct rlog *self);

#endif
