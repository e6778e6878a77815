/* metrics - figures per minute: received, answered, escalated by reason, latencies, sentiment.
 *
 *   tables --(roll-up)--> agent_metrics;  metrics --(CALL append)--> edge: topic fte.metrics
 *   Kafka --(how far behind, by partition)--> log_lag
 *   anyone --(CALL metrics {})--> metrics
 *          --(RETURN {totals: [{channel, name, value}], lags: [{partition, lag}]})-->
 *
 * Nothing is counted in memory: the figures are rolled up from the tables that hold the outcomes
 * (docs/adr), so a crash loses none, and counting again gives the same. How far the log's consumer
 * is behind is asked of Kafka and not of the edge: an edge that hangs or is gone is what it is for.
 */
#include "db/metric.h"

#include "actors/edge/kafka_lag.h"
#include "actors/edge/options.h"
#include "actors/edge/topics.h"
#include "db/actor_pg.h"
#include "db/lag.h"
#include "db/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

#define PUBLISH_TIMEOUT_MS 5000
#define LAG_WAIT_MS 400    /* for each of four answers of Kafka */
#define LAG_FRESH_MS 60000 /* what was measured longer ago is not known any more */

struct metrics {
    struct actor *self;
    struct pg *pg;
    bool rolling;          /* a roll-up is on its way */
    int64_t published_us;  /* the newest minute that the log has, as far as this process knows */
    struct buf totals;     /* the packed answer to a CALL */
    struct kafka_lag *lag; /* NULL where the log is not in Kafka */
    size_t lag_at;         /* its result among those of a roll-up */
    bool lag_unknown;      /* that was said */
};

static int metrics_init(struct actor *self);
static void roll_up(void *arg);
static size_t measure(struct metrics *metrics, struct pg_txn *t);
static void rolled(void *arg, const struct pg_reply *reply);
static void pack_answer(struct metrics *metrics, const PGresult *totals, const PGresult *lags);
static void publish(struct metrics *metrics, int64_t minute_us, struct str json);
static void metrics_call(struct actor *self, struct unit **units, size_t n);
static void metrics_fini(struct actor *self);

int
main(int argc, char **argv)
{
    static const struct option options[] = {
        DATABASE_OPTION,
        LOG_OPTIONS,
        {.name = "FTE_METRICS_INTERVAL",
         .type = OPTION_DURATION,
         .value_default = "10s",
         .min = 1000,
         .max = 60e3,
         .help = "How often the figures of the open minute are rolled up."},
        OPTION_END,
    };
    static const struct actor_spec spec = {
        .name = "metrics",
        .service = "metrics",
        .options = options,
        .context_size = sizeof(struct metrics),
        .init = metrics_init,
        .call = metrics_call,
        .fini = metrics_fini,
    };

    return actor_run(&spec, argc, argv);
}

static void
open_lag(struct metrics *metrics)
{
    struct kafka_settings kafka = kafka_settings_of_options("");
    struct buf why = {0};

    if (!str_is(str_of(actor_text(metrics->self, "FTE_LOG_BACKEND")), "kafka")) {
        return;
    }
    metrics->lag = kafka_lag_open(&kafka, TOPIC_INCOMING, &why);
    if (metrics->lag == NULL) {
        log_fatal(EX_CONFIG, "kafka_refused", "name=FTE_KAFKA_PROPERTIES why=%s",
                  log_quote(buf_c(&why)));
    }
    buf_fini(&why);
}

static int
metrics_init(struct actor *self)
{
    struct metrics *metrics = actor_context(self);
    long long every = actor_int(self, "FTE_METRICS_INTERVAL");

    metrics->self = self;
    metrics->pg = actor_pg_open(self, NULL, NULL);
    buf_add_c(&metrics->totals, "\x81\xa6totals\x90"); /* {totals: []} until the first roll-up */
    open_lag(metrics);
    loop_timer(actor_loop(self), 1000, every, roll_up, metrics);
    return 0;
}

static void
roll_up(void *arg)
{
    struct metrics *metrics = arg;
    struct pg_txn *t;

    if (metrics->rolling || !pg_is_up(metrics->pg)) {
        return;
    }
    metrics->rolling = true;
    t = pg_begin(metrics->pg);
    metric_put(t);
    metrics->lag_at = METRIC_STMTS + measure(metrics, t);
    lag_show(t, TOPIC_INCOMING);
    pg_commit(&t, rolled, metrics);
}

/* Waits for Kafka, but not long: nobody hurries here. How many statements it has added. */
static size_t
measure(struct metrics *metrics, struct pg_txn *t)
{
    int64_t lags[TOPICS_PARTITIONS];
    struct buf why = {0};
    int n;

    if (metrics->lag == NULL) {
        return 0;
    }
    n = kafka_lag_ask(metrics->lag, LAG_WAIT_MS, lags, TOPICS_PARTITIONS, &why);
    if (n > 0) {
        lag_put(t, TOPIC_INCOMING, lags, (size_t)n);
    } else if (n < 0 && !metrics->lag_unknown) {
        log_warn("lag_unknown", "why=%s", log_quote(buf_c(&why)));
    }
    metrics->lag_unknown = n < 0;
    buf_fini(&why);
    return n > 0;
}

static void
rolled(void *arg, const struct pg_reply *reply)
{
    struct metrics *metrics = arg;

    metrics->rolling = false;
    if (reply->err != 0) {
        log_warn("roll_up", "err=%s sqlstate=%s", err_str(reply->err), reply->sqlstate);
        return;
    }
    pack_answer(metrics, reply->results[METRIC_STMTS - 1], reply->results[metrics->lag_at]);
    for (int row = 0; row < PQntuples(reply->results[METRIC_STMTS - 2]); row++) {
        struct str json;
        int64_t minute_us;
        metric_get_minute(reply->results[METRIC_STMTS - 2], row, &minute_us, &json);
        if (minute_us > metrics->published_us) {
            publish(metrics, minute_us, json);
        }
    }
}

static void
pack_totals(msgpack_packer *pk, const PGresult *r)
{
    pack_key(pk, "totals");
    msgpack_pack_array(pk, (size_t)PQntuples(r));
    for (int row = 0; row < PQntuples(r); row++) {
        struct str channel, name;
        double value;
        metric_get_total(r, row, &channel, &name, &value);
        msgpack_pack_map(pk, 3);
        pack_key(pk, "channel");
        pack_str(pk, channel);
        pack_key(pk, "name");
        pack_str(pk, name);
        pack_key(pk, "value");
        msgpack_pack_double(pk, value);
    }
}

static void
pack_lags(msgpack_packer *pk, const PGresult *r)
{
    struct lag_row lag;
    int n = PQntuples(r);

    if (n > 0) {
        lag_read(r, 0, &lag);
        n = lag.age_ms < LAG_FRESH_MS ? n : 0;
    }
    pack_key(pk, "lags");
    msgpack_pack_array(pk, (size_t)n);
    for (int row = 0; row < n; row++) {
        lag_read(r, row, &lag);
        msgpack_pack_map(pk, 2);
        pack_key(pk, "partition");
        msgpack_pack_int(pk, lag.partition);
        pack_key(pk, "lag");
        msgpack_pack_int64(pk, lag.lag);
    }
}

static void
pack_answer(struct metrics *metrics, const PGresult *totals, const PGresult *lags)
{
    msgpack_packer pk;

    buf_clear(&metrics->totals);
    msgpack_packer_init(&pk, &metrics->totals, buf_msgpack_write);
    msgpack_pack_map(&pk, 2);
    pack_totals(&pk, totals);
    pack_lags(&pk, lags);
}

/* --- the topic fte.metrics ------------------------------------------------------------------ */

struct publishing {
    struct metrics *metrics;
    int64_t minute_us;
};

static void
published(struct actor *self, void *arg, int err, const msgpack_object *body)
{
    struct publishing *p = arg;

    (void)self;
    (void)body;
    if (err == 0 && p->minute_us > p->metrics->published_us) {
        p->metrics->published_us = p->minute_us;
    } /* otherwise the next roll-up tries again; the id absorbs a repeat */
    free(p);
}

/* The id is the minute's: published again after a restart, it is a duplicate that the log absorbs.
 */
static void
publish(struct metrics *metrics, int64_t minute_us, struct str json)
{
    struct publishing *p = xmalloc(sizeof(*p));
    struct buf body = {0}, value = {0};
    msgpack_packer pk;
    char name[32];

    p->metrics = metrics;
    p->minute_us = minute_us;
    snprintf(name, sizeof(name), "%lld", (long long)(minute_us / 60000000));
    buf_printf(&value, "{\"minute_unix\": %lld, \"figures\": %.*s}",
               (long long)(minute_us / 1000000), STR_ARG(json));
    msgpack_packer_init(&pk, &body, buf_msgpack_write);
    msgpack_pack_map(&pk, 2);
    pack_key(&pk, "verb");
    pack_c(&pk, "append");
    pack_key(&pk, "records");
    msgpack_pack_array(&pk, 1);
    msgpack_pack_map(&pk, 4);
    pack_key(&pk, "topic");
    pack_c(&pk, "fte.metrics");
    pack_key(&pk, "id");
    pack_id(&pk, id_derive("metrics", str_of(name)));
    pack_key(&pk, "key");
    pack_c(&pk, "metrics");
    pack_key(&pk, "body");
    msgpack_pack_bin(&pk, value.n);
    msgpack_pack_bin_body(&pk, value.p, value.n);
    actor_call(metrics->self, "edge", buf_str(&body), PUBLISH_TIMEOUT_MS, published, p);
    buf_fini(&body);
    buf_fini(&value);
}

/* --- questions ------------------------------------------------------------------------------ */

static void
metrics_call(struct actor *self, struct unit **units, size_t n)
{
    struct metrics *metrics = actor_context(self);

    for (size_t i = 0; i < n; i++) {
        unit_return(self, units[i], buf_str(&metrics->totals));
    }
}

static void
metrics_fini(struct actor *self)
{
    struct metrics *metrics = actor_context(self);
    pg_close(&metrics->pg);
    kafka_lag_close(&metrics->lag);
    buf_fini(&metrics->totals);
}
