/* For each unit there is one outcome: a reply or an escalation, whoever asks, however often. */
#include "db/batch.h"
#include "db/escalation.h"
#include "db/outbox.h"
#include "proto/clock.h"
#include "test/unit/db/database.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#define BATCH 8

TestSuite(outcome, .timeout = 30);

/* A conversation with one message, which is its first unit. */
struct talk {
    struct id customer, unit;
    char ref[16];
};

static struct talk
talk(void)
{
    struct talk talk = {.customer = database_customer(), .unit = id_random()};
    uint32_t number;

    /* A reference that no other test has: its alphabet holds the hexadecimal digits. */
    memcpy(&number, talk.unit.b, sizeof(number));
    snprintf(talk.ref, sizeof(talk.ref), "TKT-%06X", number & 0xffffff);
    database_sql(
        "insert into conversations (id, customer_id, channel) values ('%s', '%s', 'webform')",
        database_id(talk.unit), database_id(talk.customer));
    database_sql("insert into tickets (id, customer_id, ref, channel) values ('%s', '%s', '%s',"
                 " 'webform')",
                 database_id(talk.unit), database_id(talk.customer), talk.ref);
    database_sql("insert into messages (id, conversation_id, customer_id, unit_id, channel,"
                 " direction, author, body, received_at) values ('%s', '%s', '%s', '%s', 'webform',"
                 " 'inbound', 'customer', 'Hello', now())",
                 database_id(talk.unit), database_id(talk.unit), database_id(talk.customer),
                 database_id(talk.unit));
    return talk;
}

static struct outbox_reply
reply_to(const struct talk *talk)
{
    return (struct outbox_reply){.unit = talk->unit,
                                 .conversation = talk->unit,
                                 .customer = talk->customer,
                                 .text = STR("Like so."),
                                 .sources = STR("[{\"id\": \"guide\"}]"),
                                 .content = true,
                                 .received_us = 1750000000000000};
}

static struct escalation
escalation_of(const struct talk *talk)
{
    return (struct escalation){.unit = talk->unit,
                               .conversation = talk->unit,
                               .customer = talk->customer,
                               .reason = "refund_request",
                               .evidence = STR("[]"),
                               .summary = STR("Wants money back."),
                               .context = STR("{\"history\": []}"),
                               .has_sentiment = true,
                               .sentiment = -0.5,
                               .received_us = 1750000000000000};
}

static enum outbox_outcome
send_reply(struct database *db, const struct outbox_reply *r)
{
    struct pg_txn *t = pg_begin(db->pg);
    const struct pg_reply *reply;
    enum outbox_outcome outcome;
    struct id unit;

    outbox_put_delivered(t, STR("webform"), &r, 1);
    reply = database_run(db, &t);
    cr_assert_eq(reply->err, 0, "%s %s", reply->sqlstate, reply->detail);
    cr_assert_eq(PQntuples(reply->results[0]), 1);
    outbox_get(reply->results[0], 0, &unit, &outcome);
    cr_assert(id_eq(unit, r->unit));
    return outcome;
}

static struct escalation_stored
escalate(struct database *db, const struct escalation *e)
{
    struct pg_txn *t = pg_begin(db->pg);
    const struct pg_reply *reply;
    struct escalation_stored stored;

    escalation_put(t, &e, 1);
    reply = database_run(db, &t);
    cr_assert_eq(reply->err, 0, "%s %s", reply->sqlstate, reply->detail);
    cr_assert_eq(PQntuples(reply->results[0]), 1);
    escalation_get(reply->results[0], 0, &stored);
    return stored;
}

/* "replies/outbox/escalations/ticket/owner" of a talk. */
static const char *
standing(const struct talk *talk)
{
    const char *id = database_id(talk->unit);

    return database_sql("select (select count(*) from messages where unit_id = '%s' and direction "
                        "= 'outbound') || '/'"
                        " || (select count(*) from outbox where id = '%s') || '/'"
                        " || (select count(*) from escalations where id = '%s') || '/' || t.status "
                        "|| '/' || c.state"
                        " from tickets t join conversations c on c.id = t.id where t.id = '%s'",
                        id, id, id, id);
}

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
    return ((const struct talk *)u->data)->customer;
}

Test(outcome, is_a_reply_once_and_the_ticket_is_resolved)
{
    struct database db;
    struct talk t = talk();
    struct outbox_reply r = reply_to(&t), other = r;

    database_init(&db);
    cr_assert_eq(send_reply(&db, &r), OUTBOX_SENT);
    cr_assert_str_eq(standing(&t), "1/1/0/resolved/automatic");
    other.text = STR("Another text.");
    cr_assert_eq(send_reply(&db, &other), OUTBOX_SENT, "a replay is told that it stands");
    cr_assert_str_eq(standing(&t), "1/1/0/resolved/automatic");
    cr_assert_str_eq(
        database_sql("select body || sources::text || state from messages m join outbox o"
                     " on o.message_id = m.id where unit_id = '%s'",
                     database_id(t.unit)),
        "Like so.[{\"id\": \"guide\"}]SENT");
    database_fini(&db);
}

Test(outcome, is_a_reply_and_the_ticket_stays_open_where_the_customer_sounded_unhappy)
{
    struct database db;
    struct talk t = talk();
    struct outbox_reply r = reply_to(&t);

    database_init(&db);
    r.content = false;
    r.sources = (struct str){0};
    cr_assert_eq(send_reply(&db, &r), OUTBOX_SENT);
    cr_assert_str_eq(standing(&t), "1/1/0/open/automatic");
    database_fini(&db);
}

Test(outcome, is_no_reply_while_a_person_owns_the_conversation)
{
    struct database db;
    struct talk t = talk();
    struct outbox_reply r = reply_to(&t);

    database_init(&db);
    database_sql("update conversations set state = 'human' where id = '%s'", database_id(t.unit));
    cr_assert_eq(send_reply(&db, &r), OUTBOX_REFUSED);
    cr_assert_str_eq(standing(&t), "0/0/0/open/human");
    database_fini(&db);
}

Test(outcome, is_an_escalation_once_and_no_reply_after_it)
{
    struct database db;
    struct talk t = talk();
    struct escalation e = escalation_of(&t), other = e;
    struct outbox_reply r = reply_to(&t);
    struct escalation_stored stored;

    database_init(&db);
    stored = escalate(&db, &e);
    cr_assert_eq(stored.outcome, ESCALATION_STORED);
    cr_assert(str_is(stored.ref, t.ref));
    cr_assert_str_eq(standing(&t), "0/0/1/escalated/human");
    other.reason = "legal_issue";
    stored = escalate(&db, &other);
    cr_assert_eq(stored.outcome, ESCALATION_STORED);
    cr_assert(str_is(stored.reason, "refund_request"), "a replay is told what stands");
    cr_assert_eq(send_reply(&db, &r), OUTBOX_REFUSED);
    cr_assert_str_eq(standing(&t), "0/0/1/escalated/human");

    /* Not even where the person has given the conversation back meanwhile. */
    database_sql("update conversations set state = 'automatic' where id = '%s'",
                 database_id(t.unit));
    cr_assert_eq(send_reply(&db, &r), OUTBOX_REFUSED);
    cr_assert_str_eq(standing(&t), "0/0/1/escalated/automatic");
    database_fini(&db);
}

Test(outcome, is_no_escalation_of_a_unit_that_has_its_reply)
{
    struct database db;
    struct talk t = talk();
    struct outbox_reply r = reply_to(&t);
    struct escalation e = escalation_of(&t);

    database_init(&db);
    send_reply(&db, &r);
    cr_assert_eq(escalate(&db, &e).outcome, ESCALATION_NONE);
    cr_assert_str_eq(standing(&t), "1/1/0/resolved/automatic");
    database_fini(&db);
}

Test(outcome, is_a_dead_letter_and_nothing_else_until_it_is_replayed)
{
    struct database db;
    struct talk t = talk();
    struct outbox_reply r = reply_to(&t);
    struct escalation e = escalation_of(&t);

    database_init(&db);
    database_sql(
        "insert into dead_letters (unit_id, topic, partition, record_offset, key, message_ids,"
        " bodies, received_at, error, service, why, attempts) values ('%s',"
        " 'fte.tickets.incoming', 0, 0, 'k', '{}', '{}', now(), 'timeout', 'edge', 'x', 5)",
        database_id(t.unit));
    cr_assert_eq(send_reply(&db, &r), OUTBOX_DEAD);
    cr_assert_eq(escalate(&db, &e).outcome, ESCALATION_NONE);
    cr_assert_str_eq(standing(&t), "0/0/0/open/automatic");
    database_sql("update dead_letters set state = 'replayed' where unit_id = '%s'",
                 database_id(t.unit));
    cr_assert_eq(send_reply(&db, &r), OUTBOX_SENT);
    cr_assert_str_eq(standing(&t), "1/1/0/resolved/automatic");
    database_fini(&db);
}

Test(outcome, locks_are_the_same_in_c_and_in_sql)
{
    struct database db;
    struct talk t = talk();
    struct unit unit = {.data = &t}, *list = &unit;
    struct race race = {0}; /* asked for until the connection is closed */
    struct pg_txn *txn;

    database_init(&db);
    database_sql("begin");
    database_sql("select pg_advisory_xact_lock(lock_key('%s'))", database_id(t.customer));
    database_sql("set local lock_timeout = '1s'");
    txn = pg_begin(db.pg);
    batch_lock(txn, &list, 1, customer_of);
    {
        int64_t end = clock_ms() + 5000;
        int waiting = 0;
        pg_commit(&txn, raced, &race);
        /* The other connection must come to wait for the very same lock. */
        while (waiting < 2 && clock_ms() < end) {
            loop_turn(db.loop, 5);
            sscanf(database_sql("select count(*) from pg_locks where locktype = 'advisory' and"
                                " (classid::bigint << 32 | objid::bigint) = lock_key('%s')",
                                database_id(t.customer)),
                   "%d", &waiting);
        }
        cr_assert_eq(waiting, 2);
        cr_assert_eq(race.answers, 0);
    }
    database_sql("commit");
    database_fini(&db);
}

Test(outcome, is_refused_where_the_conversation_is_another_customers)
{
    struct database db;
    struct talk t = talk();
    struct outbox_reply r = reply_to(&t);

    database_init(&db);
    r.customer = database_customer();
    cr_assert_eq(send_reply(&db, &r), OUTBOX_REFUSED);
    cr_assert_str_eq(standing(&t), "0/0/0/open/automatic");
    database_fini(&db);
}

/* --- two workers at once ------------------------------------------------------------------------
 */

/* What the sender, or the escalator, sends for the talks: sorted, locks first. */
static void
send_round(struct database *db, struct talk *talks, bool answer, struct race *race)
{
    struct unit units[BATCH], *list[BATCH];
    struct outbox_reply replies[BATCH];
    struct escalation escalations[BATCH];
    const struct outbox_reply *reply_list[BATCH];
    const struct escalation *escalation_list[BATCH];
    struct pg_txn *t = pg_begin(db->pg);

    for (size_t i = 0; i < BATCH; i++) {
        units[i] = (struct unit){.data = &talks[i]};
        list[i] = &units[i];
    }
    cr_assert_eq(batch_round(list, BATCH, customer_of), BATCH);
    for (size_t i = 0; i < BATCH; i++) {
        replies[i] = reply_to(list[i]->data);
        reply_list[i] = &replies[i];
        escalations[i] = escalation_of(list[i]->data);
        escalation_list[i] = &escalations[i];
    }
    batch_lock(t, list, BATCH, customer_of);
    if (answer) {
        outbox_put_delivered(t, STR("webform"), reply_list, BATCH);
    } else {
        escalation_put(t, escalation_list, BATCH);
    }
    pg_commit(&t, raced, race);
}

static void
race_of(bool one_answers, bool two_answers, int runs)
{
    struct database one, two;

    database_init(&one);
    database_init(&two);
    for (int run = 0; run < runs; run++) {
        struct talk a[BATCH], b[BATCH];
        struct race race = {0};
        for (int i = 0; i < BATCH; i++) {
            a[i] = talk();
            b[BATCH - 1 - i] = a[i];
        }
        send_round(&one, a, one_answers, &race);
        send_round(&two, b, two_answers, &race);
        database_until(&one, &two, &race.both);
        cr_assert_eq(race.errors, 0, "no deadlock and no conflict");
        for (int i = 0; i < BATCH; i++) {
            const char *now = standing(&a[i]);
            cr_assert(
                (strcmp(now, "1/1/0/resolved/automatic") == 0 && (one_answers || two_answers)) ||
                    (strcmp(now, "0/0/1/escalated/human") == 0 && !(one_answers && two_answers)),
                "%s", now);
        }
    }
    database_fini(&one);
    database_fini(&two);
}

Test(outcome, is_one_reply_when_two_workers_send_it_at_once)
{
    race_of(true, true, 10);
}

Test(outcome, is_one_escalation_when_two_workers_store_it_at_once)
{
    race_of(false, false, 10);
}

Test(outcome, is_one_of_both_when_one_sends_and_the_other_escalates_at_once)
{
    race_of(true, false, 10);
    race_of(false, true, 10);
}
