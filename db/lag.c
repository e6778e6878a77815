#include "db/lag.h"

static const struct pg_stmt put = {
    "lag_put",
    "insert into log_lag (topic, partition, lag, measured_at)"
    " select $1, g.n - 1, g.lag, clock_timestamp()"
    "  from unnest($2::bigint[]) with ordinality as g(lag, n) order by g.n"
    " on conflict (topic, partition) do update"
    "  set lag = excluded.lag, measured_at = excluded.measured_at",
};
static const struct pg_stmt show = {
    "lag_show",
    "select b.name, p.partition, (select count(*) from log_records r where r.topic = p.topic"
    "   and r.partition = p.partition and r.record_offset > p.position"
    "   and r.record_offset > b.relay_after), 0::bigint"
    " from log_backend b join log_partitions p on p.topic = $1 where b.name = 'postgres'"
    " union all select b.name, l.partition, l.lag,"
    "   greatest(extract(epoch from clock_timestamp() - l.measured_at) * 1000, 0)::bigint"
    " from log_backend b join log_lag l on l.topic = $1 where b.name = 'kafka'"
    " order by 2",
};

void
lag_put(struct pg_txn *t, const char *topic, const int64_t *lags, size_t n)
{
    pg_stmt(t, &put);
    pg_put_text(t, str_of(topic));
    pg_array(t, PG_INT);
    for (size_t i = 0; i < n; i++) {
        pg_put_int(t, lags[i]);
    }
    pg_array_end(t);
}

void
lag_show(struct pg_txn *t, const char *topic)
{
    pg_stmt(t, &show);
    pg_put_text(t, str_of(topic));
}

void
lag_read(const PGresult *r, int row, struct lag_row *ret)
{
    *ret = (struct lag_row){.backend = pg_text(r, row, 0),
                            .partition = (int)pg_int(r, row, 1),
                            .lag = pg_int(r, row, 2),
                            .age_ms = pg_int(r, row, 3)};
}
