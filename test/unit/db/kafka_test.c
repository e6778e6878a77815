#include "db/kafka.h"

#include "db/log.h"
#include "proto/buf.h"
#include "proto/clock.h"
#include "test/unit/db/database.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

TestSuite(kafka, .timeout = 60);

/* A topic of this test's own: tests share the database. */
static const char *
new_topic(void)
{
    static char name[64];
    char text[ID_TEXT_SIZE];

    id_format(id_random(), text);
    snprintf(name, sizeof(name), "test.%s", text);
    return name;
}

static struct dbkafka_record
record(const char *name, int64_t offset)
{
    struct dbkafka_record r = {.partition = 3, .offset = offset};
    char unique[100];

    snprintf(unique, sizeof(unique), "%s/%lld", name, (long long)clock_unix_us());
    r.id = id_derive("kafka test", str_of(unique));
    memset(r.digest, name[0], sizeof(r.digest));
    return r;
}

static int64_t
claim(struct database *db, const char *topic, int32_t owner)
{
    int32_t partition = 3;
    struct pg_txn *t = pg_begin(db->pg);
    const struct pg_reply *reply;
    struct dbkafka_lane lane;

    dbkafka_claim(t, topic, owner, &partition, 1);
    reply = database_run(db, &t);
    cr_assert_eq(reply->err, 0, "%s", reply->detail);
    dbkafka_claim_read(reply->results[0], 0, &lane);
    cr_assert_eq(lane.partition, 3);
    return lane.fence;
}

static void
see(struct database *db, const char *topic, int32_t owner, int64_t fence,
    const struct dbkafka_record *records, size_t n, struct dbkafka_seen *ret)
{
    struct dbkafka_lane lane = {.partition = 3, .fence = fence};
    struct pg_txn *t = pg_begin(db->pg);
    const struct pg_reply *reply;

    dbkafka_see(t, topic, owner, &lane, 1, records, n);
    reply = database_run(db, &t);
    cr_assert_eq(reply->err, 0, "%s", reply->detail);
    dbkafka_see_read(reply, records, n, ret);
}

static int
compose(struct database *db, const char *topic, int32_t owner, int64_t fence, struct id unit,
        const int64_t *offsets, size_t n)
{
    struct dbkafka_lane lane = {.partition = 3, .fence = fence};
    struct pg_txn *t = pg_begin(db->pg);
    const struct pg_reply *reply;

    dbkafka_compose(t, topic, owner, &lane, unit, offsets, n);
    reply = database_run(db, &t);
    cr_assert_eq(reply->err, 0, "%s", reply->detail);
    return PQntuples(reply->results[0]);
}

Test(kafka, a_record_is_first_once_and_known_ever_after)
{
    const char *topic = new_topic();
    struct dbkafka_record r[] = {record("a", 10), record("b", 11)};
    struct dbkafka_seen s[2];
    struct database db;
    int64_t fence;

    database_init(&db);
    fence = claim(&db, topic, 7);
    see(&db, topic, 7, fence, r, 2, s);
    for (int i = 0; i < 2; i++) {
        cr_assert(s[i].held && s[i].first && s[i].same);
        cr_assert_eq(s[i].offset, 10 + i);
        cr_assert(id_is_nil(s[i].unit));
    }
    see(&db, topic, 7, fence, r, 2, s);
    cr_assert(s[0].held && !s[0].first && s[0].offset == 10);
    database_fini(&db);
}

Test(kafka, a_second_record_under_an_id_is_told_from_the_first)
{
    const char *topic = new_topic();
    struct dbkafka_record r[] = {record("a", 10), record("b", 11), record("c", 12)};
    struct dbkafka_seen s[3];
    struct database db;

    database_init(&db);
    r[1].id = r[2].id = r[0].id; /* in one batch: the same content, and another */
    memcpy(r[1].digest, r[0].digest, sizeof(r[0].digest));
    see(&db, topic, 7, claim(&db, topic, 7), r, 3, s);
    cr_assert(s[0].first && s[0].offset == 10);
    cr_assert(!s[1].first && s[1].offset == 10 && s[1].same);
    cr_assert(!s[2].first && s[2].offset == 10 && !s[2].same);
    database_fini(&db);
}

Test(kafka, an_old_holder_sees_and_composes_nothing)
{
    const char *topic = new_topic();
    struct dbkafka_record r[] = {record("a", 10), record("b", 11)};
    int64_t offsets[] = {10, 11}, old, now;
    struct dbkafka_seen s[2];
    struct database db;

    database_init(&db);
    old = claim(&db, topic, 7);
    see(&db, topic, 7, old, r, 1, s);
    now = claim(&db, topic, 8);
    cr_assert_gt(now, old);
    see(&db, topic, 7, old, r, 2, s);
    cr_assert(!s[0].held && !s[1].held && !s[1].first);
    cr_assert_eq(compose(&db, topic, 7, old, r[0].id, offsets, 1), 0);
    see(&db, topic, 8, now, r, 2, s);
    cr_assert(s[0].held && !s[0].first, "what the old holder saw it may have delivered");
    cr_assert(s[1].first);
    database_fini(&db);
}

Test(kafka, a_composition_is_found_again)
{
    const char *topic = new_topic();
    struct dbkafka_record r[] = {record("a", 10), record("b", 11)};
    int64_t offsets[] = {10, 11}, fence;
    struct dbkafka_seen s[2];
    struct database db;

    database_init(&db);
    fence = claim(&db, topic, 7);
    see(&db, topic, 7, fence, r, 2, s);
    cr_assert_eq(compose(&db, topic, 7, fence, r[0].id, offsets, 2), 2);
    see(&db, topic, 9, claim(&db, topic, 9), r, 2, s);
    for (int i = 0; i < 2; i++) {
        cr_assert(id_eq(s[i].unit, r[0].id));
        cr_assert_eq(s[i].unit_at, i);
        cr_assert_eq(s[i].unit_size, 2);
    }
    database_fini(&db);
}

Test(kafka, a_record_may_be_part_of_a_unit_from_the_beginning)
{
    const char *topic = new_topic();
    struct dbkafka_record r = record("a", 10);
    struct dbkafka_seen s;
    struct database db;

    database_init(&db);
    r.unit = id_derive("kafka test", STR("unit"));
    r.unit_at = 1;
    r.unit_size = 2;
    see(&db, topic, 7, claim(&db, topic, 7), &r, 1, &s);
    cr_assert(s.first && id_eq(s.unit, r.unit) && s.unit_at == 1 && s.unit_size == 2);
    database_fini(&db);
}

Test(kafka, ids_are_looked_up_with_offset_and_digest)
{
    const char *topic = new_topic();
    struct dbkafka_record r = record("a", 10);
    struct id ids[] = {id_derive("kafka test", STR("nobody")), r.id};
    const struct pg_reply *reply;
    struct dbkafka_seen s;
    struct str digest;
    struct database db;
    struct pg_txn *t;
    int64_t offset;

    database_init(&db);
    see(&db, topic, 7, claim(&db, topic, 7), &r, 1, &s);
    t = pg_begin(db.pg);
    dbkafka_find(t, topic, ids, 2);
    reply = database_run(&db, &t);
    cr_assert_eq(PQntuples(reply->results[0]), 1);
    cr_assert_eq(dbkafka_find_read(reply->results[0], 0, &offset, &digest), 1);
    cr_assert_eq(offset, 10);
    cr_assert_eq(memcmp(digest.p, r.digest, sizeof(r.digest)), 0);
    database_fini(&db);
}

Test(kafka, what_is_old_and_settled_is_forgotten_and_nothing_else)
{
    const char *topic = new_topic();
    struct dbkafka_record r[] = {record("a", 10), record("b", 11), record("c", 12)};
    int64_t fence, position = 11;
    struct dbkafka_seen s[3];
    struct database db;
    struct pg_txn *t;
    int32_t partition = 3;

    database_init(&db);
    fence = claim(&db, topic, 7);
    see(&db, topic, 7, fence, r, 3, s);
    database_sql("update kafka_records set seen_at = now() - interval '2 minutes'"
                 " where topic = '%s' and record_offset <> 11",
                 topic);
    t = pg_begin(db.pg);
    dbkafka_retain(t, topic, &partition, &position, 1, 60000);
    cr_assert_eq(pg_int(database_run(&db, &t)->results[0], 0, 0), 1);
    cr_assert_str_eq(
        database_sql("select string_agg(record_offset::text, ' ' order by record_offset)"
                     " from kafka_records where topic = '%s'",
                     topic),
        "11 12");
    database_fini(&db);
}

Test(kafka, an_owner_keeps_its_number_over_connections)
{
    struct database one, two;
    struct pg_txn *t;
    int32_t owner;

    database_init(&one);
    t = pg_begin(one.pg);
    dbkafka_owner(t, 0);
    owner = dbkafka_owner_read(database_run(&one, &t)->results[0]);
    cr_assert_gt(owner, 0);
    database_fini(&one);
    database_init(&two);
    t = pg_begin(two.pg);
    dbkafka_owner(t, owner);
    cr_assert_eq(dbkafka_owner_read(database_run(&two, &t)->results[0]), owner);
    database_fini(&two);
}
