/* kafka - what the Kafka backend of the log keeps in PostgreSQL (0004_kafka.sql): who holds a
 * partition, which records were seen first under their id, and which are one unit.
 *
 * Kafka says who reads a partition; the fence in log_partitions says whose work counts. A holder
 * takes a new fence when a partition is assigned to it, so whatever an earlier one still does is
 * refused, however late. All functions add statements to a transaction of the caller.
 */
#ifndef DB_KAFKA_H
#define DB_KAFKA_H

#include "db/pg.h"
#include "proto/id.h"
#include "proto/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DBKAFKA_SCHEMA 4  /* the migration that made these tables */
#define DBKAFKA_DIGEST 16 /* bytes */

/* --- who is who ------------------------------------------------------------------------------ */
/* Makes this connection that of an edge that runs, as dblog_join() does, and gives the process a
 * number: a new one for 0, else the one that it had on an earlier connection (one result). */
void dbkafka_owner(struct pg_txn *t, int32_t owner);
int32_t dbkafka_owner_read(const PGresult *r);

struct dbkafka_lane {
    int32_t partition;
    int64_t fence;
};
/* Takes these partitions from whoever had them (one result: a row for each). */
void dbkafka_claim(struct pg_txn *t, const char *topic, int32_t owner, const int32_t *partitions,
                   size_t n);
void dbkafka_claim_read(const PGresult *r, int row, struct dbkafka_lane *ret);

/* --- records --------------------------------------------------------------------------------- */
struct dbkafka_record {
    struct id id;
    int32_t partition;
    int64_t offset;
    struct id unit; /* nil, or given with the record: it is part of this unit from the beginning */
    int unit_at;
    int unit_size;
    uint8_t digest[DBKAFKA_DIGEST];
};
/* Remembers the records of those lanes whose fence stands, and locks these lanes until the commit,
 * so that a claim that comes later finds these rows. An id that is known stays where it is. */
void dbkafka_see(struct pg_txn *t, const char *topic, int32_t owner,
                 const struct dbkafka_lane *lanes, size_t lane_n,
                 const struct dbkafka_record *records, size_t n);
struct dbkafka_seen {
    bool held;         /* else nothing is known: the lane is somebody else's */
    bool first;        /* no holder has seen it before */
    int32_t partition; /* of the record that has this id: */
    int64_t offset;
    struct id unit;
    int unit_at;
    int unit_size;
    bool same; /* its digest is the given one */
};
/* What is known of each of them now, in the given order. Reads the results of a transaction that
 * holds nothing else. */
void dbkafka_see_read(const struct pg_reply *reply, const struct dbkafka_record *records, size_t n,
                      struct dbkafka_seen *ret);

/* Looks ids up (one result). Rows that aren't there are left as they are by the reader. */
void dbkafka_find(struct pg_txn *t, const char *topic, const struct id *ids, size_t n);
/* Of the `row` of that result: the index into `ids`, the offset, the digest (borrowed). */
size_t dbkafka_find_read(const PGresult *r, int row, int64_t *ret_offset, struct str *ret_digest);

/* Marks records as parts of one unit, in this order, where the fence stands (one result: a row for
 * each that is marked). */
void dbkafka_compose(struct pg_txn *t, const char *topic, int32_t owner,
                     const struct dbkafka_lane *lane, struct id unit, const int64_t *offsets,
                     size_t n);

/* Forgets a batch of what was seen more than `keep_ms` ago up to the settled positions (one result;
 * pg_int (r, 0, 0) is how many). */
void dbkafka_retain(struct pg_txn *t, const char *topic, const int32_t *partitions,
                    const int64_t *positions, size_t n, int64_t keep_ms);

/* --- handing on ------------------------------------------------------------------------------ */
struct dbkafka_relay {
    int64_t offset;
    struct str topic;
    struct id id;
    struct id unit; /* or nil */
    int unit_at;
    int unit_size;
    struct str key;
    struct str body;
    struct str trace; /* may be empty */
    int64_t received_us;
};
/* The oldest rows of log_records that are still to be produced to Kafka (one result). */
void dbkafka_relay(struct pg_txn *t, int64_t limit);
void dbkafka_relay_read(const PGresult *r, int row, struct dbkafka_relay *ret);
/* They are there. */
void dbkafka_relayed(struct pg_txn *t, const int64_t *offsets, size_t n);

/* --- which log ------------------------------------------------------------------------------- */
/* One result: name, and how many records of `topic` stand unsettled in PostgreSQL's log. */
void dbkafka_backend(struct pg_txn *t, const char *topic);
struct str dbkafka_backend_read(const PGresult *r, int64_t *ret_unsettled);
/* Changes the name (its only row says whether it was done): only if PostgreSQL's log
 * has nothing unsettled of `topic`, nor anything that is still to be handed on, and no edge runs.
 * The append lock comes first; the row is in the second result. */
void dbkafka_switch(struct pg_txn *t, const char *topic, const char *name);

#endif
