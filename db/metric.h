/* metric - figures per minute, rolled up from the tables: messages, outbox, escalations, letters.
 */
#ifndef DB_METRIC_H
#define DB_METRIC_H

#include "db/pg.h"

/* Number of statements that metric_put() adds; metric_get_*() read the last two. */
#define METRIC_STMTS 3

/* Adds the statements of a roll-up: the minutes from two before the newest that is known (at most a
 * day back) to the one that is open now are counted anew and written under (minute, channel, name);
 * then the minutes that are closed for good, and the totals, are read. */
void metric_put(struct pg_txn *t);

/* Row of the last but one result: a minute that no commit can change any more, and its figures as
 * one JSON object {"webform.received": 12, ...}. Borrowed. */
void metric_get_minute(const PGresult *r, int row, int64_t *ret_minute_us, struct str *ret_json);
/* Row of the last result: a figure summed over all minutes (counters), or of the newest minute. */
void metric_get_total(const PGresult *r, int row, struct str *ret_channel, struct str *ret_name,
                      double *ret_value);

#endif
