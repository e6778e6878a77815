/* Dead letters: one outcome a unit, kept whole, replayed once. */
#include "db/dead.h"
#include "db/log.h"
#include "test/unit/db/database.h"

#include <criterion/criterion.h>

TestSuite(dead, .timeout = 30);

struct scene {
    struct database db;
    struct id unit;
    int32_t owner;
    int64_t fence;
};

/* A lease of our own, and a unit that nobody knows. */
static void
scene_init(struct scene *s)
{
    database_init(&s->db);
    s->unit = id_random();
    s->owner = atoi(database_sql("select nextval('log_member_ids')"));
    s->fence = atoll(
        database_sql("update log_partitions set owner = %d, fence = fence + 1,"
                     " lease_until = now() + interval '1 minute' where topic = '" TOPIC_INCOMING
                     "' and partition = 3 returning fence",
                     s->owner));
}

static void
scene_fini(struct scene *s)
{
    database_sql("update log_partitions set owner = null where owner = %d", s->owner);
    database_fini(&s->db);
}

static enum dead_fate
put(struct scene *s, int64_t fence)
{
    const struct str bodies[] = {STR("first"), STR("second")};
    const struct id messages[] = {s->unit, id_random()};
    struct pg_txn *t = pg_begin(s->db.pg);
    const struct pg_reply *reply;

    dead_put(t, &(struct dead_unit){.topic = TOPIC_INCOMING,
                                    .partition = 3,
                                    .owner = s->owner,
                                    .fence = fence,
                                    .offset = 7,
                                    .unit = s->unit,
                                    .key = STR("dead"),
                                    .message_ids = messages,
                                    .message_n = 2,
                                    .bodies = bodies,
                                    .body_n = 2,
                                    .received_us = 1750000000000000,
                                    .error = "internal",
                                    .service = STR("triage"),
                                    .why = "no rules",
                                    .attempts = 5,
                                    .record = STR("record")});
    reply = database_run(&s->db, &t);
    cr_assert_eq(reply->err, 0, "%s %s", reply->sqlstate, reply->detail);
    return dead_put_read(reply);
}

static bool
change(struct scene *s, void (*fn)(struct pg_txn *, struct id))
{
    struct pg_txn *t = pg_begin(s->db.pg);
    const struct pg_reply *reply;

    fn(t, s->unit);
    reply = database_run(&s->db, &t);
    cr_assert_eq(reply->err, 0, "%s %s", reply->sqlstate, reply->detail);
    return dead_moved(reply);
}

/* "state/deaths", and how many records stand on fte.dlq and wait to be done again. */
static const char *
standing(const struct scene *s)
{
    const char *unit = database_id(s->unit);

    return database_sql("select coalesce((select state || '/' || deaths from dead_letters where"
                        " unit_id = '%s'), '-') || '/' || (select count(*) from log_records where"
                        " key = 'dead' and topic = 'fte.dlq') || '/' || (select count(*) from"
                        " log_records where unit = '%s')",
                        unit, unit);
}

static void
clean(void)
{
    database_sql("delete from log_records where key = 'dead'");
}

/* The first message of the unit, with its ticket. */
static void
add_ticket(const struct scene *s)
{
    struct id customer = database_customer();
    const char *unit = database_id(s->unit), *who = database_id(customer);

    database_sql("insert into conversations (id, customer_id, channel) values ('%s', '%s',"
                 " 'webform')",
                 unit, who);
    database_sql("insert into tickets (id, customer_id, ref, channel) values ('%s', '%s',"
                 " 'TKT-' || upper(substr('%s', 1, 6)), 'webform')",
                 unit, who, unit);
    database_sql("insert into messages (id, conversation_id, customer_id, unit_id, channel,"
                 " direction, author, body) values ('%s', '%s', '%s', '%s', 'webform', 'inbound',"
                 " 'customer', 'Hello')",
                 unit, unit, who, unit);
}

Test(dead, is_stored_once_with_its_record_on_the_topic, .init = clean)
{
    struct scene s;

    scene_init(&s);
    cr_assert_eq(put(&s, s.fence), DEAD_BURIED);
    cr_assert_eq(put(&s, s.fence), DEAD_BURIED, "again, after an outcome that wasn't known");
    cr_assert_str_eq(standing(&s), "dead/1/1/0");
    scene_fini(&s);
}

Test(dead, leaves_a_note_on_its_ticket, .init = clean)
{
    struct scene s;

    scene_init(&s);
    add_ticket(&s);
    cr_assert_eq(put(&s, s.fence), DEAD_BURIED);
    cr_assert_str_eq(database_sql("select count(*) from ticket_notes where ticket_id = '%s'"
                                  " and kind = 'dead_letter'",
                                  database_id(s.unit)),
                     "1");
    scene_fini(&s);
}

Test(dead, is_not_stored_under_a_lease_that_is_over, .init = clean)
{
    struct scene s;

    scene_init(&s);
    cr_assert_eq(put(&s, s.fence - 1), DEAD_FENCED);
    cr_assert_str_eq(standing(&s), "-/0/0");
    scene_fini(&s);
}

Test(dead, is_not_stored_where_a_reply_or_an_escalation_stands, .init = clean)
{
    struct scene s;

    scene_init(&s);
    add_ticket(&s);
    database_sql(
        "insert into escalations (id, ticket_id, customer_id, reason, summary, context)"
        " select id, id, customer_id, 'refund_request', '', '{}' from tickets where id = '%s'",
        database_id(s.unit));
    cr_assert_eq(put(&s, s.fence), DEAD_SETTLED);
    cr_assert_str_eq(standing(&s), "-/0/0");
    scene_fini(&s);
}

Test(dead, is_replayed_once_and_may_die_again, .init = clean)
{
    struct scene s;

    scene_init(&s);
    cr_assert_not(change(&s, dead_replay), "there is none");
    put(&s, s.fence);
    cr_assert(change(&s, dead_replay));
    cr_assert_not(change(&s, dead_replay));
    cr_assert_not(change(&s, dead_drop));
    cr_assert_str_eq(standing(&s), "replayed/1/1/2");
    cr_assert_str_eq(database_sql("select string_agg(convert_from(body, 'utf8') || unit_at ||"
                                  " unit_size, ',' order by record_offset) from log_records"
                                  " where unit = '%s'",
                                  database_id(s.unit)),
                     "first02,second12");
    cr_assert_eq(put(&s, s.fence), DEAD_BURIED);
    cr_assert_str_eq(standing(&s), "dead/2/2/2");
    scene_fini(&s);
}

Test(dead, is_closed_by_dropping_it, .init = clean)
{
    struct scene s;

    scene_init(&s);
    put(&s, s.fence);
    cr_assert(change(&s, dead_drop));
    cr_assert_not(change(&s, dead_drop));
    cr_assert_not(change(&s, dead_replay));
    cr_assert_str_eq(standing(&s), "dropped/1/1/0");
    cr_assert_eq(put(&s, s.fence), DEAD_BURIED, "a late delivery leaves it closed");
    cr_assert_str_eq(standing(&s), "dropped/1/1/0");
    scene_fini(&s);
}
