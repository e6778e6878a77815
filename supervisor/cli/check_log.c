/* check_log - which log this system uses, and whether it can be another from now on. */
#include "actors/edge/options.h"
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

/* What the log of now still holds. False, and a fault, where it must not be left. */
static bool
is_drained(struct check *c, const struct backend *now, const char *wanted)
{
    struct kafka_settings kafka = kafka_settings_of_options("");
    int64_t left = now->unsettled;
    struct buf why = {0};

    if (strcmp(now->name, "kafka") == 0) {
        left = kafka_lag(&kafka, TOPIC_INCOMING, ANSWER_MS, &why);
    }
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
check_topics(struct check *c)
{
    struct kafka_settings kafka = kafka_settings_of_options("");
    struct buf lines = {0};
    rd_kafka_t *rk = kafka_producer(&kafka, NULL, &lines);
    char *rest = NULL;

    if (rk == NULL) {
        check_fault(c, "FTE_KAFKA_BROKERS: %s", buf_c(&lines));
    } else {
        kafka_check_topics(rk, ANSWER_MS, &lines);
        buf_c(&lines);
        for (char *line = strtok_r(lines.p, "\n", &rest); line;
             line = strtok_r(NULL, "\n", &rest)) {
            check_fault(c, "FTE_KAFKA_BROKERS: %s", line);
        }
        rd_kafka_destroy(rk);
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
        check_topics(c);
    }
}
