#include "db/metric.h"

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

TestSuite(metric, .init = setup, .fini = teardown, .timeout = 30);

static void
roll_up(void)
{
    struct pg_txn *t = pg_begin(db.pg);
    const struct pg_reply *reply;

    metric_put(t);
    reply = database_run(&db, &t);
    cr_assert_eq(reply->err, 0, "%s", reply->detail);
}

static double
total(const char *name)
{
    return atof(database_sql("select coalesce(sum(value), 0) from agent_metrics where channel = "
                             "'webform' and name = '%s'",
                             name));
}

static void
exchange(void)
{
    struct id customer = database_customer(), id = id_random();
    const char *c, *u;

    c = database_id(customer);
    u = database_id(id);
    database_sql(
        "insert into conversations (id, customer_id, channel) values ('%s', '%s', 'webform')"
        " returning 1",
        u, c);
    database_sql("insert into tickets (id, customer_id, channel, ref) select '%s', '%s', 'webform',"
                 " 'TKT-' || translate(upper(substr(md5(random()::text), 1, 6)), 'ILOU', '1100')"
                 " returning 1",
                 u, c);
    database_sql(
        "insert into messages (id, conversation_id, customer_id, unit_id, channel, direction, "
        "author,"
        " body, sentiment, received_at) values ('%s', '%s', '%s', '%s', 'webform', 'inbound',"
        " 'customer', 'x', -0.5, now()), (gen_random_uuid(), '%s', '%s', '%s', 'webform', "
        "'outbound',"
        " 'fte', 'y', null, now() - interval '250 ms') returning 1",
        u, u, c, u, u, c, u);
    database_sql("insert into escalations (id, ticket_id, customer_id, reason, summary, context)"
                 " values ('%s', '%s', '%s', 'refund_request', 's', '{}') returning 1",
                 u, u, c);
}

Test(metric, counts_what_came_what_was_answered_and_what_was_escalated_and_why)
{
    double received, answered, refunds;

    roll_up();
    received = total("received");
    answered = total("answered");
    refunds = total("escalated_refund_request");
    exchange();
    exchange();
    roll_up();
    cr_assert_eq(total("received"), received + 2);
    cr_assert_eq(total("answered"), answered + 2);
    cr_assert_eq(total("escalated_refund_request"), refunds + 2);
    cr_assert_gt(total("latency_p95_ms"), 0);
}

Test(metric, gives_the_same_figures_when_it_counts_again)
{
    double received;

    exchange();
    roll_up();
    received = total("received");
    roll_up();
    roll_up();
    cr_assert_eq(total("received"), received);
}
