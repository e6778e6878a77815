#include "db/history.h"

static const struct pg_stmt newest = {
    "history_newest",
    "select q.n, m.direction, m.author, m.channel, left(m.body, 1000), length(m.body) > 1000,"
    " m.created_at, m.sentiment::double precision"
    " from unnest($1::uuid[], $2::uuid[]) with ordinality as q (customer_id, unit_id, n)"
    " cross join lateral (select * from messages"
    "  where messages.customer_id = q.customer_id and messages.unit_id <> q.unit_id"
    "  order by seq desc limit 20) as m"
    " order by q.n, m.seq desc",
};

_Static_assert(HISTORY_MESSAGES == 20 && HISTORY_BODY_CHARS == 1000, "as in the statement");

void
history_put(struct pg_txn *t, const struct history_question *questions, size_t n)
{
    pg_stmt(t, &newest);
    pg_array(t, PG_ID);
    for (size_t i = 0; i < n; i++) {
        pg_put_id(t, questions[i].customer);
    }
    pg_array_end(t);
    pg_array(t, PG_ID);
    for (size_t i = 0; i < n; i++) {
        pg_put_id(t, questions[i].unit);
    }
    pg_array_end(t);
}

void
history_get(const PGresult *r, int row, struct history_row *ret)
{
    *ret = (struct history_row){
        .question = (int)pg_int(r, row, 0) - 1,
        .direction = pg_text(r, row, 1),
        .author = pg_text(r, row, 2),
        .channel = pg_text(r, row, 3),
        .body = pg_text(r, row, 4),
        .cut = pg_bool(r, row, 5),
        .at_us = pg_time(r, row, 6),
        .has_sentiment = !pg_null(r, row, 7),
        .sentiment = pg_null(r, row, 7) ? 0 : pg_float(r, row, 7),
    };
}
