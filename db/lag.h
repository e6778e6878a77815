/* lag - how many records of the log are not settled, by partition, whichever backend keeps it. */
#ifndef DB_LAG_H
#define DB_LAG_H

#include "db/pg.h"

#include <stddef.h>
#include <stdint.h>

/* Stores what was measured in Kafka: lags[0..n) by partition, n >= 1. */
void lag_put(struct pg_txn *t, const char *topic, const int64_t *lags, size_t n);

/* Reads it for the backend that is in use, partition by partition. PostgreSQL's log is counted now,
 * Kafka's is as it was put: no rows before that. */
void lag_show(struct pg_txn *t, const char *topic);
struct lag_row {
    struct str backend; /* borrowed */
    int partition;
    int64_t lag;
    int64_t age_ms; /* since it was measured */
};
void lag_read(const PGresult *r, int row, struct lag_row *ret);

#endif
