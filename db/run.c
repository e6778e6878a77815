#include "db/run.h"

/* A unit is written whole or not at all: two deliveries of it that decide at once must not mix
 * their steps. The first step's key settles who is first; the second waits for it and then adds
 * nothing. */
static const struct pg_stmt write_steps = {
    "run_write",
    "with given as (select * from unnest($1::uuid[], $2::bigint[], $3::text[], $4::jsonb[],"
    "                                    $5::jsonb[]) as g(unit_id, step, tool, arguments, "
    "result)),"
    " first as (insert into agent_runs (unit_id, step, tool, arguments, result)"
    "           select unit_id, step, tool, arguments, result from given where step = 1"
    "           on conflict (unit_id, step) do nothing returning unit_id)"
    " insert into agent_runs (unit_id, step, tool, arguments, result)"
    " select g.unit_id, g.step, g.tool, g.arguments, g.result"
    " from given g join first f on f.unit_id = g.unit_id where g.step > 1",
};
/* Of other transactions than this one. */
static const struct pg_stmt find_decisions = {
    "run_find",
    "select unit_id, tool, result from agent_runs"
    " where unit_id = any($1::uuid[]) and tool in ('send_response', 'escalate_to_human')"
    "   and xmin <> pg_current_xact_id()::xid",
};

void
run_write(struct pg_txn *t, const struct run_step *steps, size_t n, const struct id *units,
          size_t n_units)
{
    pg_stmt(t, &write_steps);
    pg_array(t, PG_ID);
    for (size_t i = 0; i < n; i++) {
        pg_put_id(t, steps[i].unit);
    }
    pg_array_end(t);
    pg_array(t, PG_INT);
    for (size_t i = 0; i < n; i++) {
        pg_put_int(t, steps[i].step);
    }
    pg_array_end(t);
    pg_array(t, PG_TEXT);
    for (size_t i = 0; i < n; i++) {
        pg_put_text(t, steps[i].tool);
    }
    pg_array_end(t);
    for (int field = 0; field < 2; field++) {
        pg_array(t, PG_JSON);
        for (size_t i = 0; i < n; i++) {
            struct str json = field == 0 ? steps[i].arguments : steps[i].result;
            if (json.n > 0) {
                pg_put_json(t, json);
            } else {
                pg_put_null(t);
            }
        }
        pg_array_end(t);
    }
    pg_stmt(t, &find_decisions);
    pg_array(t, PG_ID);
    for (size_t i = 0; i < n_units; i++) {
        pg_put_id(t, units[i]);
    }
    pg_array_end(t);
}

void
run_decision(const PGresult *r, int i, struct run_decision *ret)
{
    *ret = (struct run_decision){
        .unit = pg_id(r, i, 0),
        .tool = pg_text(r, i, 1),
        .result = pg_json(r, i, 2),
    };
}
