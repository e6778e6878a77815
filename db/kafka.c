#include "db/kafka.h"

#include "db/log.h"
#include "proto/runtime/fault.h"

#include <string.h>

/* --- who is who ------------------------------------------------------------------------------ */

/* The lock of members (db/log.c): whoever holds one is an edge that runs. */
static const struct pg_stmt owner_lock = {
    "kafka_owner",
    "select m.owner, pg_try_advisory_lock(" DBLOG_MEMBER_CLASS ", m.owner)"
    " from (select coalesce(nullif($1::bigint, 0), nextval('log_member_ids'))::int as owner"
    "        offset 0) m",
};
static const struct pg_stmt claim_lanes = {
    "kafka_claim",
    "insert into log_partitions as p (topic, partition, owner, fence)"
    " select $1, v.partition::int, $2::bigint, 1 from unnest($3::bigint[]) as v(partition)"
    "  order by v.partition"
    " on conflict (topic, partition) do update"
    "  set owner = excluded.owner, fence = p.fence + 1, lease_until = null"
    " returning p.partition, p.fence",
};

void
dbkafka_owner(struct pg_txn *t, int32_t owner)
{
    pg_stmt(t, &owner_lock);
    pg_put_int(t, owner);
}

int32_t
dbkafka_owner_read(const PGresult *r)
{
    return (int32_t)pg_int(r, 0, 0);
}

void
dbkafka_claim(struct pg_txn *t, const char *topic, int32_t owner, const int32_t *partitions,
              size_t n)
{
    pg_stmt(t, &claim_lanes);
    pg_put_text(t, str_of(topic));
    pg_put_int(t, owner);
    pg_array(t, PG_INT);
    for (size_t i = 0; i < n; i++) {
        pg_put_int(t, partitions[i]);
    }
    pg_array_end(t);
}

void
dbkafka_claim_read(const PGresult *r, int row, struct dbkafka_lane *ret)
{
    *ret =
        (struct dbkafka_lane){.partition = (int32_t)pg_int(r, row, 0), .fence = pg_int(r, row, 1)};
}

/* --- records --------------------------------------------------------------------------------- */

/* The lanes stay locked until the commit: a claim waits for it, and then finds these rows. */
static const struct pg_stmt see_records = {
    "kafka_see",
    "with lane as materialized (select p.partition from log_partitions p"
    "   join unnest($3::bigint[], $4::bigint[]) as v(partition, fence)"
    "    on p.partition = v.partition and p.fence = v.fence"
    "   where p.topic = $1 and p.owner = $2::bigint order by p.partition for share of p),"
    " added as (insert into kafka_records"
    "   (topic, id, partition, record_offset, unit, unit_at, unit_size, digest)"
    "  select $1, g.id, g.partition::int, g.record_offset, g.unit, g.unit_at::int, "
    "g.unit_size::int,"
    "   g.digest"
    "  from unnest($5::uuid[], $6::bigint[], $7::bigint[], $8::uuid[], $9::bigint[], $10::bigint[],"
    "              $11::bytea[]) with ordinality"
    "   as g(id, partition, record_offset, unit, unit_at, unit_size, digest, n)"
    "  join lane on lane.partition = g.partition order by g.n"
    "  on conflict (id, topic) do nothing returning record_offset, partition)"
    " select 0, partition, 0::bigint from lane"
    " union all select 1, partition, record_offset from added",
};
/* "is not distinct from": not by the index that begins with the topic, which an empty table makes
 * look as good as the one that begins with the id. */
static const struct pg_stmt find_records = {
    "kafka_find",
    "select g.n, r.partition, r.record_offset, r.unit, r.unit_at, r.unit_size, r.digest"
    " from unnest($2::uuid[]) with ordinality as g(id, n)"
    " join kafka_records r on r.id = g.id and r.topic is not distinct from $1",
};
#define HELD SQL_SAFEGUARD("fence", "owner = $3::bigint and fence = $4")
static const struct pg_stmt compose_records = {
    "kafka_compose",
    "with lane as materialized (select 1 from log_partitions"
    "   where topic = $1 and partition = $2::bigint and " HELD " for share)"
    " update kafka_records r set unit = $6, unit_at = given.n - 1,"
    "   unit_size = cardinality($5::bigint[])"
    " from lane, unnest($5::bigint[]) with ordinality as given(record_offset, n)"
    " where r.topic = $1 and r.partition = $2::bigint and r.record_offset = given.record_offset"
    " returning r.record_offset",
};

static void
put_lanes(struct pg_txn *t, const struct dbkafka_lane *lanes, size_t n)
{
    pg_array(t, PG_INT);
    for (size_t i = 0; i < n; i++) {
        pg_put_int(t, lanes[i].partition);
    }
    pg_array_end(t);
    pg_array(t, PG_INT);
    for (size_t i = 0; i < n; i++) {
        pg_put_int(t, lanes[i].fence);
    }
    pg_array_end(t);
}

/* One array parameter with an element per record. */
#define PUT_EACH(t, kind, put)                                                                     \
    do {                                                                                           \
        pg_array(t, kind);                                                                         \
        for (size_t i = 0; i < n; i++) {                                                           \
            const struct dbkafka_record *r = &records[i];                                          \
            put;                                                                                   \
        }                                                                                          \
        pg_array_end(t);                                                                           \
    } while (0)

static void
put_in_unit(struct pg_txn *t, const struct dbkafka_record *r, int number)
{
    if (id_is_nil(r->unit)) {
        pg_put_null(t);
    } else {
        pg_put_int(t, number);
    }
}

void
dbkafka_see(struct pg_txn *t, const char *topic, int32_t owner, const struct dbkafka_lane *lanes,
            size_t lane_n, const struct dbkafka_record *records, size_t n)
{
    pg_stmt(t, &see_records);
    pg_put_text(t, str_of(topic));
    pg_put_int(t, owner);
    put_lanes(t, lanes, lane_n);
    PUT_EACH(t, PG_ID, pg_put_id(t, r->id));
    PUT_EACH(t, PG_INT, pg_put_int(t, r->partition));
    PUT_EACH(t, PG_INT, pg_put_int(t, r->offset));
    PUT_EACH(t, PG_ID, id_is_nil(r->unit) ? pg_put_null(t) : pg_put_id(t, r->unit));
    PUT_EACH(t, PG_INT, put_in_unit(t, r, r->unit_at));
    PUT_EACH(t, PG_INT, put_in_unit(t, r, r->unit_size));
    PUT_EACH(t, PG_BYTES,
             pg_put_bytes(t, (struct str){(const char *)r->digest, sizeof(r->digest)}));
    pg_stmt(t, &find_records);
    pg_put_text(t, str_of(topic));
    PUT_EACH(t, PG_ID, pg_put_id(t, r->id));
}

static struct dbkafka_seen *
find_place(const struct dbkafka_record *records, size_t n, struct dbkafka_seen *ret,
           int64_t partition, int64_t offset)
{
    for (size_t i = 0; i < n; i++) {
        if (records[i].offset == offset && records[i].partition == partition) {
            return &ret[i];
        }
    }
    return NULL;
}

void
dbkafka_see_read(const struct pg_reply *reply, const struct dbkafka_record *records, size_t n,
                 struct dbkafka_seen *ret)
{
    const PGresult *now = reply->results[0], *all = reply->results[1];

    memset(ret, 0, n * sizeof(*ret));
    for (int row = 0; row < PQntuples(now); row++) {
        int64_t partition = pg_int(now, row, 1);
        struct dbkafka_seen *s;
        if (pg_int(now, row, 0) == 1) {
            s = find_place(records, n, ret, partition, pg_int(now, row, 2));
            if (s != NULL) {
                s->first = true;
            }
            continue;
        }
        for (size_t i = 0; i < n; i++) {
            ret[i].held |= records[i].partition == partition;
        }
    }
    for (int row = 0; row < PQntuples(all); row++) {
        size_t i = (size_t)pg_int(all, row, 0) - 1;
        struct str digest = pg_text(all, row, 6);
        if (i >= n) {
            continue;
        }
        ret[i].partition = (int32_t)pg_int(all, row, 1);
        ret[i].offset = pg_int(all, row, 2);
        if (!pg_null(all, row, 3)) {
            ret[i].unit = pg_id(all, row, 3);
            ret[i].unit_at = (int)pg_int(all, row, 4);
            ret[i].unit_size = (int)pg_int(all, row, 5);
        }
        ret[i].same = str_eq(
            digest, (struct str){(const char *)records[i].digest, sizeof(records[i].digest)});
    }
}

void
dbkafka_find(struct pg_txn *t, const char *topic, const struct id *ids, size_t n)
{
    pg_stmt(t, &find_records);
    pg_put_text(t, str_of(topic));
    pg_array(t, PG_ID);
    for (size_t i = 0; i < n; i++) {
        pg_put_id(t, ids[i]);
    }
    pg_array_end(t);
}

size_t
dbkafka_find_read(const PGresult *r, int row, int64_t *ret_offset, struct str *ret_digest)
{
    *ret_offset = pg_int(r, row, 2);
    *ret_digest = pg_text(r, row, 6);
    return (size_t)pg_int(r, row, 0) - 1;
}

void
dbkafka_compose(struct pg_txn *t, const char *topic, int32_t owner, const struct dbkafka_lane *lane,
                struct id unit, const int64_t *offsets, size_t n)
{
    pg_stmt(t, &compose_records);
    pg_put_text(t, str_of(topic));
    pg_put_int(t, lane->partition);
    pg_put_int(t, owner);
    pg_put_int(t, lane->fence);
    pg_array(t, PG_INT);
    for (size_t i = 0; i < n; i++) {
        pg_put_int(t, offsets[i]);
    }
    pg_array_end(t);
    pg_put_id(t, unit);
}

static const struct pg_stmt retain_records = {
    "kafka_retain",
    "with old as ("
    " select x.topic, x.partition, x.record_offset"
    " from unnest($2::bigint[], $3::bigint[]) as v(partition, position)"
    " cross join lateral ("
    "   select r.topic, r.partition, r.record_offset, r.seen_at from kafka_records r"
    "   where r.topic = $1 and r.partition = v.partition::int and r.record_offset <= v.position"
    "   order by r.record_offset limit 100) x"
    " where x.seen_at < now() - $4::bigint * interval '1 millisecond'),"
    " gone as (delete from kafka_records r using old"
    "  where r.topic = old.topic and r.partition = old.partition"
    "   and r.record_offset = old.record_offset returning 1)"
    " select count(*) from gone",
};

void
dbkafka_retain(struct pg_txn *t, const char *topic, const int32_t *partitions,
               const int64_t *positions, size_t n, int64_t keep_ms)
{
    pg_stmt(t, &retain_records);
    pg_put_text(t, str_of(topic));
    pg_array(t, PG_INT);
    for (size_t i = 0; i < n; i++) {
        pg_put_int(t, partitions[i]);
    }
    pg_array_end(t);
    pg_array(t, PG_INT);
    for (size_t i = 0; i < n; i++) {
        pg_put_int(t, positions[i]);
    }
    pg_array_end(t);
    pg_put_int(t, keep_ms);
}

/* --- handing on ------------------------------------------------------------------------------ */

/* Few rows, ever: what is handed on is deleted. The append lock of those who write them makes them
 * visible in the order of their offsets (db/log.h). */
static const struct pg_stmt relay_rows = {
    "kafka_relay",
    "select r.record_offset, r.topic, r.id, r.unit, r.unit_at, r.unit_size, r.key, r.body, r.trace,"
    "  r.received_at"
    " from log_records r, log_backend b where b.name = 'kafka' and r.record_offset > b.relay_after"
    " order by r.record_offset limit $1",
};
static const struct pg_stmt relay_done = {
    "kafka_relayed",
    "delete from log_records r using log_backend b"
    " where r.record_offset = any ($1::bigint[]) and r.record_offset > b.relay_after",
};

void
dbkafka_relay(struct pg_txn *t, int64_t limit)
{
    pg_stmt(t, &relay_rows);
    pg_put_int(t, limit);
}

void
dbkafka_relay_read(const PGresult *r, int row, struct dbkafka_relay *ret)
{
    *ret = (struct dbkafka_relay){
        .offset = pg_int(r, row, 0),
        .topic = pg_text(r, row, 1),
        .id = pg_id(r, row, 2),
        .key = pg_text(r, row, 6),
        .body = pg_text(r, row, 7),
        .received_us = pg_time(r, row, 9),
    };
    if (!pg_null(r, row, 3)) {
        ret->unit = pg_id(r, row, 3);
        ret->unit_at = (int)pg_int(r, row, 4);
        ret->unit_size = (int)pg_int(r, row, 5);
    }
    if (!pg_null(r, row, 8)) {
        ret->trace = pg_text(r, row, 8);
    }
}

void
dbkafka_relayed(struct pg_txn *t, const int64_t *offsets, size_t n)
{
    pg_stmt(t, &relay_done);
    pg_array(t, PG_INT);
    for (size_t i = 0; i < n; i++) {
        pg_put_int(t, offsets[i]);
    }
    pg_array_end(t);
}

/* --- which log ------------------------------------------------------------------------------- */

#define UNSETTLED                                                                                  \
    "(select count(*) from log_records r join log_partitions p"                                    \
    "  on p.topic = r.topic and p.partition = r.partition"                                         \
    "  where r.topic = $1 and r.record_offset > p.position"                                        \
    "   and r.record_offset > b.relay_after)"

static const struct pg_stmt backend_show = {
    "kafka_backend",
    "select b.name, " UNSETTLED " from log_backend b",
};
static const struct pg_stmt backend_switch = {
    "kafka_switch",
    "with done as (update log_backend b set name = $2, changed_at = now(),"
    "   relay_after = coalesce((select max(record_offset) from log_records), 0)"
    "  where b.name <> $2 and " UNSETTLED " = 0"
    "   and not exists (select from pg_locks l where l.locktype = 'advisory' and l.granted"
    "     and l.classid = " DBLOG_MEMBER_CLASS " and l.objsubid = 2"
    "     and l.database = (select oid from pg_database where datname = current_database()))"
    "   and (b.name = 'postgres'"
    "     or not exists (select from log_records r where r.record_offset > b.relay_after))"
    "  returning 1)"
    " select exists (select from done) or exists (select from log_backend where name = $2)",
};

void
dbkafka_backend(struct pg_txn *t, const char *topic)
{
    pg_stmt(t, &backend_show);
    pg_put_text(t, str_of(topic));
}

struct str
dbkafka_backend_read(const PGresult *r, int64_t *ret_unsettled)
{
    *ret_unsettled = pg_int(r, 0, 1);
    return pg_text(r, 0, 0);
}

void
dbkafka_switch(struct pg_txn *t, const char *topic, const char *name)
{
    dblog_lock(t);
    pg_stmt(t, &backend_switch);
    pg_put_text(t, str_of(topic));
    pg_put_text(t, str_of(name));
}
