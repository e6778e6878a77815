#include "db/history.h"

#include "test/unit/db/database.h"

#include <criterion/criterion.h>

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

TestSuite(history, .init = setup, .fini = teardown, .timeout = 30);

/* A customer with `n` inbound messages "m1" ... in one conversation; the unit of the last one. */
static struct id
write_messages(struct id customer, int n)
{
    struct id conversation = id_random(), unit = {0};

    database_sql(
        "insert into conversations (id, customer_id, channel) values ('%s', '%s', 'webform')"
        " returning 1",
        database_id(conversation), database_id(customer));
    for (int i = 1; i <= n; i++) {
        unit = id_random();
        database_sql(
            "insert into messages (id, conversation_id, customer_id, unit_id, channel,"
            " direction, author, body, sentiment) values ('%s', '%s', '%s', '%s', 'webform',"
            " 'inbound', 'customer', 'm%d', 0.5) returning 1",
            database_id(unit), database_id(conversation), database_id(customer), database_id(unit),
            i);
    }
    return unit;
}

static const PGresult *
ask(const struct history_question *questions, size_t n)
{
    struct pg_txn *t = pg_begin(db.pg);
    const struct pg_reply *reply;

    history_put(t, questions, n);
    reply = database_run(&db, &t);
    cr_assert_eq(reply->err, 0, "%s", reply->detail);
    return reply->results[0];
}

Test(history, gives_the_last_twenty_newest_first_without_the_unit_that_asks)
{
    struct id customer = database_customer();
    struct history_question q = {.customer = customer, .unit = write_messages(customer, 25)};
    const PGresult *r = ask(&q, 1);
    struct history_row row;

    cr_assert_eq(PQntuples(r), HISTORY_MESSAGES);
    history_get(r, 0, &row);
    cr_assert(str_is(row.body, "m24"), "%.*s", STR_ARG(row.body));
    cr_assert(str_is(row.direction, "inbound"));
    cr_assert(row.has_sentiment);
    history_get(r, HISTORY_MESSAGES - 1, &row);
    cr_assert(str_is(row.body, "m5"));
}

Test(history, keeps_the_answers_to_several_questions_apart)
{
    struct history_question q[3] = {{.customer = database_customer()},
                                    {.customer = database_customer()},
                                    {.customer = database_customer()}};
    struct history_row row;
    const PGresult *r;

    write_messages(q[0].customer, 2);
    write_messages(q[2].customer, 1);
    r = ask(q, 3);
    cr_assert_eq(PQntuples(r), 3);
    history_get(r, 1, &row);
    cr_assert_eq(row.question, 0);
    history_get(r, 2, &row);
    cr_assert_eq(row.question, 2);
}

Test(history, cuts_a_long_message_at_a_character)
{
    struct history_question q = {.customer = database_customer()};
    struct history_row row;
    const PGresult *r;

    write_messages(q.customer, 1);
    database_sql("update messages set body = repeat(U&'\\00e9', 1500) where customer_id = '%s'"
                 " returning 1",
                 database_id(q.customer));
    r = ask(&q, 1);
    history_get(r, 0, &row);
    cr_assert(row.cut);
    cr_assert_eq(row.body.n, 2 * HISTORY_BODY_CHARS);
    cr_assert(str_is_text(row.body));
}
