#include "db/batch.h"
#include "db/conversation.h"
#include "proto/err.h"
#include "test/unit/db/database.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#define WINDOW_MS (24 * 3600 * 1000LL)
#define BATCH 16

TestSuite(conversation, .timeout = 30);

static const uint8_t no_key[TICKET_KEY_SIZE];

/* A request of one message over its own link. */
static struct conversation_request
request(struct id customer)
{
    static uint32_t number;
    struct conversation_request r = {
        .unit = id_random(), .customer = customer, .channel = STR("webform"), .n = 1};
    struct id link = id_derive_from("link", r.unit);
    uint32_t random;

    /* Any reference will do that no other test has. */
    memcpy(&random, r.unit.b, sizeof(random));
    ticket_ref(no_key, (random + number++) % TICKET_NUMBERS, r.ref);
    r.link = link;
    r.subject = STR("A question");
    r.messages[0] = (struct conversation_message){
        .id = r.unit, .text = STR("How do I write my own actor?"), .at_us = 1750000000000000};
    return r;
}

static struct pg_txn *
txn(struct database *db, const struct conversation_request *requests, size_t n)
{
    const struct conversation_request *list[ACTOR_BATCH_MAX];
    struct pg_txn *t = pg_begin(db->pg);

    for (size_t i = 0; i < n; i++) {
        list[i] = &requests[i];
    }
    conversation_put(t, list, n, WINDOW_MS);
    return t;
}

/* Places one request and returns where. */
static struct conversation_place
place(struct database *db, const struct conversation_request *r)
{
    struct conversation_place p;
    struct pg_txn *t = txn(db, r, 1);
    const struct pg_reply *reply = database_run(db, &t);

    cr_assert_eq(reply->err, 0, "%s %s", reply->sqlstate, reply->detail);
    cr_assert_eq(PQntuples(reply->results[1]), 1);
    conversation_get(reply->results[1], 0, &p);
    return p;
}

static int
count(const char *table, const char *column, struct id id)
{
    int n;

    sscanf(database_sql("select count(*) from %s where %s = '%s'", table, column, database_id(id)),
           "%d", &n);
    return n;
}

Test(conversation, begins_with_the_first_message_of_a_customer_and_has_its_id)
{
    struct database db;
    struct id customer = database_customer();
    struct conversation_request r = request(customer);
    struct conversation_place p;

    database_init(&db);
    p = place(&db, &r);
    cr_assert(id_eq(p.conversation, r.unit));
    cr_assert(!p.known && p.whole && !p.human && !p.has_previous);
    cr_assert(str_is(p.ref, r.ref));
    cr_assert_eq(count("conversations", "customer_id", customer), 1);
    cr_assert_eq(count("tickets", "customer_id", customer), 1);
    cr_assert_eq(count("messages", "customer_id", customer), 1);
    cr_assert_str_eq(database_sql("select status || ':' || subject from tickets where id = '%s'",
                                  database_id(r.unit)),
                     "open:A question");
    cr_assert_str_eq(database_sql("select extract(epoch from received_at)::bigint from messages"
                                  " where id = '%s'",
                                  database_id(r.unit)),
                     "1750000000");
    database_fini(&db);
}

Test(conversation, is_the_same_for_a_replay_and_nothing_is_added)
{
    struct database db;
    struct id customer = database_customer();
    struct conversation_request r = request(customer), again = r;
    struct conversation_place p;

    database_init(&db);
    place(&db, &r);
    database_sql("update tickets set status = 'resolved', resolved_at = now() where id = '%s'",
                 database_id(r.unit));
    ticket_ref(no_key, 7, again.ref);
    p = place(&db, &again);
    cr_assert(p.known && p.whole);
    cr_assert(id_eq(p.conversation, r.unit));
    cr_assert(str_is(p.ref, r.ref), "the stored reference, not the new one");
    cr_assert_eq(count("messages", "customer_id", customer), 1);
    cr_assert_eq(count("tickets", "customer_id", customer), 1);
    cr_assert_str_eq(
        database_sql("select status from tickets where id = '%s'", database_id(r.unit)), "resolved",
        "a replay is not a follow-up");
    database_fini(&db);
}

Test(conversation, is_joined_within_the_window_and_its_resolved_ticket_opens_again)
{
    struct database db;
    struct id customer = database_customer();
    struct conversation_request first = request(customer), next = request(customer);
    struct conversation_place p;

    database_init(&db);
    place(&db, &first);
    database_sql("update tickets set status = 'resolved', resolved_at = now() where id = '%s'",
                 database_id(first.unit));
    database_sql("update conversations set last_activity_at = now() - interval '23 hours'"
                 " where id = '%s'",
                 database_id(first.unit));
    p = place(&db, &next);
    cr_assert(id_eq(p.conversation, first.unit));
    cr_assert(str_is(p.ref, first.ref));
    cr_assert_eq(count("tickets", "customer_id", customer), 1);
    cr_assert_str_eq(database_sql("select status || coalesce(resolved_at::text, '') from tickets"
                                  " where id = '%s'",
                                  database_id(first.unit)),
                     "open");
    cr_assert_str_eq(database_sql("select (last_activity_at > now() - interval '1 minute')::text"
                                  " from conversations where id = '%s'",
                                  database_id(first.unit)),
                     "true");
    database_fini(&db);
}

Test(conversation, is_closed_after_the_window_and_another_begins)
{
    struct database db;
    struct id customer = database_customer();
    struct conversation_request first = request(customer), next = request(customer);
    struct conversation_place p;

    database_init(&db);
    place(&db, &first);
    database_sql("update conversations set last_activity_at = now() - interval '25 hours'"
                 " where id = '%s'",
                 database_id(first.unit));
    p = place(&db, &next);
    cr_assert(id_eq(p.conversation, next.unit));
    cr_assert(str_is(p.ref, next.ref));
    cr_assert_str_eq(database_sql("select (closed_at is not null)::text from conversations"
                                  " where id = '%s'",
                                  database_id(first.unit)),
                     "true");
    cr_assert_eq(count("tickets", "customer_id", customer), 2);
    database_fini(&db);
}

Test(conversation, of_a_link_is_joined_however_old_it_is)
{
    struct database db;
    struct id customer = database_customer();
    struct conversation_request first = request(customer), reply = request(customer);
    struct conversation_place p;

    database_init(&db);
    place(&db, &first);
    database_sql("update conversations set last_activity_at = now() - interval '9 days'"
                 " where id = '%s'",
                 database_id(first.unit));
    reply.link = reply.follow = first.link;
    p = place(&db, &reply);
    cr_assert(id_eq(p.conversation, first.unit));
    cr_assert_eq(count("messages", "link_id", first.link), 2);
    database_fini(&db);
}

Test(conversation, of_a_link_that_is_closed_opens_again_unless_another_is_open)
{
    struct database db;
    struct id customer = database_customer();
    struct conversation_request first = request(customer), reply = request(customer),
                                other = request(customer), late = request(customer);

    database_init(&db);
    place(&db, &first);
    database_sql("update conversations set closed_at = now() where id = '%s'",
                 database_id(first.unit));
    reply.link = reply.follow = first.link;
    cr_assert(id_eq(place(&db, &reply).conversation, first.unit));
    cr_assert_str_eq(database_sql("select coalesce(closed_at::text, 'open') from conversations"
                                  " where id = '%s'",
                                  database_id(first.unit)),
                     "open");

    database_sql("update conversations set closed_at = now() where id = '%s'",
                 database_id(first.unit));
    cr_assert(id_eq(place(&db, &other).conversation, other.unit));
    late.link = late.follow = first.link;
    cr_assert(id_eq(place(&db, &late).conversation, other.unit));
    database_fini(&db);
}

Test(conversation, of_another_customers_link_is_never_joined)
{
    struct database db;
    struct conversation_request first = request(database_customer()),
                                stranger = request(database_customer());

    database_init(&db);
    place(&db, &first);
    stranger.link = stranger.follow = first.link;
    cr_assert(id_eq(place(&db, &stranger).conversation, stranger.unit));
    database_fini(&db);
}

Test(conversation, keeps_a_burst_in_its_order_under_one_unit)
{
    struct database db;
    struct id customer = database_customer();
    struct conversation_request r = request(customer);
    struct id extra[4];
    char texts[5][8];
    struct conversation_place p;

    database_init(&db);
    r.n = 5;
    for (size_t i = 1; i < r.n; i++) {
        snprintf(texts[i], sizeof(texts[i]), "%zu", i);
        extra[i - 1] = id_random();
        r.messages[i] =
            (struct conversation_message){extra[i - 1], str_of(texts[i]), 1750000000000000};
    }
    r.messages[0].text = STR("0");
    p = place(&db, &r);
    cr_assert(p.whole);
    cr_assert_str_eq(database_sql("select string_agg(body, '' order by seq) from messages"
                                  " where unit_id = '%s'",
                                  database_id(r.unit)),
                     "01234");
    p = place(&db, &r);
    cr_assert(p.known && p.whole);
    database_fini(&db);
}

Test(conversation, tells_a_unit_that_is_put_together_otherwise_than_before)
{
    struct database db;
    struct id customer = database_customer();
    struct conversation_request burst = request(customer), part = request(customer), grown;

    database_init(&db);
    burst.n = 2;
    burst.messages[1] = (struct conversation_message){id_random(), STR("and"), 1750000000000000};
    cr_assert(place(&db, &burst).whole);

    part.unit = part.messages[0].id = burst.messages[1].id;
    cr_assert(!place(&db, &part).whole, "its message stands under another unit");

    grown = burst;
    grown.n = 3;
    grown.messages[2] = (struct conversation_message){id_random(), STR("more"), 1750000000000000};
    cr_assert(!place(&db, &grown).whole, "one more than what is stored");
    cr_assert_eq(count("messages", "customer_id", customer), 2, "and nothing was added");
    database_fini(&db);
}

Test(conversation, tells_who_owns_it_and_how_the_exchange_before_sounded)
{
    struct database db;
    struct id customer = database_customer();
    struct conversation_request first = request(customer), second = request(customer),
                                third = request(customer);
    struct conversation_place p;

    database_init(&db);
    place(&db, &first);
    database_sql("update messages set sentiment = -0.5 where id = '%s'", database_id(first.unit));
    p = place(&db, &second);
    cr_assert(p.has_previous && p.previous_sentiment == -0.5);
    database_sql("update messages set sentiment = 0.25 where id = '%s'", database_id(second.unit));
    database_sql("update conversations set state = 'human' where id = '%s'",
                 database_id(first.unit));
    p = place(&db, &third);
    cr_assert(p.human && p.has_previous && p.previous_sentiment == 0.25);
    p = place(&db, &second);
    cr_assert(p.known && p.has_previous && p.previous_sentiment == -0.5, "as it was then");
    p = place(&db, &first);
    cr_assert(p.known && !p.has_previous, "nothing came before the first");
    database_fini(&db);
}

Test(conversation, takes_any_text_that_is_text)
{
    struct database db;
    struct conversation_request r = request(database_customer());
    /* quotes, a bracket, right-to-left, an emoji, a format sign, an astral letter */
    struct str text =
        STR("'); drop table messages; -- <b>\xe2\x80\xae \xd7\xa9\xd7\x9c\xd7\x95\xd7\x9d "
            "\xf0\x9f\x98\x80 %s {} \\ \x01\x7f");

    database_init(&db);
    r.messages[0].text = text;
    r.subject = text;
    place(&db, &r);
    cr_assert_str_eq(
        database_sql("select (body = c.subject and octet_length(body) = %zu)::text"
                     " from messages m join conversations c on c.id = m.conversation_id"
                     " where m.id = '%s'",
                     text.n, database_id(r.unit)),
        "true");
    database_fini(&db);
}

/* --- two workers at once ------------------------------------------------------------------------
 */

struct race {
    int answers, errors;
    bool both;
    size_t n;
};

static void
raced(void *arg, const struct pg_reply *reply)
{
    struct race *race = arg;

    race->errors += reply->err != 0;
    race->n += reply->err == 0 ? (size_t)PQntuples(reply->results[2]) : 0;
    race->both = ++race->answers == 2;
}

static struct id
customer_of(const struct unit *u)
{
    return ((const struct conversation_request *)u->data)->customer;
}

/* What the ticketer sends: sorted by customer, locks first. */
static void
send_round(struct database *db, struct conversation_request *requests, size_t n, struct race *race)
{
    struct unit units[BATCH], *list[BATCH];
    const struct conversation_request *sorted[BATCH];
    struct pg_txn *t = pg_begin(db->pg);

    for (size_t i = 0; i < n; i++) {
        units[i] = (struct unit){.data = &requests[i]};
        list[i] = &units[i];
    }
    cr_assert_eq(batch_round(list, n, customer_of), n);
    for (size_t i = 0; i < n; i++) {
        sorted[i] = list[i]->data;
    }
    batch_lock(t, list, n, customer_of);
    conversation_put(t, sorted, n, WINDOW_MS);
    pg_commit(&t, raced, race);
}

Test(conversation, is_one_when_two_workers_store_the_same_units_at_once)
{
    struct database one, two;
    struct conversation_request a[BATCH], b[BATCH];

    database_init(&one);
    database_init(&two);
    for (int run = 0; run < 20; run++) {
        struct race race = {0};
        for (int i = 0; i < BATCH; i++) {
            a[i] = request(database_customer());
            /* The zombie's batch: the same units in another order, with references of its own. */
            b[BATCH - 1 - i] = a[i];
            memcpy(b[BATCH - 1 - i].ref, request(a[i].customer).ref, TICKET_REF_SIZE);
        }
        send_round(&one, a, BATCH, &race);
        send_round(&two, b, BATCH, &race);
        database_until(&one, &two, &race.both);
        cr_assert_eq(race.errors, 0, "no deadlock and no conflict");
        cr_assert_eq(race.n, 2 * BATCH);
        for (int i = 0; i < BATCH; i++) {
            cr_assert_eq(count("conversations", "customer_id", a[i].customer), 1);
            cr_assert_eq(count("tickets", "customer_id", a[i].customer), 1);
            cr_assert_eq(count("messages", "customer_id", a[i].customer), 1);
        }
    }
    database_fini(&one);
    database_fini(&two);
}

Test(conversation, is_one_when_two_workers_store_two_units_of_each_customer_at_once)
{
    struct database one, two;
    struct conversation_request a[BATCH], b[BATCH];

    database_init(&one);
    database_init(&two);
    for (int run = 0; run < 20; run++) {
        struct race race = {0};
        for (int i = 0; i < BATCH; i++) {
            a[i] = request(database_customer());
            b[BATCH - 1 - i] = request(a[i].customer);
        }
        send_round(&one, a, BATCH, &race);
        send_round(&two, b, BATCH, &race);
        database_until(&one, &two, &race.both);
        cr_assert_eq(race.errors, 0);
        for (int i = 0; i < BATCH; i++) {
            cr_assert_eq(count("conversations", "customer_id", a[i].customer), 1);
            cr_assert_eq(count("tickets", "customer_id", a[i].customer), 1);
            cr_assert_eq(count("messages", "customer_id", a[i].customer), 2);
        }
    }
    database_fini(&one);
    database_fini(&two);
}
