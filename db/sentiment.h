/* sentiment - the score of each inbound message, as triage gave it. */
#ifndef DB_SENTIMENT_H
#define DB_SENTIMENT_H

#include "db/pg.h"
#include "proto/id.h"

struct sentiment_row {
    struct id message;
    double score; /* in [-1, 1] */
};

/* Adds the statement that stores n scores: one for all. A score that stands there already is not
 * written again, so a replay changes nothing; a message that is gone is passed over. */
void sentiment_put(struct pg_txn *t, const struct sentiment_row *rows, size_t n);

#endif
