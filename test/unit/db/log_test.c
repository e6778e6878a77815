/* The durable log: appended once, visible in order, held by one, and bounded. */
#include "db/log.h"
#include "test/unit/db/database.h"

#include <criterion/criterion.h>
#include <stdio.h>

#define LEASE_MS 60000

TestSuite(log, .timeout = 30);

/* A topic of the test's own, with partitions. */
static const char *
new_topic(void)
{
    static char topic[64];

    snprintf(topic, sizeof(topic), "test.%s", database_id(id_random()));
    database_sql("insert into log_partitions (topic, partition) select '%s', p"
                 " from generate_series(0, 11) p",
                 topic);
    return topic;
}

static struct dblog_row
row(const char *topic, const char *key, uint8_t digest)
{
    return (struct dblog_row){.topic = topic,
                              .id = id_random(),
                              .key = str_of(key),
                              .body = STR("body"),
                              .digest = {digest}};
}

static size_t
append(struct database *db, const struct dblog_row *rows, size_t n, struct dblog_appended *ret)
{
    struct pg_txn *t = pg_begin(db->pg);
    const struct pg_reply *reply;

    dblog_append(t, rows, n, false);
    reply = database_run(db, &t);
    cr_assert_eq(reply->err, 0, "%s %s", reply->sqlstate, reply->detail);
    return dblog_append_read(reply, rows, n, ret);
}

static void
find(struct database *db, const struct dblog_row *rows, size_t n, struct dblog_appended *ret)
{
    struct pg_txn *t = pg_begin(db->pg);
    const struct pg_reply *reply;

    dblog_find(t, rows, n);
    reply = database_run(db, &t);
    cr_assert_eq(reply->err, 0, "%s %s", reply->sqlstate, reply->detail);
    dblog_find_read(reply->results[0], rows, n, ret);
}

/* Reads all partitions from the beginning. */
static const PGresult *
read_all(struct database *db, const char *topic, int64_t room, int64_t limit)
{
    struct dblog_span spans[DBLOG_PARTITIONS];
    struct pg_txn *t = pg_begin(db->pg);
    const struct pg_reply *reply;

    for (int32_t i = 0; i < DBLOG_PARTITIONS; i++) {
        spans[i] = (struct dblog_span){.partition = i, .room = room};
    }
    dblog_read(t, topic, spans, DBLOG_PARTITIONS, limit);
    reply = database_run(db, &t);
    cr_assert_eq(reply->err, 0, "%s %s", reply->sqlstate, reply->detail);
    return reply->results[0];
}

Test(log, puts_a_key_into_the_same_partition_for_ever)
{
    /* Were these to change, records that wait would be overtaken by new ones. */
    cr_assert_eq(dblog_partition(STR("")), 9);
    cr_assert_eq(dblog_partition(STR("webform:0000000000000001")), 5);
    cr_assert_eq(dblog_partition(STR("webform:ffffffffffffffff")), 0);
}

Test(log, spreads_keys_over_all_partitions)
{
    int seen[DBLOG_PARTITIONS] = {0};
    char key[40];

    for (int i = 0; i < 12000; i++) {
        snprintf(key, sizeof(key), "webform:%016x", i);
        seen[dblog_partition(str_of(key))]++;
    }
    for (int i = 0; i < DBLOG_PARTITIONS; i++) {
        cr_assert(seen[i] > 800 && seen[i] < 1200, "partition %d has %d", i, seen[i]);
    }
}

Test(log, knows_its_topics)
{
    cr_assert_str_eq(dblog_topic(STR("fte.tickets.incoming")), TOPIC_INCOMING);
    cr_assert_not_null(dblog_topic(STR("fte.channels.webform.inbound")));
    cr_assert_null(dblog_topic(STR("fte.tickets")));
}

Test(log, appends_in_the_given_order)
{
    struct database db;
    const char *topic = new_topic();
    struct dblog_row rows[] = {row(topic, "a", 1), row(topic, "b", 2), row(topic, "c", 3)};
    struct dblog_appended got[3];
    struct dblog_record r;
    const PGresult *read;

    database_init(&db);
    cr_assert_eq(append(&db, rows, 3, got), 0);
    cr_assert(got[0].offset < got[1].offset && got[1].offset < got[2].offset);
    read = read_all(&db, topic, 10, 10);
    cr_assert_eq(PQntuples(read), 3);
    for (int i = 0; i < 3; i++) {
        dblog_record(read, i, &r);
        cr_assert(id_eq(r.id, rows[i].id));
        cr_assert_eq(r.offset, got[i].offset);
        cr_assert_eq(r.partition, dblog_partition(rows[i].key));
        cr_assert(id_is_nil(r.unit));
        cr_assert(str_is(r.body, "body"));
    }
    database_fini(&db);
}

Test(log, keeps_the_first_of_an_id_and_tells_whether_the_second_is_the_same)
{
    struct database db;
    const char *topic = new_topic();
    struct dblog_row rows[] = {row(topic, "a", 1), row(topic, "b", 2), row(topic, "c", 3)};
    struct dblog_appended first, got[3];

    database_init(&db);
    append(&db, &rows[1], 1, &first);
    rows[2].id = rows[1].id; /* a repeat with another content, in one batch with a repeat */
    cr_assert_eq(append(&db, rows, 3, got), 2);
    cr_assert(!got[0].duplicate && got[1].duplicate && got[2].duplicate);
    find(&db, rows, 3, got);
    cr_assert_eq(got[1].offset, first.offset);
    cr_assert(got[1].same);
    cr_assert_eq(got[2].offset, first.offset);
    cr_assert_not(got[2].same);
    database_fini(&db);
}

static const struct pg_stmt wait_for_test = {"test_wait", "select pg_advisory_xact_lock(4711)"};

struct answer {
    bool done;
    int err;
    struct dblog_appended got;
    const struct dblog_row *row;
};

static void
answered(void *arg, const struct pg_reply *reply)
{
    struct answer *a = arg;

    a->done = true;
    a->err = reply->err;
    if (reply->err == 0) {
        dblog_append_read(reply, a->row, 1, &a->got);
    }
}

/* One connection has drawn its offset and hangs before its commit; another one appends behind it.
 * Were that one to be visible first, a reader would pass over the first for ever. */
Test(log, shows_no_record_before_one_with_a_lower_offset)
{
    struct database one, two, holder;
    const char *topic = new_topic();
    struct dblog_row rows[] = {row(topic, "a", 1), row(topic, "a", 2)};
    struct answer first = {.row = &rows[0]}, second = {.row = &rows[1]};
    struct pg_txn *t;
    PGconn *gate = PQconnectdb(getenv("DATABASE_URL"));

    database_init(&one);
    database_init(&two);
    database_init(&holder);
    PQclear(PQexec(gate, "select pg_advisory_lock(4711)"));
    t = pg_begin(one.pg);
    dblog_append(t, &rows[0], 1, false);
    pg_stmt(t, &wait_for_test);
    pg_commit(&t, answered, &first);
    for (bool waits = false; !waits;) { /* until the server has it there */
        loop_turn(one.loop, 5);
        waits = database_sql("select 1 from pg_locks where locktype = 'advisory' and objid = 4711"
                             " and not granted limit 1")[0] == '1';
    }
    t = pg_begin(two.pg);
    dblog_append(t, &rows[1], 1, false);
    pg_commit(&t, answered, &second);
    for (bool waits = false; !waits;) {
        loop_turn(two.loop, 5);
        waits = database_sql("select 1 from pg_locks where locktype = 'advisory' and"
                             " objid = 7042001 and not granted limit 1")[0] == '1';
    }
    cr_assert_not(second.done);
    cr_assert_eq(PQntuples(read_all(&holder, topic, 10, 10)), 0);
    PQclear(PQexec(gate, "select pg_advisory_unlock(4711)"));
    database_until(&one, &two, &second.done);
    database_until(&one, &two, &first.done);
    cr_assert_eq(first.err, 0);
    cr_assert_eq(second.err, 0);
    cr_assert_lt(first.got.offset, second.got.offset);
    PQfinish(gate);
    database_fini(&one);
    database_fini(&two);
    database_fini(&holder);
}

Test(log, reads_what_there_is_room_for)
{
    struct database db;
    const char *topic = new_topic();
    struct dblog_row rows[20];
    struct dblog_appended got[20];
    struct dblog_record r;
    const PGresult *read;

    database_init(&db);
    for (int i = 0; i < 20; i++) {
        rows[i] = row(topic, i % 2 ? "a" : "b", 0);
    }
    append(&db, rows, 20, got);
    cr_assert_eq(PQntuples(read_all(&db, topic, 3, 100)), 6);
    read = read_all(&db, topic, 100, 5);
    cr_assert_eq(PQntuples(read), 5);
    for (int i = 0; i < 5; i++) {
        dblog_record(read, i, &r);
        cr_assert_eq(r.offset, got[i].offset, "the oldest first, over all partitions");
    }
    database_fini(&db);
}

/* --- leases --------------------------------------------------------------------------------- */

static int32_t
join(struct database *db)
{
    struct pg_txn *t = pg_begin(db->pg);

    dblog_join(t);
    return dblog_join_read(database_run(db, &t)->results[0]);
}

static size_t
lease(struct database *db, const char *topic, int32_t owner, int64_t ms, struct dblog_lease *ret,
      int64_t *ret_share)
{
    struct pg_txn *t = pg_begin(db->pg);
    const struct pg_reply *reply;

    dblog_lease(t, topic, owner, ms);
    reply = database_run(db, &t);
    cr_assert_eq(reply->err, 0, "%s %s", reply->sqlstate, reply->detail);
    return dblog_lease_read(reply, ret, ret_share);
}

static int
move(struct database *db, const char *topic, int32_t owner, struct dblog_lease l, int64_t position)
{
    struct pg_txn *t = pg_begin(db->pg);
    const struct pg_reply *reply;

    l.position = position;
    dblog_position(t, topic, owner, &l, 1);
    reply = database_run(db, &t);
    cr_assert_eq(reply->err, 0, "%s %s", reply->sqlstate, reply->detail);
    return PQntuples(reply->results[0]);
}

static void
release(struct database *db, const char *topic, int32_t owner, const struct dblog_lease *l,
        size_t n)
{
    struct pg_txn *t = pg_begin(db->pg);

    dblog_release(t, topic, owner, l, n);
    cr_assert_eq(database_run(db, &t)->err, 0);
}

Test(log, gives_all_partitions_to_one_member_and_half_to_each_of_two)
{
    struct database a, b;
    const char *topic = new_topic();
    struct dblog_lease mine[DBLOG_PARTITIONS], theirs[DBLOG_PARTITIONS];
    int64_t share;
    int32_t one, two;

    database_init(&a);
    database_init(&b);
    one = join(&a);
    cr_assert_eq(lease(&a, topic, one, LEASE_MS, mine, &share), 12);
    cr_assert_eq(share, 12);
    two = join(&b);
    cr_assert_neq(one, two);
    cr_assert_eq(lease(&b, topic, two, LEASE_MS, theirs, &share), 0);
    cr_assert_eq(share, 6);
    cr_assert_eq(lease(&a, topic, one, LEASE_MS, mine, &share), 12);
    cr_assert_eq(share, 6, "it is told to give six back");
    release(&a, topic, one, mine + 6, 6);
    cr_assert_eq(lease(&b, topic, two, LEASE_MS, theirs, &share), 6);
    cr_assert_eq(theirs[0].fence, 2);
    cr_assert_eq(lease(&a, topic, one, LEASE_MS, mine, &share), 6);
    database_fini(&a);
    database_fini(&b);
}

Test(log, frees_the_partitions_of_a_connection_that_is_gone_at_once)
{
    struct database a, b;
    const char *topic = new_topic();
    struct dblog_lease mine[DBLOG_PARTITIONS];
    int64_t share;
    int32_t two;
    size_t n = 0;

    database_init(&a);
    database_init(&b);
    lease(&a, topic, join(&a), LEASE_MS, mine, &share);
    database_fini(&a);
    two = join(&b);
    for (int i = 0; i < 1000 && n < 12; i++) { /* until its server process has noticed */
        n = lease(&b, topic, two, LEASE_MS, mine, &share);
    }
    cr_assert_eq(n, 12);
    cr_assert_eq(mine[11].fence, 2);
    database_fini(&b);
}

Test(log, moves_no_position_backwards_or_for_one_whose_lease_went_to_another)
{
    struct database a, b;
    const char *topic = new_topic();
    struct dblog_lease mine[DBLOG_PARTITIONS], theirs[DBLOG_PARTITIONS];
    int64_t share;
    int32_t one, two;

    database_init(&a);
    database_init(&b);
    one = join(&a);
    lease(&a, topic, one, LEASE_MS, mine, &share);
    cr_assert_eq(move(&a, topic, one, mine[0], 50), 1);
    cr_assert_eq(move(&a, topic, one, mine[0], 40), 0);
    two = join(&b);
    cr_assert_eq(move(&b, topic, two, mine[0], 60), 0, "another owner");
    /* It hangs: its connection is there, its lease is over. */
    lease(&a, topic, one, 0, mine, &share);
    cr_assert_gt(lease(&b, topic, two, LEASE_MS, theirs, &share), 0);
    cr_assert_eq(theirs[0].partition, 0);
    cr_assert_eq(theirs[0].position, 50);
    cr_assert_eq(move(&a, topic, one, mine[0], 60), 0);
    cr_assert_eq(move(&b, topic, two, theirs[0], 60), 1);
    theirs[0].fence--;
    cr_assert_eq(move(&b, topic, two, theirs[0], 70), 0, "an old fence of its own");
    cr_assert_str_eq(database_sql("select position from log_partitions where topic = '%s'"
                                  " and partition = 0",
                                  topic),
                     "60");
    database_fini(&a);
    database_fini(&b);
}

Test(log, tells_a_new_holder_what_the_last_one_may_have_seen)
{
    struct database db;
    const char *topic = new_topic();
    struct dblog_row r = row(topic, "a", 0);
    struct dblog_lease mine[DBLOG_PARTITIONS];
    struct dblog_appended got;
    int64_t share;

    database_init(&db);
    append(&db, &r, 1, &got);
    lease(&db, topic, join(&db), LEASE_MS, mine, &share);
    cr_assert_eq(mine[dblog_partition(r.key)].high, got.offset);
    cr_assert_eq(mine[(dblog_partition(r.key) + 1) % 12].high, 0);
    database_fini(&db);
}

Test(log, keeps_a_composition_that_was_made_under_the_lease)
{
    struct database db;
    const char *topic = new_topic();
    struct dblog_row rows[] = {row(topic, "a", 0), row(topic, "a", 0), row(topic, "a", 0)};
    struct dblog_lease mine[DBLOG_PARTITIONS], *l;
    struct dblog_appended got[3];
    struct dblog_record r;
    const PGresult *read;
    struct pg_txn *t;
    int64_t share;
    int32_t owner;

    database_init(&db);
    append(&db, rows, 3, got);
    owner = join(&db);
    lease(&db, topic, owner, LEASE_MS, mine, &share);
    l = &mine[dblog_partition(rows[0].key)];
    l->fence++;
    t = pg_begin(db.pg);
    dblog_compose(t, topic, owner, l, rows[1].id, (int64_t[]){got[1].offset, got[2].offset}, 2);
    cr_assert_eq(PQntuples(database_run(&db, &t)->results[0]), 0, "the lease is another");
    l->fence--;
    t = pg_begin(db.pg);
    dblog_compose(t, topic, owner, l, rows[1].id, (int64_t[]){got[1].offset, got[2].offset}, 2);
    cr_assert_eq(PQntuples(database_run(&db, &t)->results[0]), 2);
    read = read_all(&db, topic, 10, 10);
    for (int i = 0; i < 3; i++) {
        dblog_record(read, i, &r);
        cr_assert(i == 0 ? id_is_nil(r.unit) : id_eq(r.unit, rows[1].id));
        cr_assert_eq(r.unit_size, i == 0 ? 0 : 2);
        cr_assert_eq(r.unit_at, i == 0 ? 0 : i - 1);
    }
    database_fini(&db);
}

/* --- retention ------------------------------------------------------------------------------ */

Test(log, deletes_what_is_settled_and_old_and_nothing_else)
{
    struct database db;
    struct dblog_row rows[] = {
        row(TOPIC_INCOMING, "retained", 0), row(TOPIC_INCOMING, "retained", 0),
        row("fte.metrics", "retained", 0), row("fte.metrics", "retained", 0)};
    struct dblog_appended got[4];
    struct pg_txn *t;

    database_init(&db);
    append(&db, rows, 4, got);
    /* a is settled, b isn't; c is old, d is new. */
    database_sql("update log_partitions set position = %lld where topic = '" TOPIC_INCOMING
                 "' and partition = %d",
                 (long long)got[0].offset, dblog_partition(STR("retained")));
    database_sql("update log_records set received_at = now() - interval '2 days'"
                 " where key = 'retained' and id <> '%s'",
                 database_id(rows[3].id));
    t = pg_begin(db.pg);
    dblog_retain(t, 86400000);
    cr_assert_geq(pg_int(database_run(&db, &t)->results[0], 0, 0), 2);
    cr_assert_str_eq(
        database_sql("select string_agg(case id when '%s' then 'a' when '%s' then 'b' when '%s'"
                     " then 'c' else 'd' end, '' order by record_offset) from log_records"
                     " where key = 'retained'",
                     database_id(rows[0].id), database_id(rows[1].id), database_id(rows[2].id)),
        "bd");
    database_sql("delete from log_records where key = 'retained'");
    database_fini(&db);
}
