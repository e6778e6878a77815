#include "db/channel.h"

static const struct pg_stmt load = {
    "channel_load",
    "select channel, case when jsonb_typeof(settings->'max_words') = 'number'"
    "   and (settings->>'max_words')::numeric between 50 and 1000"
    "   then (settings->>'max_words')::numeric::bigint else 0 end"
    " from channel_configs order by channel",
};

void
channel_load(struct pg_txn *t)
{
    pg_stmt(t, &load);
}

void
channel_row(const PGresult *r, int i, struct channel_config *ret)
{
    *ret = (struct channel_config){.channel = pg_text(r, i, 0), .max_words = pg_int(r, i, 1)};
}
