/* store - PostgreSQL as the processes of a world see it: connections that are slow and break,
 * transactions that are executed whole and in the order of each connection, or not at all, with an
 * answer that may get lost. What is in it: the log (model_log.h) and what the stages store. */
#ifndef SIM_STORE_H
#define SIM_STORE_H

#include "db/pg.h"
#include "test/sim/model_log.h"
#include "test/sim/world.h"

/* A statement: executed against the store, then its result is read by the callback. */
struct store_op {
    void (*exec)(struct store_op *op);
    void (*free)(struct store_op *op); /* what `data` holds; may be NULL */
    struct pg *pg;                     /* whose; NULL where the process is gone */
    int32_t owner;                     /* number of the connection as a member; 0: none */
    struct proc *proc;
    void *data;
    int rows;       /* PQntuples() */
    int64_t number; /* pg_int (r, 0, 0) */
};
/* Adds one. `data` is taken. */
struct store_op *store_op(struct pg_txn *t, void (*exec)(struct store_op *),
                          void (*free_data)(struct store_op *), void *data);
/* The op behind a result. */
const struct store_op *store_result(const PGresult *r);

void store_begin(void);
void store_end(void);
/* The server ends all connections of p (pg_terminate_backend). */
void store_cut(struct proc *p);
/* The server is away for so long. */
void store_stop(int64_t us);
/* NOTIFY: to all that listen. */
void store_notify(void);

/* Who looks. */
struct store_eyes {
    void (*appended)(struct model_record *r);
    /* A position is about to count. */
    void (*position)(int32_t partition, int64_t position);
    /* An edge has taken this partition. */
    void (*claimed)(struct proc *edge, int32_t partition);
    /* Dead letter: what the gate says. True: it is one now. */
    bool (*bury)(struct proc *edge, struct id unit, const struct id *messages, size_t n,
                 unsigned attempts, bool *ret_has_outcome);
};
/* store_log.c */
extern struct model_log store_log;
void store_log_begin(const struct store_eyes *eyes);
void store_log_end(void);
/* The records of the dead unit once more, as `fte dlq replay` does. */
void store_replay(struct id unit, const int64_t *offsets, size_t n, int32_t partition);
/* The connection `owner` has lost its lock. */
void store_log_left(int32_t owner);

#endif
