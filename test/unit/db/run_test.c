#include "db/run.h"

#include "test/unit/db/database.h"

#include <criterion/criterion.h>
#include <stdlib.h>

static struct database db, other;

static void
setup(void)
{
    database_init(&db);
    database_init(&other);
}

static void
teardown(void)
{
    database_fini(&db);
    database_fini(&other);
}

TestSuite(run, .init = setup, .fini = teardown, .timeout = 30);

static void
two_steps(struct run_step steps[2], struct id unit, const char *decision)
{
    steps[0] = (struct run_step){
        .unit = unit, .step = 1, .tool = STR("create_ticket"), .result = STR("{\"ref\":\"T\"}")};
    steps[1] = (struct run_step){.unit = unit,
                                 .step = 2,
                                 .tool = STR("send_response"),
                                 .arguments = STR("{}"),
                                 .result = str_of(decision)};
}

static const struct pg_reply *
write_unit(struct database *on, struct id unit, const char *decision)
{
    struct run_step steps[2];
    struct pg_txn *t = pg_begin(on->pg);

    two_steps(steps, unit, decision);
    run_write(t, steps, 2, &unit, 1);
    const struct pg_reply *reply = database_run(on, &t);
    cr_assert_eq(reply->err, 0, "%s", reply->detail);
    return reply;
}

Test(run, steps_are_written_in_order_with_what_was_asked_and_told)
{
    struct id unit = id_random();

    const struct pg_reply *reply = write_unit(&db, unit, "{\"text\":\"a\"}");
    cr_expect_eq(PQntuples(reply->results[RUN_WRITE_RESULTS - 1]), 0);
    cr_expect_str_eq(
        database_sql("select string_agg(step || tool || coalesce(arguments::text, '-') || result,"
                     " ' ' order by step) from agent_runs where unit_id = '%s'",
                     database_id(unit)),
        "1create_ticket-{\"ref\": \"T\"} 2send_response{}{\"text\": \"a\"}");
}

Test(run, a_unit_that_was_decided_keeps_its_decision_and_tells_it)
{
    struct id unit = id_random();
    struct run_decision d;

    write_unit(&db, unit, "{\"text\":\"first\"}");
    const struct pg_reply *reply = write_unit(&other, unit, "{\"text\":\"second\"}");
    cr_assert_eq(PQntuples(reply->results[RUN_WRITE_RESULTS - 1]), 1);
    run_decision(reply->results[RUN_WRITE_RESULTS - 1], 0, &d);
    cr_expect(id_eq(d.unit, unit));
    cr_expect(str_is(d.tool, "send_response"));
    cr_expect(str_is(d.result, "{\"text\": \"first\"}"), "%.*s", STR_ARG(d.result));
    cr_expect_str_eq(database_sql("select count(*)::text from agent_runs where unit_id = '%s'",
                                  database_id(unit)),
                     "2");
}

Test(run, of_a_batch_only_the_units_that_were_decided_before_are_told)
{
    struct id units[] = {id_random(), id_random(), id_random()};
    struct run_step steps[6];
    struct run_decision d;

    write_unit(&db, units[1], "{\"text\":\"first\"}");
    for (size_t i = 0; i < 3; i++) {
        two_steps(steps + 2 * i, units[i], "{\"text\":\"second\"}");
    }
    struct pg_txn *t = pg_begin(db.pg);
    run_write(t, steps, 6, units, 3);
    const struct pg_reply *reply = database_run(&db, &t);
    cr_assert_eq(reply->err, 0, "%s", reply->detail);
    cr_assert_eq(PQntuples(reply->results[RUN_WRITE_RESULTS - 1]), 1);
    run_decision(reply->results[RUN_WRITE_RESULTS - 1], 0, &d);
    cr_expect(id_eq(d.unit, units[1]));
}

struct race {
    bool done[2];
    int told;
    int err;
};

static void
raced(void *arg, const struct pg_reply *reply)
{
    struct race *r = arg;

    r->err |= reply->err;
    r->told += reply->err ? 0 : PQntuples(reply->results[RUN_WRITE_RESULTS - 1]);
    r->done[r->done[0] ? 1 : 0] = true;
}

Test(run, two_that_decide_at_once_agree)
{
    for (int i = 0; i < 20; i++) {
        struct id unit = id_random();
        struct run_step steps[2];
        struct race race = {0};
        struct database *on[] = {&db, &other};

        for (int k = 0; k < 2; k++) {
            struct pg_txn *t = pg_begin(on[k]->pg);
            two_steps(steps, unit, k ? "{\"text\":\"b\"}" : "{\"text\":\"a\"}");
            run_write(t, steps, 2, &unit, 1);
            pg_commit(&t, raced, &race);
        }
        database_until(&db, &other, &race.done[1]);
        cr_expect_eq(race.err, 0);
        cr_expect_eq(race.told, 1); /* the later one is told of the earlier one's */
        cr_expect_str_eq(database_sql("select count(*)::text from agent_runs where unit_id = '%s'",
                                      database_id(unit)),
                         "2");
    }
}
