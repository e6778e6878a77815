/* log - the durable log in PostgreSQL: its records, and who reads how far (0002_log.sql).
 *
 * All functions add statements to a transaction of the caller. Symbols are dblog_*: log_* is the
 * logger. What the log promises stands in actors/edge/log.h; this is the SQL under its PostgreSQL
 * backend, and `fte trace`.
 */
#ifndef DB_LOG_H
#define DB_LOG_H

#include "db/pg.h"
#include "proto/id.h"
#include "proto/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DBLOG_SCHEMA 2               /* the migration that made these tables */
#define DBLOG_PARTITIONS 12          /* of every topic */
#define DBLOG_DIGEST 16              /* bytes */
#define DBLOG_MEMBER_CLASS "7042002" /* of the session locks of members: a number of ours */
#define DBLOG_CHANNEL "fte_log"      /* NOTIFY: there is something to read */

#define TOPIC_INCOMING                                                                             \
    "fte.tickets.incoming" /* the one normal form; the only one that is consumed */
#define TOPIC_DEAD "fte.dlq"

/* The topic of this name (design 2), as a static text, or NULL if there is none. */
const char *dblog_topic(struct str name);
/* The partition of a key: the same for ever, on every machine. */
int32_t dblog_partition(struct str key);

/* --- appending ------------------------------------------------------------------------------ */
struct dblog_row {
    const char *topic; /* from dblog_topic() */
    struct id id;
    struct str key;
    struct str body;
    struct str trace; /* may be empty */
    uint8_t digest[DBLOG_DIGEST];
};
struct dblog_appended {
    int64_t offset; /* of the record that has this id now */
    bool duplicate; /* it was there before */
    bool same;      /* and with the same digest */
};
/* Appends `n` rows in this order. Their offsets become visible in rising order over all
 * connections. An id that the topic has already is left as it is. With `notify`, listeners on
 * DBLOG_CHANNEL are told. */
void dblog_append(struct pg_txn *t, const struct dblog_row *rows, size_t n, bool notify);
/* Reads the results of a transaction that holds nothing else. Rows that were there before get only
 * `duplicate` here; returns how many those are: dblog_find() tells the rest of them. */
size_t dblog_append_read(const struct pg_reply *reply, const struct dblog_row *rows, size_t n,
                         struct dblog_appended *ret);
/* The lock alone, for others who append: first in a transaction, before any offset is drawn. */
void dblog_lock(struct pg_txn *t);
void dblog_notify(struct pg_txn *t);
/* Looks up the rows by topic and id (one result), and completes what is marked as duplicate.
 * A row that retention has removed since is left with offset 0 and same = true. */
void dblog_find(struct pg_txn *t, const struct dblog_row *rows, size_t n);
void dblog_find_read(const PGresult *r, const struct dblog_row *rows, size_t n,
                     struct dblog_appended *ret);

/* --- reading -------------------------------------------------------------------------------- */
struct dblog_span {
    int32_t partition;
    int64_t after; /* read what lies behind this offset */
    int64_t room;  /* at most so many records */
};
struct dblog_record {
    int32_t partition;
    int64_t offset;
    struct id id;
    struct id unit; /* nil where it was never composed with others; else the part of it: */
    int unit_at;
    int unit_size;
    struct str key;
    struct str body;
    struct str trace;
    int64_t received_us;
};
/* The next records of several partitions, by rising offset, at most `limit` (one result). */
void dblog_read(struct pg_txn *t, const char *topic, const struct dblog_span *spans, size_t n,
                int64_t limit);
/* One row of that result. Text is borrowed from it. */
void dblog_record(const PGresult *r, int row, struct dblog_record *ret);

/* --- leases --------------------------------------------------------------------------------- */
/* Makes this connection a member (one result: its number). The membership ends with the connection.
 */
void dblog_join(struct pg_txn *t);
int32_t dblog_join_read(const PGresult *r);

struct dblog_lease {
    int32_t partition;
    int64_t fence;
    int64_t position;
    int64_t high; /* highest offset there was: what lies above it, no earlier owner has seen */
};
/* Renews the leases of `owner` for `lease_ms`, and takes what is free up to its fair share. */
void dblog_lease(struct pg_txn *t, const char *topic, int32_t owner, int64_t lease_ms);
/* All that `owner` holds now, into ret[DBLOG_PARTITIONS]; the number of them. *ret_share is how
 * many it should hold at most: it gives back the others with dblog_release(). Reads the results of
 * a transaction that holds nothing else. */
size_t dblog_lease_read(const struct pg_reply *reply, struct dblog_lease *ret, int64_t *ret_share);
/* Gives partitions back (one result). With `leave`, the membership too. */
void dblog_release(struct pg_txn *t, const char *topic, int32_t owner,
                   const struct dblog_lease *leases, size_t n);
void dblog_leave(struct pg_txn *t, int32_t owner);

/* Moves positions forward, where owner and fence are still those (one result: a row with the
 * partition for each that was moved). Never backwards. */
void dblog_position(struct pg_txn *t, const char *topic, int32_t owner,
                    const struct dblog_lease *leases, size_t n);

/* Marks records as parts of one unit, in this order, where the lease still stands (one result: a
 * row for each that is marked). */
void dblog_compose(struct pg_txn *t, const char *topic, int32_t owner,
                   const struct dblog_lease *lease, struct id unit, const int64_t *offsets,
                   size_t n);

/* --- keeping it bounded ---------------------------------------------------------------------- */
/* Deletes a batch of records that are settled and older than `keep_ms` (one result; pg_int (r, 0,
 * 0) is how many). */
void dblog_retain(struct pg_txn *t, int64_t keep_ms);

#endif
