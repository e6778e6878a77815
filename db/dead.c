#include "db/dead.h"

#include "db/log.h"
#include "proto/runtime/fault.h"

#define HELD SQL_SAFEGUARD("fence", "owner = $3::bigint and fence = $4")
#define NO_OUTCOME SQL_SAFEGUARD("other_outcomes", "not exists (select from outcome)")

/* The gate of the three outcomes: the customer's lock, as the sender and the escalator take it
 * (db/batch.h), and the conversation's row. The insert that follows sees what they did, and they
 * see the letter. Taken before the append lock, so that appends never wait for a conversation. */
static const struct pg_stmt dead_gate = {
    "dead_gate",
    "with m as materialized (select conversation_id, pg_advisory_xact_lock(lock_key(customer_id))"
    "                          from messages where id = $1)"
    " select c.id from m join conversations c on c.id = m.conversation_id for update of c",
};
/* A repeat after an unknown outcome finds the open row and adds nothing. */
static const struct pg_stmt dead_insert = {
    "dead_insert",
    "with lease as (select 1 from log_partitions"
    "  where topic = $1 and partition = $2::bigint and " HELD "),"
    " outcome as (select 1 from outbox where id = $6"
    "  union all select 1 from escalations where id = $6),"
    " dead as (insert into dead_letters (topic, partition, record_offset, unit_id, key, link_id,"
    "   message_ids, bodies, trace, received_at, error, service, why, attempts)"
    "  select $1, $2::bigint, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16::bigint"
    "  where exists (select from lease) and " NO_OUTCOME
    "  on conflict (unit_id) do update set state = 'dead', closed_at = null, created_at = now(),"
    "   record_offset = excluded.record_offset, error = excluded.error,"
    "   service = excluded.service, why = excluded.why, attempts = excluded.attempts,"
    "   deaths = dead_letters.deaths + 1"
    "  where dead_letters.state = 'replayed'"
    "  returning unit_id, topic, partition, key, trace),"
    " note as (insert into ticket_notes (ticket_id, unit_id, kind, note)"
    "  select t.id, dead.unit_id, 'dead_letter',"
    "   'A message could not be handled automatically (' || $13 || ' at ' || $14 || ');"
    " a person must look: fte dlq show ' || dead.unit_id"
    "  from dead join messages m on m.id = dead.unit_id join tickets t on t.id = m.conversation_id"
    "  on conflict do nothing),"
    " copy as (insert into log_records (topic, partition, id, key, body, digest, trace)"
    "  select '" TOPIC_DEAD "', partition, gen_random_uuid(), key, $17, '', trace from dead)"
    " select exists (select from lease), exists (select from outcome), exists (select from dead)",
};

#define DEAD_COLUMNS                                                                               \
    "select d.unit_id, d.state, d.error, d.service, d.why, d.attempts, d.deaths, d.key,"           \
    " d.created_at, d.received_at, d.closed_at, t.ref, cardinality(d.message_ids), d.topic,"       \
    " d.partition, d.record_offset, d.trace"                                                       \
    " from dead_letters d left join messages m on m.id = d.unit_id"                                \
    " left join tickets t on t.id = m.conversation_id"

static const struct pg_stmt list_letters = {
    "dead_list",
    DEAD_COLUMNS " where d.state = 'dead' or $1 order by d.created_at desc, d.unit_id limit $2",
};
static const struct pg_stmt show_letter = {
    "dead_show",
    DEAD_COLUMNS " where d.unit_id = $1",
};
/* The copies are new records of the same unit: every stage finds what it has stored for it. */
static const struct pg_stmt replay_letter = {
    "dead_replay",
    "with d as (update dead_letters set state = 'replayed', closed_at = now()"
    "  where unit_id = $1 and state = 'dead' returning *),"
    " copy as (insert into log_records"
    "   (topic, partition, id, unit, unit_at, unit_size, key, body, digest, trace)"
    "  select d.topic, d.partition, gen_random_uuid(), d.unit_id, b.n - 1, cardinality(d.bodies),"
    "   d.key, b.body, '', d.trace"
    "  from d, unnest(d.bodies) with ordinality as b(body, n) order by b.n returning 1)"
    " select count(*) from copy",
};
static const struct pg_stmt drop_letter = {
    "dead_drop",
    "with d as (update dead_letters set state = 'dropped', closed_at = now()"
    "  where unit_id = $1 and state = 'dead' returning 1)"
    " select count(*) from d",
};

void
dead_put(struct pg_txn *t, const struct dead_unit *d)
{
    pg_stmt(t, &dead_gate);
    pg_put_id(t, d->unit);
    dblog_lock(t);
    pg_stmt(t, &dead_insert);
    pg_put_text(t, str_of(d->topic));
    pg_put_int(t, d->partition);
    pg_put_int(t, d->owner);
    pg_put_int(t, d->fence);
    pg_put_int(t, d->offset);
    pg_put_id(t, d->unit);
    pg_put_text(t, d->key);
    if (id_is_nil(d->link)) {
        pg_put_null(t);
    } else {
        pg_put_id(t, d->link);
    }
    pg_array(t, PG_ID);
    for (size_t i = 0; i < d->message_n; i++) {
        pg_put_id(t, d->message_ids[i]);
    }
    pg_array_end(t);
    pg_array(t, PG_BYTES);
    for (size_t i = 0; i < d->body_n; i++) {
        pg_put_bytes(t, d->bodies[i]);
    }
    pg_array_end(t);
    pg_put_text(t, d->trace.n ? d->trace : (struct str){0});
    pg_put_time(t, d->received_us);
    pg_put_text(t, str_of(d->error));
    pg_put_text(t, d->service);
    pg_put_text(t, str_of(d->why));
    pg_put_int(t, d->attempts);
    pg_put_bytes(t, d->record);
}

enum dead_fate
dead_put_read(const struct pg_reply *reply)
{
    const PGresult *r = reply->results[2];

    if (pg_bool(r, 0, 2)) {
        return DEAD_BURIED;
    }
    if (!pg_bool(r, 0, 0)) {
        return DEAD_FENCED;
    }
    return pg_bool(r, 0, 1) ? DEAD_SETTLED : DEAD_BURIED;
}

void
dead_list(struct pg_txn *t, bool all, int64_t limit)
{
    pg_stmt(t, &list_letters);
    pg_put_bool(t, all);
    pg_put_int(t, limit);
}

void
dead_show(struct pg_txn *t, struct id unit)
{
    pg_stmt(t, &show_letter);
    pg_put_id(t, unit);
}

void
dead_replay(struct pg_txn *t, struct id unit)
{
    dblog_lock(t);
    pg_stmt(t, &replay_letter);
    pg_put_id(t, unit);
    dblog_notify(t);
}

void
dead_drop(struct pg_txn *t, struct id unit)
{
    dblog_lock(t); /* one behind the other with dead_replay(), and the same shape of results */
    pg_stmt(t, &drop_letter);
    pg_put_id(t, unit);
}

bool
dead_moved(const struct pg_reply *reply)
{
    return pg_int(reply->results[1], 0, 0) > 0;
}
