/* The leases of the log in PostgreSQL against the model that the simulation runs on
 * (test/sim/model_log.h): the same random things are done to both, by members that come, die and
 * remember what is no longer theirs, and both must answer the same. FTE_SIM_SEED=N repeats one. */
#include "db/log.h"
#include "test/sim/model_log.h"
#include "test/sim/random.h"
#include "test/unit/db/database.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#define STEPS 1500
#define MEMBERS 4
#define LEASE_MS 600000
#define NOW_MS 10000000 /* of the model; nothing is over unless the test says so */

TestSuite(lease, .timeout = 60);

struct member {
    bool there;
    struct database db;
    int32_t owner;
    struct dblog_lease leases[DBLOG_PARTITIONS]; /* what it was told last */
    size_t n;
};

static struct {
    uint64_t seed;
    struct random random;
    int step;
    char topic[64];
    struct model_log model;
    struct member members[MEMBERS];
} sim;

#define WANT(ok) cr_assert(ok, "FTE_SIM_SEED=%llu, step %d", (unsigned long long)sim.seed, sim.step)

static struct model_lease
model_of(const struct dblog_lease *l)
{
    return (struct model_lease){
        .partition = l->partition, .fence = l->fence, .position = l->position};
}

static void
join(struct member *m)
{
    struct pg_txn *t;

    database_init(&m->db);
    t = pg_begin(m->db.pg);
    dblog_join(t);
    m->owner = dblog_join_read(database_run(&m->db, &t)->results[0]);
    m->there = true;
    m->n = 0;
    cr_assert(m->owner > 0 && m->owner < MODEL_MEMBERS);
    sim.model.members[m->owner].connected = true;
}

/* Its connection ends, and with it the lock of its number. */
static void
die(struct member *m)
{
    database_fini(&m->db);
    m->there = false;
    for (int i = 0; i < 2000; i++) {
        if (database_sql("select 1 from pg_locks where locktype = 'advisory' and classid "
                         "= " DBLOG_MEMBER_CLASS " and objid = %d",
                         m->owner)[0] == '\0') {
            sim.model.members[m->owner].connected = false;
            return;
        }
    }
    cr_assert(false, "the lock of a closed connection stays");
}

static int
by_partition(const void *a, const void *b)
{
    return ((const struct dblog_lease *)a)->partition - ((const struct dblog_lease *)b)->partition;
}

static void
lease(struct member *m)
{
    struct model_lease want[DBLOG_PARTITIONS];
    struct pg_txn *t = pg_begin(m->db.pg);
    int64_t share, want_share;
    size_t want_n;

    dblog_lease(t, sim.topic, m->owner, LEASE_MS);
    m->n = dblog_lease_read(database_run(&m->db, &t), m->leases, &share);
    qsort(m->leases, m->n, sizeof(m->leases[0]), by_partition);
    want_n = model_log_lease(&sim.model, m->owner, LEASE_MS, NOW_MS, want, &want_share);
    WANT(share == want_share && m->n == want_n);
    for (size_t i = 0; i < want_n; i++) {
        WANT(m->leases[i].partition == want[i].partition && m->leases[i].fence == want[i].fence);
        WANT(m->leases[i].position == want[i].position && m->leases[i].high == want[i].high);
    }
}

/* One of what it believes to have, with a position that is somewhere in the partition. */
static bool
some_lease(struct member *m, struct dblog_lease *ret)
{
    if (m->n == 0) {
        return false;
    }
    *ret = m->leases[random_below(&sim.random, (uint32_t)m->n)];
    ret->position += random_below(&sim.random, 5);
    if (random_once_in(&sim.random, 10)) {
        ret->fence += (int64_t)random_below(&sim.random, 3) - 1;
    }
    return true;
}

static void
position(struct member *m)
{
    struct dblog_lease l;
    struct model_lease model;
    struct pg_txn *t;

    if (some_lease(m, &l)) {
        t = pg_begin(m->db.pg);
        dblog_position(t, sim.topic, m->owner, &l, 1);
        model = model_of(&l);
        WANT((PQntuples(database_run(&m->db, &t)->results[0]) == 1) ==
             (model_log_position(&sim.model, m->owner, &model, 1) != 0));
    }
}

static void
release(struct member *m)
{
    struct dblog_lease l;
    struct model_lease model;
    struct pg_txn *t;

    if (some_lease(m, &l)) {
        t = pg_begin(m->db.pg);
        dblog_release(t, sim.topic, m->owner, &l, 1);
        cr_assert_eq(database_run(&m->db, &t)->err, 0);
        model = model_of(&l);
        model_log_release(&sim.model, m->owner, &model, 1);
    }
}

static void
leave(struct member *m)
{
    struct pg_txn *t = pg_begin(m->db.pg);

    dblog_leave(t, m->owner);
    cr_assert_eq(database_run(&m->db, &t)->err, 0);
    model_log_leave(&sim.model, m->owner, NOW_MS);
}

static void
compose(struct member *m)
{
    struct dblog_lease l;
    struct model_record *a, *b;
    struct pg_txn *t;
    int64_t offsets[2];
    struct id unit = id_random();

    if (!some_lease(m, &l) || (a = model_log_next(&sim.model, l.partition, 0)) == NULL ||
        (b = model_log_next(&sim.model, l.partition, a->offset)) == NULL) {
        return;
    }
    offsets[0] = a->offset;
    offsets[1] = b->offset;
    t = pg_begin(m->db.pg);
    dblog_compose(t, sim.topic, m->owner, &l, unit, offsets, 2);
    WANT((size_t)PQntuples(database_run(&m->db, &t)->results[0]) ==
         model_log_compose(&sim.model, m->owner, l.partition, l.fence, unit, offsets, 2));
}

static void
append(struct member *m)
{
    char key[16];
    struct dblog_row row = {.topic = sim.topic, .id = id_random(), .body = STR("body")};
    struct pg_txn *t = pg_begin(m->db.pg);
    struct dblog_appended got;
    struct model_record *first;

    snprintf(key, sizeof(key), "k%u", random_below(&sim.random, 40));
    row.key = str_of(key);
    dblog_append(t, &row, 1, false);
    dblog_append_read(database_run(&m->db, &t), &row, 1, &got);
    sim.model.offset = got.offset - 1; /* they are drawn by all topics together */
    cr_assert_not_null(
        model_log_append(&sim.model, row.id, key, dblog_partition(row.key), "body", 4, &first));
}

/* Time passes for a member's lease of all, or for those of a partition. */
static void
expire(struct member *m)
{
    uint32_t p = random_below(&sim.random, DBLOG_PARTITIONS);

    if (random_once_in(&sim.random, 2)) {
        database_sql("update log_members set lease_until = now() - interval '1 second'"
                     " where owner = %d",
                     m->owner);
        if (sim.model.members[m->owner].lease_until_ms > 0) {
            sim.model.members[m->owner].lease_until_ms = NOW_MS - 1000;
        }
        return;
    }
    database_sql("update log_partitions set lease_until = now() - interval '1 second'"
                 " where topic = '%s' and partition = %u and owner is not null",
                 sim.topic, p);
    if (sim.model.partitions[p].owner != 0) {
        sim.model.partitions[p].lease_until_ms = NOW_MS - 1000;
    }
}

/* The whole table, as both have it. */
static void
compare(void)
{
    char want[1024];
    size_t n = 0;

    for (int p = 0; p < DBLOG_PARTITIONS; p++) {
        n += (size_t)snprintf(want + n, sizeof(want) - n, "%s%d/%lld/%lld", p ? " " : "",
                              sim.model.partitions[p].owner,
                              (long long)sim.model.partitions[p].fence,
                              (long long)sim.model.partitions[p].position);
    }
    cr_assert_str_eq(database_sql("select string_agg(coalesce(owner, 0) || '/' || fence || '/' ||"
                                  " position, ' ' order by partition)"
                                  " from log_partitions where topic = '%s'",
                                  sim.topic),
                     want, "FTE_SIM_SEED=%llu, step %d", (unsigned long long)sim.seed, sim.step);
}

static void
step(void)
{
    static void (*const actions[])(struct member *) = {
        lease,   lease,  lease,  lease,   position, position, position, compose,
        compose, append, append, release, expire,   expire,   leave};
    struct member *m = &sim.members[random_below(&sim.random, MEMBERS)];

    if (!m->there) {
        join(m);
    } else if (random_once_in(&sim.random, 40)) {
        die(m);
    } else {
        actions[random_below(&sim.random, sizeof(actions) / sizeof(actions[0]))](m);
    }
}

Test(lease, answers_as_the_model_does_whatever_members_do)
{
    const char *given = getenv("FTE_SIM_SEED");

    sim.seed = given != NULL ? strtoull(given, NULL, 10) : 1;
    sim.random.state = sim.seed;
    snprintf(sim.topic, sizeof(sim.topic), "test.%s", database_id(id_random()));
    database_sql("insert into log_partitions (topic, partition) select '%s', p"
                 " from generate_series(0, 11) p",
                 sim.topic);
    model_log_init(&sim.model);
    for (sim.step = 1; sim.step <= STEPS; sim.step++) {
        step();
        if (sim.step % 10 == 0) {
            compare();
        }
    }
    for (int i = 0; i < MEMBERS; i++) {
        if (sim.members[i].there) {
            database_fini(&sim.members[i].db);
        }
    }
    model_log_fini(&sim.model);
}
