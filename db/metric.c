#include "db/metric.h"

/* Counting again what is counted already gives the same figures, so a crash between two roll-ups,
 * or two metrics actors at once, do no harm. Rows are found by created_at, which is the start of
 * their transaction: a minute can still grow for as long as a statement may run (10 s, db/pg.c). */
static const struct pg_stmt roll_up = {
    "metric_roll_up",
    "with span as (select greatest(coalesce((select max(minute) from agent_metrics)"
    "   - interval '2 minutes', '-infinity'),"
    "   date_trunc('minute', now() - interval '1 day', 'UTC')) as since),"
    " message as (select date_trunc('minute', created_at, 'UTC') as minute, channel, direction,"
    "   author, sentiment, extract(epoch from created_at - received_at) * 1000 as ms"
    "  from messages, span where created_at >= since),"
    " figure as ("
    "  select minute, channel, 'received' as name, count(*)::double precision as value"
    "   from message where direction = 'inbound' group by 1, 2"
    "  union all select minute, channel, 'sentiment_mean', avg(sentiment)"
    "   from message where direction = 'inbound' and sentiment is not null group by 1, 2"
    "  union all select minute, channel, 'answered', count(*)"
    "   from message where direction = 'outbound' and author = 'fte' group by 1, 2"
    "  union all select minute, channel, 'latency_p50_ms',"
    "   percentile_cont(0.5) within group (order by ms)"
    "   from message where direction = 'outbound' and author = 'fte' and ms is not null group by "
    "1, 2"
    "  union all select minute, channel, 'latency_p95_ms',"
    "   percentile_cont(0.95) within group (order by ms)"
    "   from message where direction = 'outbound' and author = 'fte' and ms is not null group by "
    "1, 2"
    "  union all select date_trunc('minute', e.created_at, 'UTC'), t.channel,"
    "   'escalated_' || e.reason, count(*)"
    "   from span, escalations e join tickets t on t.id = e.ticket_id"
    "   where e.created_at >= since group by 1, 2, 3)"
    " insert into agent_metrics (minute, channel, name, value)"
    " select minute, channel, name, value from figure"
    " on conflict (minute, channel, name) do update set value = excluded.value"
    " where agent_metrics.value is distinct from excluded.value",
};

static const struct pg_stmt closed = {
    "metric_closed",
    "select minute, json_object_agg(channel || '.' || name, value order by channel, name)::text"
    " from agent_metrics where minute >= now() - interval '6 minutes'"
    " and minute < now() - interval '75 seconds' group by minute order by minute",
};

static const struct pg_stmt totals = {
    "metric_totals",
    "select channel, name, sum(value) from agent_metrics"
    " where name = 'received' or name = 'answered' or name like 'escalated%' group by 1, 2"
    " union all (select distinct on (channel, name) channel, name, value from agent_metrics"
    "  where name like 'latency%' or name = 'sentiment_mean' order by channel, name, minute desc)",
};

void
metric_put(struct pg_txn *t)
{
    pg_stmt(t, &roll_up);
    pg_stmt(t, &closed);
    pg_stmt(t, &totals);
}

void
metric_get_minute(const PGresult *r, int row, int64_t *ret_minute_us, struct str *ret_json)
{
    *ret_minute_us = pg_time(r, row, 0);
    *ret_json = pg_text(r, row, 1);
}

void
metric_get_total(const PGresult *r, int row, struct str *ret_channel, struct str *ret_name,
                 double *ret_value)
{
    *ret_channel = pg_text(r, row, 0);
    *ret_name = pg_text(r, row, 1);
    *ret_value = pg_float(r, row, 2);
}
