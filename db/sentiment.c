#include "db/sentiment.h"

static const struct pg_stmt store = {
    "sentiment_store",
    "update messages m set sentiment = g.score"
    " from unnest($1::uuid[], $2::double precision[]) as g(id, score)"
    " where m.id = g.id and m.direction = 'inbound' and m.sentiment is distinct from g.score::real",
};

void
sentiment_put(struct pg_txn *t, const struct sentiment_row *rows, size_t n)
{
    pg_stmt(t, &store);
    pg_array(t, PG_ID);
    for (size_t i = 0; i < n; i++)
        pg_put_id(t, rows[i].message);
    pg_array_end(t);
    pg_array(t, PG_FLOAT);
    for (size_t i = 0; i < n; i++)
        pg_put_float(t, rows[i].score);
    pg_array_end(t);
}
