#include "db/pg.h"

#include "proto/err.h"
#include "test/unit/db/database.h"

#include <criterion/criterion.h>
#include <stdlib.h>

static struct database db;

static void
setup(void)
{
    database_init(&db);
}

static void
teardown(void)
{
    database_fini(&db);
}

TestSuite(pg, .init = setup, .fini = teardown, .timeout = 30);

static const struct pg_stmt echo = {
    "t_echo", "select $1::text, $2::bigint, $3::float8, $4::bool, $5::uuid, $6::timestamptz,"
              " $7::jsonb, $8::bytea"};

Test(pg, carries_every_kind_of_value_there_and_back)
{
    struct pg_txn *t = pg_begin(db.pg);
    struct id id = id_random();
    const PGresult *r;

    pg_stmt(t, &echo);
    pg_put_text(t, STR("it's \"quoted\" $1 \xc3\xa9"));
    pg_put_int(t, -42);
    pg_put_float(t, 2.5);
    pg_put_bool(t, true);
    pg_put_id(t, id);
    pg_put_time(t, 1700000000123456);
    pg_put_json(t, STR("{\"a\": 1}"));
    pg_put_null(t);
    r = database_run(&db, &t)->results[0];
    cr_assert(str_is(pg_text(r, 0, 0), "it's \"quoted\" $1 \xc3\xa9"));
    cr_assert_eq(pg_int(r, 0, 1), -42);
    cr_assert_eq(pg_float(r, 0, 2), 2.5);
    cr_assert(pg_bool(r, 0, 3));
    cr_assert(id_eq(pg_id(r, 0, 4), id));
    cr_assert_eq(pg_time(r, 0, 5), 1700000000123456);
    cr_assert(str_is(pg_json(r, 0, 6), "{\"a\": 1}"));
    cr_assert(pg_null(r, 0, 7));
}

static const struct pg_stmt spread = {"t_spread",
                                      "select * from unnest($1::text[], $2::bigint[]) as u (a, b)"};

Test(pg, carries_arrays_with_nulls_and_empty_ones)
{
    struct pg_txn *t = pg_begin(db.pg);
    const PGresult *r;

    pg_stmt(t, &spread);
    pg_array(t, PG_TEXT);
    pg_put_text(t, STR("x"));
    pg_put_null(t);
    pg_array_end(t);
    pg_array(t, PG_INT);
    pg_put_int(t, 1);
    pg_put_int(t, 2);
    pg_array_end(t);
    r = database_run(&db, &t)->results[0];
    cr_assert_eq(PQntuples(r), 2);
    cr_assert(pg_null(r, 1, 0));
    cr_assert_eq(pg_int(r, 1, 1), 2);
    t = pg_begin(db.pg);
    pg_stmt(t, &spread);
    pg_array(t, PG_TEXT);
    pg_array_end(t);
    pg_array(t, PG_INT);
    pg_array_end(t);
    cr_assert_eq(PQntuples(database_run(&db, &t)->results[0]), 0);
}

static const struct pg_stmt fail = {"t_fail", "select 1 / $1::bigint"};
static const struct pg_stmt insert = {"t_insert", "insert into customers (id) values ($1::uuid)"};

Test(pg, commits_all_statements_of_a_transaction_or_none)
{
    struct pg_txn *t = pg_begin(db.pg);
    struct id id = id_random();
    const struct pg_reply *reply;

    pg_stmt(t, &insert);
    pg_put_id(t, id);
    pg_stmt(t, &fail);
    pg_put_int(t, 0);
    reply = database_run(&db, &t);
    cr_assert_eq(reply->err, ERR_INVALID);
    cr_assert_str_eq(reply->sqlstate, "22012");
    cr_assert_str_eq(
        database_sql("select count(*) from customers where id = '%s'", database_id(id)), "0");
    t = pg_begin(db.pg);
    pg_stmt(t, &insert);
    pg_put_id(t, id);
    cr_assert_eq(database_run(&db, &t)->err, 0);
    t = pg_begin(db.pg);
    pg_stmt(t, &insert);
    pg_put_id(t, id);
    cr_assert_eq(database_run(&db, &t)->err, ERR_CONFLICT);
}

static const struct pg_stmt bad_sql = {"t_bad", "select nothing from nowhere"};

Test(pg, goes_on_after_a_statement_that_cannot_be_prepared)
{
    struct pg_txn *t = pg_begin(db.pg);

    pg_stmt(t, &bad_sql);
    cr_assert_eq(database_run(&db, &t)->err, ERR_INTERNAL);
    t = pg_begin(db.pg);
    pg_stmt(t, &bad_sql);
    cr_assert_eq(database_run(&db, &t)->err, ERR_INTERNAL);
    t = pg_begin(db.pg);
    pg_stmt(t, &fail);
    pg_put_int(t, 1);
    cr_assert_eq(database_run(&db, &t)->err, 0);
}

static const struct pg_stmt backend = {"t_backend", "select pg_backend_pid()"};
static const struct pg_stmt sleep_long = {"t_sleep", "select pg_sleep(30)"};

struct answers {
    int n;
    int errs[8];
    bool all;
    int wanted;
};

static void
note_answer(void *arg, const struct pg_reply *reply)
{
    struct answers *a = arg;
    a->errs[a->n++] = reply->err;
    a->all = a->n == a->wanted;
}

Test(pg, answers_what_was_on_its_way_when_the_connection_is_killed_and_connects_again)
{
    struct pg_txn *t = pg_begin(db.pg);
    struct answers a = {.wanted = 2};
    long long pid;

    pg_stmt(t, &backend);
    pid = pg_int(database_run(&db, &t)->results[0], 0, 0);
    for (int i = 0; i < 2; i++) {
        t = pg_begin(db.pg);
        pg_stmt(t, &sleep_long);
        pg_commit(&t, note_answer, &a);
    }
    database_sql("select pg_terminate_backend(%lld)", pid);
    database_until(&db, NULL, &a.all);
    cr_assert_eq(a.errs[0], ERR_UNAVAILABLE);
    cr_assert_eq(a.errs[1], ERR_UNAVAILABLE);
    t = pg_begin(db.pg); /* waits for the next connection */
    pg_stmt(t, &backend);
    cr_assert_neq(pg_int(database_run(&db, &t)->results[0], 0, 0), pid);
}

Test(pg, answers_within_its_time_where_there_is_no_database)
{
    struct loop *loop = loop_new();
    struct pg *pg = pg_open(loop, "postgresql:///nowhere?host=/nonexistent", 0, NULL);
    struct answers a = {.wanted = 1};
    struct pg_txn *t = pg_begin(pg);
    int64_t start = clock_ms();

    pg_stmt(t, &backend);
    pg_commit(&t, note_answer, &a);
    while (!a.all && clock_ms() - start < 10000) {
        loop_turn(loop, 100);
    }
    cr_assert_eq(a.errs[0], ERR_UNAVAILABLE);
    cr_assert_lt(clock_ms() - start, 2 * PG_WAIT_MS);
    pg_close(&pg);
    loop_free(&loop);
}

static void
note_channel(void *arg, const char *channel, const char *payload)
{
    bool *heard = arg;
    *heard = strcmp(channel, "t_channel") == 0 && strcmp(payload, "hi") == 0;
}

Test(pg, hears_notifications_also_on_the_connection_after_a_lost_one)
{
    struct loop *loop = loop_new();
    bool heard = false;
    struct pg *pg = pg_open(loop, getenv("DATABASE_URL"), 0,
                            &(struct pg_events){.notify = note_channel, .arg = &heard});
    pg_listen(pg, "t_channel");
    for (int lost = 0; lost < 2; lost++) {
        int64_t end = clock_ms() + 10000;
        heard = false;
        while (!pg_is_up(pg) && clock_ms() < end) {
            loop_turn(loop, 50);
        }
        database_sql("select pg_notify('t_channel', 'hi')");
        while (!heard && clock_ms() < end) {
            loop_turn(loop, 50);
        }
        cr_assert(heard);
        database_sql(
            "select count(pg_terminate_backend(pid)) from pg_stat_activity where query like"
            " 'listen%%'");
        while (pg_is_up(pg) && clock_ms() < end) {
            loop_turn(loop, 50);
        }
    }
    pg_close(&pg);
    loop_free(&loop);
}
