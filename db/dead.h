/* dead - dead letters: units that could not be done, kept whole until a person replays or drops
 * them.
 *
 * A unit has exactly one outcome: a reply, an escalation, or an open dead letter. dead_put() takes
 * the same gate as the other two (the row of the conversation), and does nothing where one of them
 * is there. They in turn do nothing for a unit with an open dead letter (dead_letters.state =
 * 'dead').
 */
#ifndef DB_DEAD_H
#define DB_DEAD_H

#include "db/pg.h"
#include "proto/id.h"
#include "proto/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct dead_unit {
    const char *topic;
    int32_t partition;
    int32_t owner; /* the lease under which it is given up */
    int64_t fence;
    int64_t offset; /* of its newest record */
    struct id unit;
    struct str key;
    struct id link; /* may be nil */
    const struct id *message_ids;
    size_t message_n;
    const struct str *bodies;
    size_t body_n;
    struct str trace; /* may be empty */
    int64_t received_us;
    const char *error;
    struct str service;
    const char *why;
    unsigned attempts;
    struct str record; /* the body of the record on fte.dlq */
};

enum dead_fate {
    DEAD_BURIED,  /* it is a dead letter, now or since before */
    DEAD_SETTLED, /* it has a reply or an escalation: that counts */
    DEAD_FENCED,  /* the lease is over: nothing was done */
};

/* Stores it, a note on its ticket where there is one, and the record on fte.dlq. The only content
 * of its transaction. */
void dead_put(struct pg_txn *t, const struct dead_unit *d);
enum dead_fate dead_put_read(const struct pg_reply *reply);

/* --- for people (fte dlq) ------------------------------------------------------------------- */
/* One result; columns as in enum dead_column, newest first, at most `limit`. `all`: closed ones
 * too. */
enum dead_column {
    DEAD_UNIT,
    DEAD_STATE,
    DEAD_ERROR,
    DEAD_SERVICE,
    DEAD_WHY,
    DEAD_ATTEMPTS,
    DEAD_DEATHS,
    DEAD_KEY,
    DEAD_CREATED,
    DEAD_RECEIVED,
    DEAD_CLOSED,
    DEAD_TICKET,   /* reference, or null */
    DEAD_MESSAGES, /* how many */
    DEAD_TOPIC,
    DEAD_PARTITION,
    DEAD_OFFSET,
    DEAD_TRACE,
};
void dead_list(struct pg_txn *t, bool all, int64_t limit);
void dead_show(struct pg_txn *t, struct id unit);
/* Appends its records again, as the same unit, and closes it. The only content of its transaction;
 * dead_moved() tells whether it did (false: there is none, or it is closed). */
void dead_replay(struct pg_txn *t, struct id unit);
/* Closes it: nothing more will happen to it. */
void dead_drop(struct pg_txn *t, struct id unit);
bool dead_moved(const struct pg_reply *reply);

#endif
