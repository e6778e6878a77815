#include "db/log.h"

#include "proto/runtime/fault.h"

#include <assert.h>
#include <string.h>

/* The lock under which offsets are drawn: a number of ours within this database. */
#define APPEND_LOCK "7042001"

static const char *const topics[] = {
    TOPIC_INCOMING,
    "fte.channels.email.inbound",
    "fte.channels.whatsapp.inbound",
    "fte.channels.webform.inbound",
    "fte.escalations",
    "fte.metrics",
    TOPIC_DEAD,
};

const char *
dblog_topic(struct str name)
{
    for (size_t i = 0; i < sizeof(topics) / sizeof(*topics); i++) {
        if (str_is(name, topics[i])) {
            return topics[i];
        }
    }
    return NULL;
}

/* FNV-1a with a final mix, since keys may differ in their last digits only. Never change it:
 * records that wait would be read in another order than those that follow them. */
int32_t
dblog_partition(struct str key)
{
    uint64_t h = 14695981039346656037ULL;

    for (size_t i = 0; i < key.n; i++) {
        h = (h ^ (uint8_t)key.p[i]) * 1099511628211ULL;
    }
    h ^= h >> 32;
    return (int32_t)(h % DBLOG_PARTITIONS);
}

/* --- appending ------------------------------------------------------------------------------ */

/* A statement of its own, before the insert: the lock must be held when the first offset is drawn,
 * and it is given back only after the commit is visible to all. */
static const struct pg_stmt append_lock = {
    "log_append_lock",
    "select pg_advisory_xact_lock(" APPEND_LOCK ")",
};
static const struct pg_stmt append_rows = {
    "log_append",
    "insert into log_records (topic, partition, id, key, body, digest, trace)"
    " select topic, partition, id, key, body, digest, trace"
    " from unnest($1::text[], $2::bigint[], $3::uuid[], $4::text[], $5::bytea[], $6::bytea[],"
    "             $7::text[]) with ordinality"
    "   as given(topic, partition, id, key, body, digest, trace, n)"
    " order by n"
    " on conflict (id, topic) do nothing"
    " returning topic, id, record_offset",
};
static const struct pg_stmt append_notify = {
    "log_append_notify",
    "select pg_notify('" DBLOG_CHANNEL "', '')",
};
static const struct pg_stmt find_rows = {
    "log_find",
    "select given.n, r.record_offset, r.digest"
    " from unnest($1::text[], $2::uuid[]) with ordinality as given(topic, id, n)"
    " join log_records r on r.id = given.id and r.topic = given.topic",
};

static void
put_topics(struct pg_txn *t, const struct dblog_row *rows, size_t n)
{
    pg_array(t, PG_TEXT);
    for (size_t i = 0; i < n; i++) {
        pg_put_text(t, str_of(rows[i].topic));
    }
    pg_array_end(t);
}

static void
put_ids(struct pg_txn *t, const struct dblog_row *rows, size_t n)
{
    pg_array(t, PG_ID);
    for (size_t i = 0; i < n; i++) {
        pg_put_id(t, rows[i].id);
    }
    pg_array_end(t);
}

void
dblog_lock(struct pg_txn *t)
{
    pg_stmt(t, &append_lock);
}

void
dblog_notify(struct pg_txn *t)
{
    pg_stmt(t, &append_notify);
}

void
dblog_append(struct pg_txn *t, const struct dblog_row *rows, size_t n, bool notify)
{
    dblog_lock(t);
    pg_stmt(t, &append_rows);
    put_topics(t, rows, n);
    pg_array(t, PG_INT);
    for (size_t i = 0; i < n; i++) {
        pg_put_int(t, dblog_partition(rows[i].key));
    }
    pg_array_end(t);
    put_ids(t, rows, n);
    pg_array(t, PG_TEXT);
    for (size_t i = 0; i < n; i++) {
        pg_put_text(t, rows[i].key);
    }
    pg_array_end(t);
    pg_array(t, PG_BYTES);
    for (size_t i = 0; i < n; i++) {
        pg_put_bytes(t, rows[i].body);
    }
    pg_array_end(t);
    pg_array(t, PG_BYTES);
    for (size_t i = 0; i < n; i++) {
        pg_put_bytes(t, (struct str){(const char *)rows[i].digest, DBLOG_DIGEST});
    }
    pg_array_end(t);
    pg_array(t, PG_TEXT);
    for (size_t i = 0; i < n; i++) {
        pg_put_text(t, rows[i].trace.n ? rows[i].trace : (struct str){0});
    }
    pg_array_end(t);
    if (notify) {
        dblog_notify(t);
    }
}

/* The insert returns its rows in the given order, less those that were there. */
size_t
dblog_append_read(const struct pg_reply *reply, const struct dblog_row *rows, size_t n,
                  struct dblog_appended *ret)
{
    const PGresult *r = reply->results[1];
    int row = 0, rows_n = PQntuples(r);
    size_t duplicates = 0;

    for (size_t i = 0; i < n; i++) {
        if (row < rows_n && id_eq(pg_id(r, row, 1), rows[i].id) &&
            str_is(pg_text(r, row, 0), rows[i].topic)) {
            ret[i] = (struct dblog_appended){.offset = pg_int(r, row, 2), .same = true};
            row++;
        } else {
            ret[i] = (struct dblog_appended){.duplicate = true, .same = true};
            duplicates++;
        }
    }
    return duplicates;
}

void
dblog_find(struct pg_txn *t, const struct dblog_row *rows, size_t n)
{
    pg_stmt(t, &find_rows);
    put_topics(t, rows, n);
    put_ids(t, rows, n);
}

void
dblog_find_read(const PGresult *r, const struct dblog_row *rows, size_t n,
                struct dblog_appended *ret)
{
    for (int row = 0; row < PQntuples(r); row++) {
        size_t i = (size_t)pg_int(r, row, 0) - 1;
        struct str digest = pg_text(r, row, 2);

        if (i >= n || !ret[i].duplicate) {
            continue;
        }
        ret[i].offset = pg_int(r, row, 1);
        ret[i].same = str_eq(digest, (struct str){(const char *)rows[i].digest, DBLOG_DIGEST});
    }
}

/* --- reading -------------------------------------------------------------------------------- */

static const struct pg_stmt read_rows = {
    "log_read",
    "select r.partition, r.record_offset, r.id, r.unit, r.unit_at, r.unit_size,"
    "  r.key, r.body, r.trace, r.received_at"
    " from unnest($2::bigint[], $3::bigint[], $4::bigint[]) as span(partition, after, room)"
    " cross join lateral ("
    "   select * from log_records"
    "   where topic = $1 and partition = span.partition::int and record_offset > span.after"
    "   order by record_offset limit span.room) r"
    " order by r.record_offset limit $5",
};

void
dblog_read(struct pg_txn *t, const char *topic, const struct dblog_span *spans, size_t n,
           int64_t limit)
{
    pg_stmt(t, &read_rows);
    pg_put_text(t, str_of(topic));
    pg_array(t, PG_INT);
    for (size_t i = 0; i < n; i++) {
        pg_put_int(t, spans[i].partition);
    }
    pg_array_end(t);
    pg_array(t, PG_INT);
    for (size_t i = 0; i < n; i++) {
        pg_put_int(t, spans[i].after);
    }
    pg_array_end(t);
    pg_array(t, PG_INT);
    for (size_t i = 0; i < n; i++) {
        pg_put_int(t, spans[i].room);
    }
    pg_array_end(t);
    pg_put_int(t, limit);
}

void
dblog_record(const PGresult *r, int row, struct dblog_record *ret)
{
    *ret = (struct dblog_record){
        .partition = (int32_t)pg_int(r, row, 0),
        .offset = pg_int(r, row, 1),
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

/* --- leases --------------------------------------------------------------------------------- */

/* Members whose lease runs and whose connection still holds its session lock. */
#define ALIVE                                                                                      \
    "alive as materialized ("                                                                      \
    " select m.owner from log_members m where m.lease_until > now() and m.owner in ("              \
    "  select l.objid::bigint from pg_locks l where l.locktype = 'advisory' and l.granted"         \
    "   and l.classid = " DBLOG_MEMBER_CLASS " and l.objsubid = 2"                                 \
    "   and l.database = (select oid from pg_database where datname = current_database())))"

static const struct pg_stmt join_members = {
    "log_join",
    "select m.owner, pg_try_advisory_lock(" DBLOG_MEMBER_CLASS ", m.owner)"
    " from (select nextval('log_member_ids')::int as owner offset 0) m",
};
static const struct pg_stmt member_renew = {
    "log_member_renew",
    "insert into log_members (owner, lease_until)"
    " values ($1::bigint, now() + $2::bigint * interval '1 millisecond')"
    " on conflict (owner) do update set lease_until = excluded.lease_until",
};
static const struct pg_stmt lease_renew = {
    "log_lease_renew",
    "update log_partitions set lease_until = now() + $3::bigint * interval '1 millisecond'"
    " where topic = $1 and owner = $2::bigint",
};
/* "free": nobody's, or of one whose lease is over, or of one that is dead. */
static const struct pg_stmt lease_claim = {
    "log_lease_claim",
    "with " ALIVE ", mine as ("
    "  select count(*) as n from log_partitions where topic = $1 and owner = $2::bigint), "
    "share as (select ceil((select count(*) from log_partitions where topic = $1)"
    "    / greatest(1, (select count(*) from alive))::numeric)::bigint as n), "
    "free as (select partition from log_partitions p"
    "  where topic = $1 and owner is distinct from $2::bigint"
    "   and (owner is null or lease_until < now() or owner not in (select owner from alive))"
    "  order by partition"
    "  limit (select greatest(0, share.n - mine.n) from share, mine)"
    "  for update skip locked)"
    " update log_partitions p set owner = $2::bigint, fence = fence + 1,"
    "   lease_until = now() + $3::bigint * interval '1 millisecond'"
    " from free where p.topic = $1 and p.partition = free.partition",
};
/* After the claim, with a snapshot of its own: what is visible now, an earlier owner may have read;
 * what becomes visible later lies above it. */
static const struct pg_stmt lease_list = {
    "log_lease_list",
    "with " ALIVE " select (select ceil((select count(*) from log_partitions where topic = $1)"
    "    / greatest(1, (select count(*) from alive))::numeric)::bigint),"
    "  p.partition, p.fence, p.position,"
    "  coalesce((select record_offset from log_records r where r.topic = p.topic"
    "    and r.partition = p.partition order by record_offset desc limit 1), 0)"
    " from (select) one left join log_partitions p on p.topic = $1 and p.owner = $2::bigint",
};
static const struct pg_stmt lease_release = {
    "log_release",
    "update log_partitions p set owner = null, lease_until = null,"
    "  position = greatest(p.position, v.position)"
    " from unnest($3::bigint[], $4::bigint[], $5::bigint[]) as v(partition, fence, position)"
    " where p.topic = $1 and p.owner = $2::bigint and p.partition = v.partition"
    "  and p.fence = v.fence",
};
static const struct pg_stmt member_leave = {
    "log_leave",
    "delete from log_members where owner = $1::bigint or lease_until < now() - interval '1 hour'",
};
#define STILL_HELD SQL_SAFEGUARD("fence_position", "p.owner = $2::bigint and p.fence = v.fence")
static const struct pg_stmt position_move = {
    "log_position",
    "update log_partitions p set position = v.position"
    " from unnest($3::bigint[], $4::bigint[], $5::bigint[]) as v(partition, fence, position)"
    " where p.topic = $1 and p.partition = v.partition and p.position <= v.position"
    "  and " STILL_HELD " returning p.partition",
};
#define HELD SQL_SAFEGUARD("fence", "p.owner = $3::bigint and p.fence = $4")
static const struct pg_stmt compose_unit = {
    "log_compose",
    "update log_records r set unit = $6, unit_at = given.n - 1, unit_size = "
    "cardinality($5::bigint[])"
    " from log_partitions p, unnest($5::bigint[]) with ordinality as given(record_offset, n)"
    " where p.topic = $1 and p.partition = $2::bigint and " HELD
    "  and r.topic = p.topic and r.partition = p.partition"
    "  and r.record_offset = given.record_offset"
    " returning r.record_offset",
};

void
dblog_join(struct pg_txn *t)
{
    pg_stmt(t, &join_members);
}

int32_t
dblog_join_read(const PGresult *r)
{
    return (int32_t)pg_int(r, 0, 0);
}

void
dblog_lease(struct pg_txn *t, const char *topic, int32_t owner, int64_t lease_ms)
{
    pg_stmt(t, &member_renew);
    pg_put_int(t, owner);
    pg_put_int(t, lease_ms);
    pg_stmt(t, &lease_renew);
    pg_put_text(t, str_of(topic));
    pg_put_int(t, owner);
    pg_put_int(t, lease_ms);
    pg_stmt(t, &lease_claim);
    pg_put_text(t, str_of(topic));
    pg_put_int(t, owner);
    pg_put_int(t, lease_ms);
    pg_stmt(t, &lease_list);
    pg_put_text(t, str_of(topic));
    pg_put_int(t, owner);
}

size_t
dblog_lease_read(const struct pg_reply *reply, struct dblog_lease *ret, int64_t *ret_share)
{
    const PGresult *r = reply->results[3];
    size_t n = 0;

    *ret_share = pg_int(r, 0, 0);
    for (int row = 0; row < PQntuples(r) && n < DBLOG_PARTITIONS; row++) {
        if (pg_null(r, row, 1)) {
            continue;
        }
        ret[n++] = (struct dblog_lease){.partition = (int32_t)pg_int(r, row, 1),
                                        .fence = pg_int(r, row, 2),
                                        .position = pg_int(r, row, 3),
                                        .high = pg_int(r, row, 4)};
    }
    return n;
}

/* $3 partitions, $4 fences, $5 positions. */
static void
put_leases(struct pg_txn *t, const struct dblog_lease *leases, size_t n)
{
    pg_array(t, PG_INT);
    for (size_t i = 0; i < n; i++) {
        pg_put_int(t, leases[i].partition);
    }
    pg_array_end(t);
    pg_array(t, PG_INT);
    for (size_t i = 0; i < n; i++) {
        pg_put_int(t, leases[i].fence);
    }
    pg_array_end(t);
    pg_array(t, PG_INT);
    for (size_t i = 0; i < n; i++) {
        pg_put_int(t, leases[i].position);
    }
    pg_array_end(t);
}

void
dblog_release(struct pg_txn *t, const char *topic, int32_t owner, const struct dblog_lease *leases,
              size_t n)
{
    pg_stmt(t, &lease_release);
    pg_put_text(t, str_of(topic));
    pg_put_int(t, owner);
    put_leases(t, leases, n);
}

void
dblog_leave(struct pg_txn *t, int32_t owner)
{
    pg_stmt(t, &member_leave);
    pg_put_int(t, owner);
}

void
dblog_position(struct pg_txn *t, const char *topic, int32_t owner, const struct dblog_lease *leases,
               size_t n)
{
    pg_stmt(t, &position_move);
    pg_put_text(t, str_of(topic));
    pg_put_int(t, owner);
    put_leases(t, leases, n);
}

void
dblog_compose(struct pg_txn *t, const char *topic, int32_t owner, const struct dblog_lease *lease,
              struct id unit, const int64_t *offsets, size_t n)
{
    pg_stmt(t, &compose_unit);
    pg_put_text(t, str_of(topic));
    pg_put_int(t, lease->partition);
    pg_put_int(t, owner);
    pg_put_int(t, lease->fence);
    pg_array(t, PG_INT);
    for (size_t i = 0; i < n; i++) {
        pg_put_int(t, offsets[i]);
    }
    pg_array_end(t);
    pg_put_id(t, unit);
}

/* --- keeping it bounded ---------------------------------------------------------------------- */

/* The oldest hundred of each topic and partition are looked at, through the primary key: bounded
 * work, whatever the log's size. A topic without positions is not consumed: only age counts. */
static const struct pg_stmt retain_rows = {
    "log_retain",
    "with old as ("
    " select x.topic, x.partition, x.record_offset"
    " from unnest($2::text[]) as t(topic)"
    " cross join generate_series(0, $3::bigint - 1) as g(partition)"
    " left join log_partitions p on p.topic = t.topic and p.partition = g.partition"
    " cross join lateral ("
    "   select r.topic, r.partition, r.record_offset, r.received_at from log_records r"
    "   where r.topic = t.topic and r.partition = g.partition::int"
    "    and r.record_offset <= coalesce(p.position, 9223372036854775807)"
    "   order by r.record_offset limit 100) x"
    " where x.received_at < now() - $1::bigint * interval '1 millisecond'),"
    " gone as (delete from log_records r using old"
    "  where r.topic = old.topic and r.partition = old.partition"
    "   and r.record_offset = old.record_offset returning 1)"
    " select count(*) from gone",
};

void
dblog_retain(struct pg_txn *t, int64_t keep_ms)
{
    pg_stmt(t, &retain_rows);
    pg_put_int(t, keep_ms);
    pg_array(t, PG_TEXT);
    for (size_t i = 0; i < sizeof(topics) / sizeof(*topics); i++) {
        pg_put_text(t, str_of(topics[i]));
    }
    pg_array_end(t);
    pg_put_int(t, DBLOG_PARTITIONS);
}
