#include "db/sentiment.h"
#include "test/unit/db/database.h"

#include <criterion/criterion.h>
#include <string.h>

TestSuite(sentiment_rows, .timeout = 30);

/* A message of a new customer in a new conversation. */
static struct id
message(const char *direction)
{
    struct id customer = database_customer(), id = id_random();

    database_sql(
        "insert into conversations (id, customer_id, channel) values ('%s', '%s', 'webform')"
        " returning 1",
        database_id(id), database_id(customer));
    database_sql(
        "insert into messages (id, conversation_id, customer_id, unit_id, channel, direction,"
        " author, body) values ('%s', '%s', '%s', '%s', 'webform', '%s', '%s', 'x') returning 1",
        database_id(id), database_id(id), database_id(customer), database_id(id), direction,
        strcmp(direction, "inbound") == 0 ? "customer" : "person");
    return id;
}

static const char *
stored(struct id id)
{
    return database_sql("select sentiment || ' ' || xmin from messages where id = '%s'",
                        database_id(id));
}

static void
put(struct database *db, const struct sentiment_row *rows, size_t n)
{
    struct pg_txn *t = pg_begin(db->pg);
    const struct pg_reply *reply;

    sentiment_put(t, rows, n);
    reply = database_run(db, &t);
    cr_assert_eq(reply->err, 0, "%s %s", reply->sqlstate, reply->detail);
}

Test(sentiment_rows, are_stored_for_all_messages_at_once_and_a_replay_writes_nothing)
{
    struct database db;
    struct sentiment_row rows[] = {
        {message("inbound"), -0.123456}, {message("inbound"), 1}, {id_random(), 0.5}};
    char before[64];

    database_init(&db);
    put(&db, rows, 3);
    strcpy(before, stored(rows[0].message));
    cr_expect_eq(strncmp(before, "-0.12345", 8), 0, "%s", before);
    cr_expect_eq(strncmp(stored(rows[1].message), "1 ", 2), 0);
    put(&db, rows, 3);
    cr_expect_str_eq(stored(rows[0].message), before);
    database_fini(&db);
}

Test(sentiment_rows, are_of_what_customers_wrote_only)
{
    struct database db;
    struct sentiment_row row = {message("outbound"), 0.5};

    database_init(&db);
    put(&db, &row, 1);
    cr_expect_str_eq(stored(row.message), "");
    database_fini(&db);
}
