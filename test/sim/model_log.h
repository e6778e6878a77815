/* model_log - what the log in PostgreSQL promises (db/log.h, db/dead.h), written down a second time
 * as plainly as possible: an oracle. The simulation runs the real edge on it; the test of the
 * database does the same random things to it and to PostgreSQL, and wants the same answers
 * (test/unit/db/lease_test.c). Time is an argument. */
#ifndef SIM_MODEL_LOG_H
#define SIM_MODEL_LOG_H

#include "proto/id.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MODEL_PARTITIONS 12
#define MODEL_MEMBERS 4096

struct model_record {
    int32_t partition;
    int64_t offset;
    struct id id, unit; /* unit: nil until it is composed */
    int unit_at, unit_size;
    char key[16];
    char *body;
    size_t body_n;
    int64_t received_us;
    int message; /* the simulation's number of it */
    bool done;   /* it has its outcome */
};

struct model_partition {
    int64_t position;
    int32_t owner; /* 0: nobody's */
    int64_t fence;
    int64_t lease_until_ms;
};

struct model_lease {
    int32_t partition;
    int64_t fence, position, high;
};

struct model_log {
    struct model_partition partitions[MODEL_PARTITIONS];
    struct {
        int64_t lease_until_ms; /* 0: never said that it is there, or left */
        bool connected;         /* its connection holds its lock */
    } members[MODEL_MEMBERS];   /* by owner */
    struct model_record *records;
    size_t n, cap;
    int64_t offset;
};

void model_log_init(struct model_log *m);
void model_log_fini(struct model_log *m);

/* Appends; the new record, or NULL and *ret_first where the id is there already. `body` is copied.
 */
struct model_record *model_log_append(struct model_log *m, struct id id, const char *key,
                                      int32_t partition, const char *body, size_t n,
                                      struct model_record **ret_first);
/* The record at this place, or NULL. */
struct model_record *model_log_at(struct model_log *m, int32_t partition, int64_t offset);
/* The next of the partition behind `after`, or NULL. */
struct model_record *model_log_next(struct model_log *m, int32_t partition, int64_t after);

/* Renews what is `owner`'s, takes what is free up to the fair share, lists all that it holds. */
size_t model_log_lease(struct model_log *m, int32_t owner, int64_t lease_ms, int64_t now_ms,
                       struct model_lease *ret, int64_t *ret_share);
/* True if owner and fence are those of the partition. */
bool model_log_holds(const struct model_log *m, int32_t owner, int32_t partition, int64_t fence);
void model_log_release(struct model_log *m, int32_t owner, const struct model_lease *leases,
                       size_t n);
void model_log_leave(struct model_log *m, int32_t owner, int64_t now_ms);
/* Bit p of the result: the position of partition p was moved. */
uint32_t model_log_position(struct model_log *m, int32_t owner, const struct model_lease *leases,
                            size_t n);
/* How many were marked: all or none. */
size_t model_log_compose(struct model_log *m, int32_t owner, int32_t partition, int64_t fence,
                         struct id unit, const int64_t *offsets, size_t n);

#endif
