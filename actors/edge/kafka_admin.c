#include "actors/edge/kafka_admin.h"

#include "actors/edge/kafka_trial.h"
#include "actors/edge/topics.h"
#include "proto/clock.h"
#include "proto/err.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STEP_MS 500

/* --- asking ---------------------------------------------------------------------------------- */

static void
on_error(rd_kafka_t *rk, int err, const char *reason, void *opaque)
{
    (void)rk;
    kafka_cause_take(opaque, err, reason);
}

/* A tool says by itself what is wrong. Called by any thread. */
static void
on_log(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
    (void)rk, (void)level, (void)facility, (void)text;
}

rd_kafka_t *
kafka_asker(const struct kafka_settings *s, struct kafka_cause *cause, struct buf *ret_why)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();

    rd_kafka_conf_set_opaque(conf, cause);
    rd_kafka_conf_set_error_cb(conf, on_error);
    rd_kafka_conf_set_log_cb(conf, on_log);
    return kafka_producer(s, conf, ret_why);
}

void
kafka_no_answer(rd_kafka_t *rk, const struct kafka_cause *cause, rd_kafka_resp_err_t err,
                struct buf *ret_why)
{
    while (rd_kafka_poll(rk, 0) > 0) {
    }
    if (cause->what == KAFKA_REFUSED) {
        buf_add_c(ret_why, cause->text);
    } else {
        buf_printf(ret_why, "no broker answers: %s",
                   cause->text[0] != '\0' ? cause->text : rd_kafka_err2str(err));
    }
}

static rd_kafka_AdminOptions_t *
admin_options(rd_kafka_t *rk, rd_kafka_admin_op_t op, int timeout_ms)
{
    rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(rk, op);
    char text[128];

    rd_kafka_AdminOptions_set_request_timeout(options, timeout_ms, text, sizeof(text));
    return options;
}

/* The settings of these topics. Caller destroys the event; NULL where none came. */
static rd_kafka_event_t *
describe(rd_kafka_t *rk, const char *const *names, size_t n, int timeout_ms)
{
    rd_kafka_ConfigResource_t *resources[TOPICS_N];
    rd_kafka_AdminOptions_t *options =
        admin_options(rk, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS, timeout_ms);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
    rd_kafka_event_t *event;

    for (size_t i = 0; i < n; i++) {
        resources[i] = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, names[i]);
    }
    rd_kafka_DescribeConfigs(rk, resources, n, options, queue);
    event = rd_kafka_queue_poll(queue, timeout_ms + 500);
    rd_kafka_ConfigResource_destroy_array(resources, n);
    rd_kafka_queue_destroy(queue);
    rd_kafka_AdminOptions_destroy(options);
    return event;
}

/* Who knows this question knows headers, too: without these a record would lose its id on the way,
 * and librdkafka says nothing. NULL, or what is wrong. */
static const char *
too_old(rd_kafka_t *rk, rd_kafka_event_t *described)
{
    rd_kafka_resp_err_t err = described ? rd_kafka_event_error(described) : 0;

    if (err == RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE) {
        return "the broker is too old: Kafka 0.11 or newer is needed";
    }
    if (err == RD_KAFKA_RESP_ERR__TIMED_OUT && rd_kafka_controllerid(rk, 0) < 0) {
        return "the brokers name no controller: they have none now, or are too old (Kafka 0.11 or "
               "newer is needed)";
    }
    return NULL;
}

static const struct rd_kafka_metadata_topic *
find_topic(const struct rd_kafka_metadata *m, const char *name)
{
    for (int i = 0; i < m->topic_cnt; i++) {
        if (strcmp(m->topics[i].topic, name) == 0) {
            return &m->topics[i];
        }
    }
    return NULL;
}

/* --- making ---------------------------------------------------------------------------------- */

static void
wish_config(rd_kafka_NewTopic_t *t, const char *name, int64_t value)
{
    char text[24];

    snprintf(text, sizeof(text), "%lld", (long long)value);
    rd_kafka_NewTopic_set_config(t, name, text);
}

/* A record is safe when all but one of three replicas have it. */
static int64_t
min_insync(int replicas)
{
    return replicas > 2 ? replicas - 1 : 1;
}

static int
replicas_of(const struct rd_kafka_metadata *m)
{
    return m->broker_cnt < TOPICS_REPLICAS ? m->broker_cnt : TOPICS_REPLICAS;
}

static rd_kafka_NewTopic_t *
wish(const struct topic *topic, int replicas)
{
    char text[256];
    rd_kafka_NewTopic_t *t =
        rd_kafka_NewTopic_new(topic->name, TOPICS_PARTITIONS, replicas, text, sizeof(text));

    assert(t != NULL);
    wish_config(t, "min.insync.replicas", min_insync(replicas));
    wish_config(t, "retention.ms", topic->retention_ms);
    wish_config(t, "max.message.bytes", topic->message_bytes);
    return t;
}

static int
made(const rd_kafka_topic_result_t *r, struct buf *ret_why)
{
    rd_kafka_resp_err_t err = rd_kafka_topic_result_error(r);

    if (err == RD_KAFKA_RESP_ERR_NO_ERROR || err == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS) {
        return 0;
    }
    if (ret_why->n == 0) {
        buf_printf(ret_why, "topic %s is not there, or may not be seen, and can't be made: %s",
                   rd_kafka_topic_result_name(r), rd_kafka_err2str(err));
    }
    return kafka_is_right(err) ? ERR_INVALID : ERR_UNAVAILABLE;
}

static int
make(rd_kafka_t *rk, rd_kafka_NewTopic_t **wishes, size_t n, int timeout_ms, struct buf *ret_why)
{
    rd_kafka_AdminOptions_t *options =
        admin_options(rk, RD_KAFKA_ADMIN_OP_CREATETOPICS, timeout_ms);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
    const rd_kafka_topic_result_t **results;
    rd_kafka_event_t *event;
    size_t result_n;
    int err = 0;

    rd_kafka_CreateTopics(rk, wishes, n, options, queue);
    event = rd_kafka_queue_poll(queue, timeout_ms + 500);
    if (event == NULL || rd_kafka_event_error(event) != RD_KAFKA_RESP_ERR_NO_ERROR) {
        buf_printf(ret_why, "topics can't be made: %s",
                   event ? rd_kafka_event_error_string(event) : "no answer");
        err = ERR_UNAVAILABLE;
    } else {
        results = rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event),
                                                      &result_n);
        for (size_t i = 0; i < result_n; i++) {
            int one = made(results[i], ret_why);
            err = one == 0 ? err : one;
        }
    }
    rd_kafka_event_destroy(event);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_queue_destroy(queue);
    return err;
}

int
kafka_make_topics(rd_kafka_t *rk, int timeout_ms, struct buf *ret_why)
{
    rd_kafka_NewTopic_t *wishes[TOPICS_N];
    const struct rd_kafka_metadata *m;
    rd_kafka_resp_err_t code = rd_kafka_metadata(rk, 1, NULL, &m, timeout_ms);
    rd_kafka_event_t *described;
    const char *old;
    size_t n = 0;
    int err = 0;

    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        buf_printf(ret_why, "no broker answers: %s", rd_kafka_err2str(code));
        return ERR_UNAVAILABLE;
    }
    for (size_t i = 0; i < TOPICS_N; i++) {
        if (find_topic(m, topics[i].name) == NULL) {
            wishes[n++] = wish(&topics[i], replicas_of(m));
        }
    }
    described = describe(rk, &topics[0].name, 1, timeout_ms);
    old = too_old(rk, described);
    if (old != NULL) {
        buf_add_c(ret_why, old);
        err = ERR_INVALID;
    } else if (n > 0) {
        err = make(rk, wishes, n, timeout_ms, ret_why);
    }
    rd_kafka_event_destroy(described);
    rd_kafka_NewTopic_destroy_array(wishes, n);
    rd_kafka_metadata_destroy(m);
    return err;
}

/* --- looking --------------------------------------------------------------------------------- */

static int
check_entry(const struct topic *topic, const rd_kafka_ConfigEntry_t *entry, int replicas,
            struct buf *ret_lines)
{
    const char *name = rd_kafka_ConfigEntry_name(entry), *value = rd_kafka_ConfigEntry_value(entry);
    int64_t want;

    if (strcmp(name, "min.insync.replicas") == 0) {
        want = min_insync(replicas);
    } else if (strcmp(name, "retention.ms") == 0) {
        want = topic->retention_ms;
    } else if (strcmp(name, "max.message.bytes") == 0) {
        want = topic->message_bytes;
    } else {
        return 0;
    }
    if (value == NULL || strtoll(value, NULL, 10) == want) {
        return 0;
    }
    buf_printf(ret_lines, "topic %s: %s is %s, and should be %lld\n", topic->name, name, value,
               (long long)want);
    return 1;
}

static int
check_resource(const rd_kafka_ConfigResource_t *got, int replicas, struct buf *ret_lines)
{
    rd_kafka_resp_err_t err = rd_kafka_ConfigResource_error(got);
    const struct topic *topic = topic_find(rd_kafka_ConfigResource_name(got));
    const rd_kafka_ConfigEntry_t **entries;
    int faults = 0;
    size_t n;

    if (topic == NULL) {
        return 0;
    }
    if (err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        buf_printf(ret_lines, "topic %s: its settings can't be seen: %s\n", topic->name,
                   rd_kafka_err2str(err));
        return 1;
    }
    entries = rd_kafka_ConfigResource_configs(got, &n);
    for (size_t i = 0; i < n; i++) {
        faults += check_entry(topic, entries[i], replicas, ret_lines);
    }
    return faults;
}

static int
check_configs(rd_kafka_t *rk, const char *const *names, size_t n, int replicas, int timeout_ms,
              struct buf *ret_lines)
{
    rd_kafka_event_t *event = describe(rk, names, n, timeout_ms);
    const rd_kafka_ConfigResource_t **got = NULL;
    int faults = 0;
    size_t got_n = 0;

    if (event == NULL || rd_kafka_event_error(event) != RD_KAFKA_RESP_ERR_NO_ERROR) {
        const char *old = too_old(rk, event);
        buf_printf(ret_lines, "%s%s\n", old ? "" : "the topics' settings can't be seen: ",
                   old     ? old
                   : event ? rd_kafka_event_error_string(event)
                           : "no answer");
        faults++;
    } else {
        got = rd_kafka_DescribeConfigs_result_resources(
            rd_kafka_event_DescribeConfigs_result(event), &got_n);
    }
    for (size_t i = 0; i < got_n; i++) {
        faults += check_resource(got[i], replicas, ret_lines);
    }
    rd_kafka_event_destroy(event);
    return faults;
}

static int
check_shape(const struct rd_kafka_metadata_topic *t, int replicas, struct buf *ret_lines)
{
    int faults = 0, least = replicas;

    for (int i = 0; i < t->partition_cnt; i++) {
        least = t->partitions[i].replica_cnt < least ? t->partitions[i].replica_cnt : least;
    }
    if (t->partition_cnt != TOPICS_PARTITIONS) {
        buf_printf(ret_lines, "topic %s: it has %d partitions, and should have %d\n", t->topic,
                   t->partition_cnt, TOPICS_PARTITIONS);
        faults++;
    }
    if (least < replicas) {
        buf_printf(ret_lines, "topic %s: it has %d replicas, and should have %d\n", t->topic, least,
                   replicas);
        faults++;
    }
    return faults;
}

/* Of topics that are there: others will be made. */
static int
check_topics(rd_kafka_t *rk, const struct rd_kafka_metadata *m, int timeout_ms,
             struct buf *ret_lines)
{
    const char *names[TOPICS_N];
    int faults = 0;
    size_t n = 0;

    for (size_t i = 0; i < TOPICS_N; i++) {
        const struct rd_kafka_metadata_topic *t = find_topic(m, topics[i].name);
        if (t != NULL) {
            names[n++] = topics[i].name;
            faults += check_shape(t, replicas_of(m), ret_lines);
        }
    }
    /* Asked also where none is there: it tells how old the broker is. */
    return faults + check_configs(rk, n > 0 ? names : &topics[0].name, n > 0 ? n : 1,
                                  replicas_of(m), timeout_ms, ret_lines);
}

static int
check_rights(const struct kafka_settings *s, int timeout_ms, struct buf *ret_lines)
{
    struct kafka_trial *trial = kafka_trial_new(s, true);
    int64_t until = clock_ms() + timeout_ms;
    int err = trial ? ERR_BUSY : 0;

    while (err == ERR_BUSY && clock_ms() < until) {
        err = kafka_trial_turn(trial, 50, ret_lines);
    }
    kafka_trial_free(&trial);
    if (err != ERR_INVALID) {
        return 0; /* topics that aren't there yet can't be tried */
    }
    buf_add_byte(ret_lines, '\n');
    return 1;
}

/* All topics; not waited for any longer where a broker has said no. */
static rd_kafka_resp_err_t
first_answer(rd_kafka_t *rk, const struct kafka_cause *cause, int timeout_ms,
             const struct rd_kafka_metadata **ret)
{
    rd_kafka_resp_err_t err;

    do {
        err = rd_kafka_metadata(rk, 1, NULL, ret, timeout_ms < STEP_MS ? timeout_ms : STEP_MS);
        timeout_ms -= STEP_MS;
        rd_kafka_poll(rk, 0);
    } while (err != RD_KAFKA_RESP_ERR_NO_ERROR && timeout_ms > 0 && cause->what != KAFKA_REFUSED);
    return err;
}

int
kafka_check(const struct kafka_settings *s, int timeout_ms, struct buf *ret_lines)
{
    struct kafka_cause cause = {0};
    rd_kafka_t *rk = kafka_asker(s, &cause, ret_lines);
    const struct rd_kafka_metadata *m;
    rd_kafka_resp_err_t err;
    int faults = 1;

    if (rk == NULL) {
        return faults;
    }
    err = first_answer(rk, &cause, timeout_ms, &m);
    if (err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        kafka_no_answer(rk, &cause, err, ret_lines);
    } else {
        faults = check_topics(rk, m, timeout_ms, ret_lines);
        faults += check_rights(s, timeout_ms, ret_lines);
        rd_kafka_metadata_destroy(m);
    }
    rd_kafka_destroy(rk);
    return faults;
}
