#include "supervisor/cli/lag.h"

#include "db/lag.h"
#include "db/log.h"
#include "supervisor/cli/cli.h"
#include "supervisor/cli/session.h"

#include <stdio.h>

static void
take(void *arg, const struct pg_reply *reply)
{
    const PGresult *r = reply->results[0];
    json_t *partitions = json_array(), **ret = arg;
    struct lag_row lag = {0};
    int64_t sum = 0;

    for (int row = 0; row < PQntuples(r); row++) {
        lag_read(r, row, &lag);
        sum += lag.lag;
        json_array_append_new(partitions, json_pack("{s:i, s:I}", "partition", lag.partition, "lag",
                                                    (json_int_t)lag.lag));
    }
    if (PQntuples(r) == 0) {
        json_decref(partitions);
        return; /* before the first start, or before Kafka was asked the first time */
    }
    *ret = json_pack("{s:s#, s:I, s:o, s:f}", "backend", lag.backend.p, (int)lag.backend.n, "lag",
                     (json_int_t)sum, "partitions", partitions, "measured_s_ago",
                     (double)lag.age_ms / 1000);
}

json_t *
lag_json(const char *command)
{
    json_t *lag = NULL;
    struct session *d;
    struct pg_txn *t;

    if (session_open(command, &d) == CLI_OK) {
        t = session_begin(d);
        lag_show(t, TOPIC_INCOMING);
        session_run(d, &t, take, &lag);
    }
    session_close(&d);
    return lag ? lag : json_null();
}

void
lag_print(const json_t *lag)
{
    json_t *one;
    size_t i;

    if (!json_is_object(lag)) {
        puts("log: not known how much of it is unsettled");
        return;
    }
    printf("log in %s: %lld not settled", json_string_value(json_object_get(lag, "backend")),
           (long long)json_integer_value(json_object_get(lag, "lag")));
    json_array_foreach(json_object_get(lag, "partitions"), i, one)
    {
        long long n = json_integer_value(json_object_get(one, "lag"));
        if (n > 0) {
            printf(" %lld:%lld", (long long)json_integer_value(json_object_get(one, "partition")),
                   n);
        }
    }
    printf("; %.0f s ago\n", json_real_value(json_object_get(lag, "measured_s_ago")));
}
