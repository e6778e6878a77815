/* check_log - which log this system uses, and whether it can be another from now on. */
#include "actors/edge/kafka_admin.h"
#include "actors/edge/kafka_lag.h"
#include "actors/edge/options.h"
#include "actors/edge/topics.h"
#include "db/kafka.h"
#include "db/log.h"
#include "supervisor/cli/check.h"
#include "supervisor/cli/cli.h"
#include "supervisor/cli/session.h"

#include <stdlib.h>
#include <string.h>

#define ANSWER_MS 3000

struct backend {
    char name[16];
    int64_t unsettled; /* in PostgreSQL's log */
    bool changed;
};

static void
read_backend(void *arg, const struct pg_reply *reply)
{
    struct backend *b = arg;
    struct str name = dbkafka_backend_read(reply->results[0], &b->unsettled);

    snprintf(b->name, sizeof(b->name), "%.*s", STR_ARG(name));
}

static void
read_change(void *arg, const struct pg_reply *reply)
{
    ((struct backend *)arg)->changed = pg_bool(reply->results[1], 0, 0);
}

/* In Kafka; -1 where that can't be seen, with the reason. */
static int64_t
unsettled_in_kafka(struct buf *ret_why)
{
    struct kafka_settings kafka = kafka_settings_of_options("");
    struct kafka_lag *lag = kafka_lag_open(&kafka, TOPIC_INCOMING, ret_why);
    int64_t lags[TOPICS_PARTITIONS], sum = -1;
    int n = lag ? kafka_lag_ask(lag, ANSWER_MS, lags, TOPICS_PARTITIONS, ret_why) : -1;

    if (n >= 0) {
        sum = 0;
    }
    for (int i = 0; i < n; i++) {
        sum += lags[i];
    }
    kafka_lag_close(&lag);
    return sum;
}

/* What the log of now still holds. False, and a fault, where it must not be left. */
static bool
is_drained(struct check *c, const struct backend *now, const char *wanted)
{
    bool kafka = strcmp(now->name, "kafka") == 0;
    struct buf why = {0};
    int64_t left = kafka ? unsettled_in_kafka(&why) : now->unsettled;

    if (left < 0) {
        check_fault(
            c,
            "FTE_LOG_BACKEND=\"%s\": the log of now is Kafka's, and what it still holds can't "
            "be seen (FTE_KAFKA_BROKERS: %s)",
            wanted, buf_c(&why));
    } else if (left > 0) {
        check_fault(
            c,
            "FTE_LOG_BACKEND=\"%s\": the log of now is %s, and %lld messages in it are not "
            "settled: start with FTE_LOG_BACKEND=%s and without the ingress (fte scale ingress "
            "0), wait until `fte check` with the new setting is content, then fte drain",
            wanted, now->name, (long long)left, now->name);
    }
    buf_fini(&why);
    return left == 0;
}

static void
change(struct check *c, struct session *d, struct backend *now, const char *wanted)
{
    struct pg_txn *t = session_begin(d);

    dbkafka_switch(t, TOPIC_INCOMING, wanted);
    if (session_run(d, &t, read_change, now) == CLI_OK && !now->changed) {
        check_fault(
            c,
            "FTE_LOG_BACKEND=\"%s\": an edge still runs on the log of now (%s), or it holds "
            "something: drain all nodes first",
            wanted, now->name);
    }
}

static void
look(struct check *c)
{
    struct kafka_settings kafka = kafka_settings_of_options("");
    struct buf lines = {0};
    char *rest = NULL;

    kafka_check(&kafka, ANSWER_MS, &lines);
    buf_c(&lines);
    for (char *line = strtok_r(lines.p, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        check_fault(c, "FTE_KAFKA_BROKERS=\"%.200s\": %s", kafka.brokers, line);
    }
    buf_fini(&lines);
}

void
check_log(struct check *c, enum check_log_purpose purpose)
{
    const char *wanted = option_text(edge_options, "FTE_LOG_BACKEND");
    struct backend now = {0};
    struct session *d;
    struct pg_txn *t;

    if (session_open("check", &d) == CLI_OK) {
        t = session_begin(d);
        dbkafka_backend(t, TOPIC_INCOMING);
        if (session_run(d, &t, read_backend, &now) == CLI_OK && strcmp(now.name, wanted) != 0 &&
            is_drained(c, &now, wanted) && purpose == CHECK_LOG_CHANGE) {
            change(c, d, &now, wanted);
        }
    }
    session_close(&d);
    if (purpose == CHECK_LOG_LOOK && strcmp(wanted, "kafka") == 0) {
        look(c);
    }
}
