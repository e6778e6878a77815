/* batch - the units that an actor was given at once, stored in one transaction.
 *
 * A stage that writes for many units with one statement must not meet the same customer twice in it
 * (the statement would not see its own rows), and must take its locks in one order everywhere (or
 * two workers would wait for each other). So a batch is split into rounds: each has a customer at
 * most once, sorted by customer, and the rounds run one behind the other on the connection, first
 * come first.
 *
 * A unit whose data the database refuses doesn't take the others along: they are then tried alone.
 */
#ifndef DB_BATCH_H
#define DB_BATCH_H

#include "db/pg.h"
#include "proto/runtime/actor.h"

struct batch_stage {
    const char *name; /* of its commits, for fault points (proto/runtime/fault.h) */
    /* What must not come twice in one transaction: the unit's customer. */
    struct id (*key)(const struct unit *u);
    /* Adds the statements for the units to the transaction. */
    void (*put)(struct actor *self, struct pg_txn *t, struct unit *const *units, size_t n);
    /* The transaction is committed: settles each of the units, now or later. */
    void (*stored)(struct actor *self, const struct pg_reply *reply, struct unit **units, size_t n);
    /* Optional: frees unit->data of a unit that batch settles itself (by an error). */
    void (*drop)(struct unit *u);
};

/* Stores the units and settles each: by stage->stored(), or by unit_retry() and unit_reject() where
 * the database is away or refuses. `stage` is static. Returns at once; n <= ACTOR_BATCH_MAX. */
void batch_commit(struct actor *self, struct pg *pg, const struct batch_stage *stage,
                  struct unit *const *units, size_t n);

/* The unit with this id, taken out of the array (NULL stands in its place): a unit that was settled
 * is gone, and rows of a result come in any order. NULL where there is none. */
struct unit *batch_take(struct unit **units, size_t n, struct id id);

/* Sorts units by key, keeping the order of arrival among equals, then moves the first of each
 * key to the front. Number of those: the first round; the rest is sorted. Pure. */
size_t batch_round(struct unit **units, size_t n, struct id (*key)(const struct unit *u));

/* The locks of a stage's transaction, taken before anything is read: one per customer, in the order
 * of the units. All stages that decide what becomes of a conversation take them (ticketer, sender,
 * escalator), so each sees whole what another did. Given back by the commit. */
void batch_lock(struct pg_txn *t, struct unit *const *units, size_t n,
                struct id (*key)(const struct unit *u));

#endif
