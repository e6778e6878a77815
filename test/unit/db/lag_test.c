#include "db/lag.h"

#include "test/unit/db/database.h"

#include <criterion/criterion.h>

TestSuite(lag, .timeout = 60);

/* Row `partition` of what is shown now, or -1. */
static int64_t
shown(struct database *db, const char *topic, int partition, struct lag_row *ret)
{
    struct pg_txn *t = pg_begin(db->pg);
    const struct pg_reply *reply;

    lag_show(t, topic);
    reply = database_run(db, &t);
    cr_assert_eq(reply->err, 0, "%s", reply->detail);
    for (int row = 0; row < PQntuples(reply->results[0]); row++) {
        lag_read(reply->results[0], row, ret);
        if (ret->partition == partition) {
            return ret->lag;
        }
    }
    return -1;
}

static void
use(const char *backend)
{
    database_sql("update log_backend set name = '%s', relay_after = 0 returning 1", backend);
}

Test(lag, of_a_log_in_kafka_is_what_was_measured_last_with_its_age)
{
    static const char topic[] = "test.lag.kafka";
    const int64_t first[] = {3, 0, 7}, second[] = {1, 0, 0};
    struct database base, *db = &base;
    struct lag_row row;
    struct pg_txn *t;

    database_init(db);
    use("kafka");
    cr_assert_eq(shown(db, topic, 0, &row), -1, "nothing is known before");
    t = pg_begin(db->pg);
    lag_put(t, topic, first, 3);
    cr_assert_eq(database_run(db, &t)->err, 0);
    cr_assert_eq(shown(db, topic, 2, &row), 7);
    database_sql("update log_lag set measured_at = now() - interval '1 minute' returning 1");
    cr_assert_eq(shown(db, topic, 0, &row), 3);
    cr_assert_geq(row.age_ms, 60000);
    t = pg_begin(db->pg);
    lag_put(t, topic, second, 3);
    cr_assert_eq(database_run(db, &t)->err, 0);
    cr_assert_eq(shown(db, topic, 0, &row), 1);
    cr_assert_lt(row.age_ms, 60000);
    cr_assert(str_is(row.backend, "kafka"));
    use("postgres");
    cr_assert_eq(shown(db, topic, 0, &row), -1, "of the log that is in use, and no other");
    database_fini(db);
}

Test(lag, of_the_log_in_postgresql_is_counted_behind_each_position)
{
    static const char topic[] = "test.lag.postgres";
    struct database base, *db = &base;
    struct lag_row row;

    database_init(db);
    use("postgres");
    database_sql(
        "insert into log_partitions (topic, partition, position) values ('%s', 0, 0),"
        " ('%s', 1, (select coalesce(max(record_offset), 0) from log_records)) returning 1",
        topic, topic);
    database_sql("insert into log_records (topic, partition, id, key, body, digest)"
                 " select '%s', n %% 2, gen_random_uuid(), 'k', '\\x80', '\\x00' from "
                 "generate_series(1, 5) n"
                 " returning 1",
                 topic);
    cr_assert_eq(shown(db, topic, 0, &row), 2);
    cr_assert_eq(shown(db, topic, 1, &row), 3);
    cr_assert_eq(row.age_ms, 0);
    database_sql("update log_partitions set position = (select min(record_offset) from log_records"
                 " where topic = '%s' and partition = 1) where topic = '%s' returning 1",
                 topic, topic);
    cr_assert_eq(shown(db, topic, 1, &row), 2);
    database_fini(db);
}
