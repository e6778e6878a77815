/* channel - the table channel_configs: what an operator has set for each channel. */
#ifndef DB_CHANNEL_H
#define DB_CHANNEL_H

#include "db/pg.h"
#include "proto/str.h"

#include <stdint.h>

#define CHANNEL_SCHEMA 1 /* the migration that made the table */

struct channel_config {
    struct str channel;
    int64_t max_words; /* of a reply, 50 to 1000; 0: not set, or not a number in that range */
};

/* One result, a row for each channel. */
void channel_load(struct pg_txn *t);
/* Borrowed from the result. */
void channel_row(const PGresult *r, int i, struct channel_config *ret);

#endif
