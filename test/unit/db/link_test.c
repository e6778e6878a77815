#include "db/link.h"

#include "test/unit/db/database.h"

#include <criterion/criterion.h>

/* One customer, one conversation, whatever the tests put into it. */
static struct database db;
static struct id customer, conversation;

static void
open_conversation(void)
{
    database_init(&db);
    customer = database_customer();
    conversation = id_random();
    database_sql(
        "insert into conversations (id, customer_id, channel) values ('%s', '%s', 'webform')",
        database_id(conversation), database_id(customer));
}

static void
close_conversation(void)
{
    database_fini(&db);
}

TestSuite(link, .init = open_conversation, .fini = close_conversation);

static struct id
message(struct id unit, struct id link, const char *body)
{
    struct id id = id_random();

    database_sql(
        "insert into messages (id, conversation_id, customer_id, unit_id, link_id, channel,"
        " direction, author, body) values ('%s', '%s', '%s', '%s', '%s', 'webform',"
        " 'inbound', 'customer', '%s')",
        database_id(id), database_id(conversation), database_id(customer), database_id(unit),
        database_id(link), body);
    return id;
}

static void
answer(struct id unit, const char *author, const char *body)
{
    database_sql(
        "insert into messages (id, conversation_id, customer_id, unit_id, channel, direction,"
        " author, body, sources) values ('%s', '%s', '%s', '%s', 'webform', 'outbound', '%s',"
        " '%s', '[{\"id\": \"a\", \"title\": \"T\"}]')",
        database_id(id_random()), database_id(conversation), database_id(customer),
        database_id(unit), author, body);
}

static void
ticket(const char *ref)
{
    database_sql("insert into tickets (id, customer_id, ref, channel) values ('%s', '%s', '%s',"
                 " 'webform')",
                 database_id(conversation), database_id(customer), ref);
}

static void
escalate(struct id unit, const char *reason)
{
    database_sql("insert into escalations (id, ticket_id, customer_id, reason, summary, context)"
                 " values ('%s', '%s', '%s', '%s', 's', '{}')",
                 database_id(unit), database_id(conversation), database_id(customer), reason);
}

static struct link_state
look(struct id link, struct id pending)
{
    struct link_state s;
    struct pg_txn *t = pg_begin(db.pg);

    link_read(t, link);
    const struct pg_reply *r = database_run(&db, &t);
    cr_assert_eq(r->err, 0, "%s", r->detail);
    link_state_read(r->results[0], pending, &s);
    return s;
}

static const struct id none = {{0}};

static void
expect(const struct link_state *s, size_t i, bool inbound, const char *body)
{
    cr_assert_lt(i, s->n);
    cr_expect_eq(s->messages[i].inbound, inbound, "message %zu", i);
    cr_expect(str_is(s->messages[i].body, body), "message %zu is %.*s", i,
              STR_ARG(s->messages[i].body));
}

Test(link, is_received_while_no_table_knows_it)
{
    struct link_state s = look(id_random(), none);

    cr_expect_eq(s.status, LINK_RECEIVED);
    cr_expect_eq(s.n, 0);
    cr_expect_str_eq(s.ticket, "");
    link_state_fini(&s);
}

Test(link, goes_from_processing_to_answered)
{
    struct id link = id_random(), unit = id_random();

    message(unit, link, "question");
    struct link_state s = look(link, none);
    cr_expect_eq(s.status, LINK_PROCESSING);
    link_state_fini(&s);

    answer(unit, "fte", "reply");
    s = look(link, none);
    cr_expect_eq(s.status, LINK_ANSWERED);
    expect(&s, 0, true, "question");
    expect(&s, 1, false, "reply");
    cr_expect_gt(s.messages[1].sources.n, 2);
    cr_expect_null(s.messages[0].sources.p);
    link_state_fini(&s);
}

Test(link, never_shows_what_came_or_went_over_another)
{
    struct id mine = id_random(), other = id_random(), unit = id_random(), other_unit = id_random();

    ticket("TKT-0A0A01");
    message(unit, mine, "mine");
    message(other_unit, other, "secret");
    answer(other_unit, "fte", "answer to the secret");
    struct link_state s = look(mine, none);
    cr_expect_eq(s.status, LINK_PROCESSING);
    cr_assert_eq(s.n, 1);
    expect(&s, 0, true, "mine");
    cr_expect_str_eq(s.ticket, "TKT-0A0A01");
    link_state_fini(&s);

    escalate(other_unit, "refund_request");
    s = look(mine, none);
    cr_expect_eq(s.status, LINK_PROCESSING);
    cr_expect_str_eq(s.reason, "");
    link_state_fini(&s);
}

Test(link, shows_a_reply_behind_the_burst_that_it_answers)
{
    struct id link = id_random(), first = id_random(), second = id_random();

    message(first, link, "one");
    message(second, link, "two");
    message(second, link, "three");
    answer(second, "fte", "to two and three");
    answer(first, "fte", "to one");
    struct link_state s = look(link, none);
    cr_assert_eq(s.n, 5);
    expect(&s, 0, true, "one");
    expect(&s, 1, false, "to one");
    expect(&s, 2, true, "two");
    expect(&s, 3, true, "three");
    expect(&s, 4, false, "to two and three");
    cr_expect_eq(s.status, LINK_ANSWERED);
    link_state_fini(&s);
}

Test(link, tells_why_a_person_has_it_until_the_person_replies)
{
    struct id link = id_random(), unit = id_random();

    ticket("TKT-0A0A02");
    message(unit, link, "I want a refund");
    escalate(unit, "refund_request");
    struct link_state s = look(link, none);
    cr_expect_eq(s.status, LINK_ESCALATED);
    cr_expect_str_eq(s.reason, "refund_request");
    link_state_fini(&s);

    answer(unit, "person", "done");
    s = look(link, none);
    cr_expect_eq(s.status, LINK_ANSWERED);
    cr_expect_str_eq(s.reason, "");
    expect(&s, 1, false, "done");
    cr_expect(s.messages[1].person);
    link_state_fini(&s);
}

Test(link, shows_what_a_person_adds_to_a_reply_of_ours)
{
    struct id link = id_random(), unit = id_random();

    message(unit, link, "question");
    answer(unit, "fte", "reply");
    answer(unit, "person", "one more thing");
    struct link_state s = look(link, none);
    cr_assert_eq(s.n, 3);
    expect(&s, 1, false, "reply");
    expect(&s, 2, false, "one more thing");
    cr_expect(s.messages[2].person && !s.messages[1].person);
    link_state_fini(&s);
}

Test(link, waits_for_a_reply_that_was_accepted_and_is_not_stored)
{
    struct id link = id_random(), unit = id_random(), known;

    known = message(unit, link, "question");
    answer(unit, "fte", "reply");
    struct link_state s = look(link, id_random());
    cr_expect_eq(s.status, LINK_RECEIVED);
    cr_expect_eq(s.n, 2, "what there is, is shown");
    link_state_fini(&s);
    s = look(link, known);
    cr_expect_eq(s.status, LINK_ANSWERED);
    link_state_fini(&s);
}

Test(link, tells_of_a_dead_letter_until_it_is_replayed)
{
    struct id link = id_random(), unit = id_random();

    database_sql(
        "insert into dead_letters (unit_id, topic, partition, record_offset, key, link_id,"
        " message_ids, bodies, received_at, error, service, why, attempts) values ('%s',"
        " 'fte.tickets.incoming', 0, 1, 'k', '%s', '{}', '{}', now(), 'malformed', 's', 'w',"
        " 5)",
        database_id(unit), database_id(link));
    struct link_state s = look(link, id_random());
    cr_expect_eq(s.status, LINK_ESCALATED);
    cr_expect_str_eq(s.reason, "dead_letter");
    link_state_fini(&s);

    database_sql("update dead_letters set state = 'replayed' where unit_id = '%s'",
                 database_id(unit));
    s = look(link, none);
    cr_expect_eq(s.status, LINK_RECEIVED);
    link_state_fini(&s);
}

Test(link, knows_the_addresses_of_its_customer_and_of_no_other)
{
    struct id link = id_random();

    database_sql("insert into customer_identifiers (customer_id, kind, value, assurance, resolves)"
                 " values ('%s', 'email', '%s@example.org', 'claimed', true)",
                 database_id(customer), database_id(customer));
    for (int stored = 0; stored < 2; stored++) {
        struct pg_txn *t = pg_begin(db.pg);
        link_email(t, link);
        const struct pg_reply *r = database_run(&db, &t);
        cr_assert_eq(r->err, 0, "%s", r->detail);
        cr_expect_eq(PQntuples(r->results[0]), stored);
        message(id_random(), link, "now it is stored");
    }
}
