/* fenced - what a holder of a partition writes into the database: compositions and dead letters,
 * where its fence still stands. The same for both backends of the log. */
#ifndef EDGE_FENCED_H
#define EDGE_FENCED_H

#include "actors/edge/log.h"
#include "db/pg.h"

struct fenced {
    rlog_done_fn *fn; /* gets the answer (rlog_compose(), rlog_bury()) */
    void *arg;
    void (*lost)(void *self); /* called before it where the answer is ERR_LOST */
    void *self;
};

/* Sends a transaction whose first result has a row for each of `n` records that was marked. Takes
 * the transaction. */
void fenced_compose(struct pg_txn **t_p, size_t n, const struct fenced *f);
/* rlog_bury(), by this owner with this fence. */
void fenced_bury(struct pg *pg, const char *topic, int32_t owner, int64_t fence,
                 const struct rlog_dead *d, const struct fenced *f);

#endif
