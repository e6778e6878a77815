/* run - the table agent_runs: each tool call of a turn, in order, and what was decided.
 *
 * The last step of a unit is its decision. Steps are written once: who writes a unit again (a
 * replay) changes nothing and reads back the decision that stands there. Functions add statements
 * to a transaction of the caller.
 */
#ifndef DB_RUN_H
#define DB_RUN_H

#include "db/pg.h"
#include "proto/id.h"
#include "proto/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RUN_SCHEMA 1 /* the migration that made the table */

struct run_step {
    struct id unit;
    int32_t step;         /* 1.. within the unit, in the order of the calls */
    struct str tool;      /* "create_ticket", "search_knowledge_base" ... */
    struct str arguments; /* JSON, or empty */
    struct str result;    /* JSON, or empty */
};

/* Writes `steps`, whole units only: a unit that has steps already keeps those, and none of the new
 * ones is added. `units` names the same units. Adds RUN_WRITE_RESULTS results; the last has a row
 * for each unit that had been decided before: the others are decided as given. */
#define RUN_WRITE_RESULTS 2
void run_write(struct pg_txn *t, const struct run_step *steps, size_t n, const struct id *units,
               size_t n_units);

struct run_decision {
    struct id unit;
    struct str tool;   /* "send_response" or "escalate_to_human" */
    struct str result; /* JSON; borrowed from the result */
};
/* Row `i` of run_write()'s last result. */
void run_decision(const PGresult *r, int i, struct run_decision *ret);

#endif
