/* What a person does with a ticket: once, at the gate of the stages, and never half. */
#include "db/handling.h"

#include "db/batch.h"
#include "db/escalation.h"
#include "db/outbox.h"
#include "test/unit/db/database.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static struct database db;

/* One conversation with a ticket and two messages, each a unit; the first is escalated. */
static struct id customer, first, second;
static struct handling_ticket ticket;

static struct id
message(struct id id)
{
    database_sql("insert into messages (id, conversation_id, customer_id, unit_id, channel,"
                 " direction, author, body, received_at) values ('%s', '%s', '%s', '%s', 'webform',"
                 " 'inbound', 'customer', 'Hello', now())",
                 database_id(id), database_id(first), database_id(customer), database_id(id));
    return id;
}

static void
escalate(struct id unit)
{
    database_sql("insert into escalations (id, ticket_id, customer_id, reason, summary, context)"
                 " values ('%s', '%s', '%s', 'refund_request', 's', '{}')",
                 database_id(unit), database_id(first), database_id(customer));
    database_sql("update conversations set state = 'human' where id = '%s'", database_id(first));
    database_sql("update tickets set status = 'escalated' where id = '%s'", database_id(first));
}

static void
open_conversation(void)
{
    uint32_t number;

    customer = database_customer();
    first = id_random();
    memcpy(&number, first.b, sizeof(number));
    snprintf(ticket.ref, sizeof(ticket.ref), "TKT-%06X", number & 0xffffff);
    ticket.id = first;
    database_sql(
        "insert into conversations (id, customer_id, channel) values ('%s', '%s', 'webform')",
        database_id(first), database_id(customer));
    database_sql("insert into tickets (id, customer_id, ref, channel) values ('%s', '%s', '%s',"
                 " 'webform')",
                 database_id(first), database_id(customer), ticket.ref);
    message(first);
    escalate(first);
    second = message(id_random());
}

static void
init(void)
{
    database_init(&db);
    open_conversation();
}

static void
fini(void)
{
    database_fini(&db);
}

TestSuite(handling, .init = init, .fini = fini, .timeout = 30);

/* Runs what was added; the result's text lives until the next. */
static struct handling_result
result_of(struct pg_txn *t)
{
    const struct pg_reply *reply = database_run(&db, &t);
    struct handling_result r;

    cr_assert_eq(reply->err, 0, "%s %s", reply->sqlstate, reply->detail);
    handling_get(reply, &r);
    return r;
}

static struct handling_result
reply(struct id id, const char *text)
{
    struct pg_txn *t = pg_begin(db.pg);
    handling_reply(t, &ticket, id, str_of(text));
    return result_of(t);
}

static struct handling_result
give_back(void)
{
    struct pg_txn *t = pg_begin(db.pg);
    handling_release(t, &ticket);
    return result_of(t);
}

static struct handling_result
end(void)
{
    struct pg_txn *t = pg_begin(db.pg);
    handling_close(t, &ticket);
    return result_of(t);
}

/* "ticket/owner/escalations that aren't closed/notes/answers by a person/open or closed". */
static const char *
standing(void)
{
    const char *id = database_id(first);

    return database_sql(
        "select k.status || '/' || c.state || '/'"
        " || (select count(*) from escalations where ticket_id = k.id and status <> 'closed') || "
        "'/'"
        " || (select count(*) from ticket_notes where ticket_id = k.id) || '/'"
        " || (select count(*) from messages where conversation_id = k.id and author = 'person')"
        " || case when c.closed_at is null then '/open' else '/closed' end"
        " from tickets k join conversations c on c.id = k.id where k.id = '%s'",
        id);
}

Test(handling, an_answer_goes_to_the_message_that_waits_for_a_person)
{
    struct id id = id_random();
    struct handling_result r = reply(id, "I have looked into it.");

    cr_assert_eq(r.outcome, HANDLING_DONE);
    cr_assert(str_is(r.ref, ticket.ref));
    cr_assert(str_is(r.status, "escalated") && str_is(r.owner, "human"));
    cr_assert_str_eq(
        database_sql("select unit_id || direction || body from messages"
                     " where id = '%s' and author = 'person'",
                     database_id(id)),
        database_sql("select '%s' || 'outbound' || 'I have looked into it.'", database_id(first)),
        "the escalated one, though another is newer");
    cr_assert_str_eq(
        database_sql("select status from escalations where id = '%s'", database_id(first)),
        "taken");
}

Test(handling, an_answer_goes_to_the_newest_message_where_none_is_escalated)
{
    struct id id = id_random();

    give_back();
    cr_assert_eq(reply(id, "One more thing.").outcome, HANDLING_DONE);
    cr_assert_str_eq(database_sql("select unit_id from messages where id = '%s'", database_id(id)),
                     database_id(second));
    cr_assert_str_eq(standing(), "open/automatic/0/1/1/open");
}

Test(handling, an_answer_is_stored_once_under_its_id)
{
    struct id id = id_random();

    reply(id, "Yes.");
    cr_assert_eq(reply(id, "Yes.").outcome, HANDLING_STANDS);
    cr_assert_eq(reply(id, "No.").outcome, HANDLING_CONFLICT);
    cr_assert_eq(reply(second, "Yes.").outcome, HANDLING_CONFLICT,
                 "the id of a customer's message");
    cr_assert_str_eq(standing(), "escalated/human/1/0/1/open");
}

Test(handling, what_is_given_back_is_automatic_again)
{
    struct handling_result r = give_back();

    cr_assert_eq(r.outcome, HANDLING_DONE);
    cr_assert(str_is(r.status, "open") && str_is(r.owner, "automatic"));
    cr_assert_str_eq(standing(), "open/automatic/0/1/0/open");
    r = give_back();
    cr_assert_eq(r.outcome, HANDLING_STANDS);
    cr_assert(str_is(r.status, "open") && str_is(r.owner, "automatic"));
    cr_assert_str_eq(standing(), "open/automatic/0/1/0/open");
}

Test(handling, can_be_given_back_after_each_escalation)
{
    give_back();
    escalate(second);
    cr_assert_eq(give_back().outcome, HANDLING_DONE);
    cr_assert_str_eq(standing(), "open/automatic/0/2/0/open");
    cr_assert_str_eq(database_sql("select count(*) from escalations where ticket_id = '%s'"
                                  " and status = 'closed'",
                                  database_id(first)),
                     "2", "they are kept");
}

Test(handling, what_is_closed_is_closed_whole)
{
    struct handling_result r = end();

    cr_assert_eq(r.outcome, HANDLING_DONE);
    cr_assert(str_is(r.status, "closed") && str_is(r.owner, "automatic"));
    cr_assert_str_eq(standing(), "closed/automatic/0/1/0/closed");
    cr_assert_eq(end().outcome, HANDLING_STANDS);
    cr_assert_eq(give_back().outcome, HANDLING_STANDS, "there is nothing to give back");
    cr_assert_str_eq(standing(), "closed/automatic/0/1/0/closed");
}

Test(handling, a_ticket_is_found_by_its_id_and_an_unknown_one_is_not)
{
    ticket.ref[0] = '\0';
    cr_assert_eq(give_back().outcome, HANDLING_DONE);
    ticket.id = second;
    cr_assert_eq(give_back().outcome, HANDLING_UNKNOWN);
    cr_assert_eq(end().outcome, HANDLING_UNKNOWN);
    cr_assert_eq(reply(id_random(), "Hello?").outcome, HANDLING_UNKNOWN);
}

/* --- at the same time as the stages --------------------------------------------------------- */

struct race {
    int answers, errors;
    bool both;
};

static void
raced(void *arg, const struct pg_reply *reply)
{
    struct race *race = arg;

    race->errors += reply->err != 0;
    race->both = ++race->answers == 2;
}

static struct id
customer_of(const struct unit *u)
{
    (void)u;
    return customer;
}

/* A stage decides on the second unit, on another connection. */
static void
decide(struct database *other, bool answer, struct race *race)
{
    const struct escalation e = {.unit = second,
                                 .conversation = first,
                                 .customer = customer,
                                 .reason = "human_owned",
                                 .evidence = STR("[]"),
                                 .summary = STR("s"),
                                 .context = STR("{}"),
                                 .received_us = 1750000000000000};
    const struct outbox_reply r = {.unit = second,
                                   .conversation = first,
                                   .customer = customer,
                                   .text = STR("Like so."),
                                   .content = true,
                                   .received_us = 1750000000000000};
    const struct escalation *escalations = &e;
    const struct outbox_reply *replies = &r;
    struct unit unit = {0}, *units = &unit;
    struct pg_txn *t = pg_begin(other->pg);

    batch_lock(t, &units, 1, customer_of);
    if (answer) {
        outbox_put_delivered(t, STR("webform"), &replies, 1);
    } else {
        escalation_put(t, &escalations, 1);
    }
    pg_commit(&t, raced, race);
}

static void
race_of(bool answer, bool closing, const char *before, const char *after)
{
    struct database other;

    database_init(&other);
    for (int run = 0; run < 15; run++) {
        struct race race = {0};
        struct pg_txn *t;
        const char *now;

        open_conversation();
        t = pg_begin(db.pg);
        if (closing) {
            handling_close(t, &ticket);
        } else {
            handling_release(t, &ticket);
        }
        if (run % 2 == 0) {
            decide(&other, answer, &race);
        }
        pg_commit(&t, raced, &race);
        if (run % 2 != 0) {
            decide(&other, answer, &race);
        }
        database_until(&db, &other, &race.both);
        cr_assert_eq(race.errors, 0, "no deadlock and no conflict");
        now = standing();
        cr_assert(strcmp(now, before) == 0 || strcmp(now, after) == 0, "%s", now);
    }
    database_fini(&other);
}

Test(handling, what_is_escalated_while_it_is_given_back_is_a_persons_or_closed_with_it)
{
    race_of(false, false, "open/automatic/0/1/0/open", "escalated/human/1/1/0/open");
}

Test(handling, what_is_escalated_while_it_is_closed_is_a_persons_or_closed_with_it)
{
    race_of(false, true, "closed/automatic/0/1/0/closed", "escalated/human/1/1/0/closed");
}

Test(handling, what_is_answered_while_it_is_given_back_is_refused_or_resolves_it)
{
    race_of(true, false, "open/automatic/0/1/0/open", "resolved/automatic/0/1/0/open");
}
