#include "actors/edge/kafka_client.h"

#include "actors/edge/topics.h"
#include "proto/err.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_MAX_BYTES 4096

/* --- settings -------------------------------------------------------------------------------- */

/* A tool says by itself what is wrong. */
static void
say_nothing(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
    (void)rk;
    (void)level;
    (void)facility;
    (void)text;
}

static rd_kafka_conf_t *
quiet_conf(void)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();

    rd_kafka_conf_set_log_cb(conf, say_nothing);
    return conf;
}

/* What our promises rest on: nobody else may set it. */
static const char *const fixed[] = {
    "bootstrap.servers",
    "metadata.broker.list",
    "group.id",
    "group.instance.id",
    "acks",
    "request.required.acks",
    "enable.idempotence",
    "transactional.id",
    "max.in.flight",
    "max.in.flight.requests.per.connection",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "auto.commit.enable",
    "partition.assignment.strategy",
    "enable.partition.eof",
    "partitioner",
    "auto.offset.reset",
};

typedef bool property_fn(void *arg, const char *name, const char *value, struct buf *ret_why);

static bool
is_fixed(const char *name)
{
    for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++) {
        if (strcmp(name, fixed[i]) == 0) {
            return true;
        }
    }
    return false;
}

static bool
one_property(char *line, property_fn *fn, void *arg, struct buf *ret_why)
{
    struct str rest = str_trim(str_of(line));
    char *equals, *name, *value;
    bool ok;

    if (rest.n == 0 || rest.p[0] == '#') {
        return true;
    }
    name = str_dup(rest);
    equals = strchr(name, '=');
    if (equals == NULL || equals == name) {
        buf_add_c(ret_why, "a part is not key=value"); /* which may hold a password */
        free(name);
        return false;
    }
    *equals = '\0';
    value = str_dup(str_trim(str_of(equals + 1)));
    name[str_trim(str_of(name)).n] = '\0';
    ok = fn(arg, name, value, ret_why);
    free(value);
    free(name);
    return ok;
}

static bool
each_in_file(const char *path, property_fn *fn, void *arg, struct buf *ret_why)
{
    FILE *f = fopen(path, "re");
    char line[LINE_MAX_BYTES];
    bool ok = true;

    if (f == NULL) {
        buf_printf(ret_why, "%s: %s", path, strerror(errno));
        return false;
    }
    while (ok && fgets(line, sizeof(line), f) != NULL) {
        ok = one_property(line, fn, arg, ret_why);
    }
    fclose(f);
    return ok;
}

static bool
each_property(const char *properties, property_fn *fn, void *arg, struct buf *ret_why)
{
    char *copy, *at, *end;
    bool ok = true;

    if (properties[0] == '\0') {
        return true;
    }
    if (strchr(properties, '=') == NULL || properties[0] == '/') {
        return each_in_file(properties, fn, arg, ret_why);
    }
    copy = str_dup(str_of(properties));
    for (at = copy; ok && at != NULL; at = end) {
        end = strchr(at, ';');
        if (end != NULL) {
            *end++ = '\0';
        }
        ok = one_property(at, fn, arg, ret_why);
    }
    free(copy);
    return ok;
}

static bool
set(rd_kafka_conf_t *conf, const char *name, const char *value, struct buf *ret_why)
{
    char text[512];

    if (rd_kafka_conf_set(conf, name, value, text, sizeof(text)) == RD_KAFKA_CONF_OK) {
        return true;
    }
    /* The text may quote the value, and that may be a password. */
    buf_printf(ret_why, "librdkafka refuses the property \"%s\" or its value", name);
    return false;
}

static bool
set_property(void *conf, const char *name, const char *value, struct buf *ret_why)
{
    if (is_fixed(name)) {
        buf_printf(ret_why, "the property \"%s\" is set by fte itself", name);
        return false;
    }
    return set(conf, name, value, ret_why);
}

bool
kafka_properties_ok(const char *properties, struct buf *ret_why)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    bool ok = each_property(properties, set_property, conf, ret_why);

    rd_kafka_conf_destroy(conf);
    return ok;
}

static void
set_number(rd_kafka_conf_t *conf, const char *name, int64_t value)
{
    struct buf why = {0};
    char text[24];

    snprintf(text, sizeof(text), "%lld", (long long)value);
    if (!set(conf, name, text, &why)) {
        assert(!"a number of ours is allowed");
    }
    buf_fini(&why);
}

/* Both clients. Each may be given what only the other one understands: librdkafka takes it. */
static bool
configure(rd_kafka_conf_t *conf, const struct kafka_settings *s, struct buf *ret_why)
{
    set_number(conf, "reconnect.backoff.ms", 50);
    set_number(conf, "reconnect.backoff.max.ms", 1000);
    set_number(conf, "topic.metadata.refresh.fast.interval.ms", 100);
    set_number(conf, "socket.connection.setup.timeout.ms", 5000);
    return set(conf, "bootstrap.servers", s->brokers, ret_why) &&
           set(conf, "client.id", "fte-edge", ret_why) &&
           set(conf, "log.connection.close", "false", ret_why) &&
           each_property(s->properties, set_property, conf, ret_why);
}

static rd_kafka_t *
make(rd_kafka_type_t type, rd_kafka_conf_t *conf, struct buf *ret_why)
{
    char text[512];
    rd_kafka_t *rk = rd_kafka_new(type, conf, text, sizeof(text));

    if (rk == NULL) {
        rd_kafka_conf_destroy(conf);
        buf_add_c(ret_why, text);
    }
    return rk;
}

rd_kafka_t *
kafka_producer(const struct kafka_settings *s, rd_kafka_conf_t *conf, struct buf *ret_why)
{
    conf = conf ? conf : quiet_conf();
    /* acks=all and one request at a time: the order of a partition is that of produce(), whatever
     * is tried again. The idempotent producer of 2.0.2 ends for good after an error that may have
     * been stored (librdkafka #3584); repeats are absorbed by their ids instead. */
    if (!configure(conf, s, ret_why) || !set(conf, "acks", "all", ret_why) ||
        !set(conf, "partitioner", "murmur2_random", ret_why)) {
        rd_kafka_conf_destroy(conf);
        return NULL;
    }
    set_number(conf, "max.in.flight", 1);
    set_number(conf, "linger.ms", 0);
    set_number(conf, "message.timeout.ms", 1500);
    set_number(conf, "queue.buffering.max.messages", 100000);
    return make(RD_KAFKA_PRODUCER, conf, ret_why);
}

rd_kafka_t *
kafka_consumer(const struct kafka_settings *s, rd_kafka_conf_t *conf, struct buf *ret_why)
{
    conf = conf ? conf : quiet_conf();
    /* range: the cooperative protocol of 2.0.2 has bugs that lose and repeat (#4783, #4686, #4908).
     */
    if (!configure(conf, s, ret_why) || !set(conf, "group.id", s->group, ret_why) ||
        !set(conf, "enable.auto.commit", "false", ret_why) ||
        !set(conf, "enable.auto.offset.store", "false", ret_why) ||
        !set(conf, "auto.offset.reset", "earliest", ret_why) ||
        !set(conf, "partition.assignment.strategy", "range", ret_why) ||
        (s->instance[0] != '\0' && !set(conf, "group.instance.id", s->instance, ret_why))) {
        rd_kafka_conf_destroy(conf);
        return NULL;
    }
    set_number(conf, "session.timeout.ms", s->session_ms);
    set_number(conf, "heartbeat.interval.ms", s->session_ms / 5);
    set_number(conf, "max.poll.interval.ms", 300000);
    set_number(conf, "fetch.wait.max.ms", 100);
    /* What is read ahead of the window: little, since it is read again after each rebalance. A full
     * queue must not put fetching off for half a second (#2879). */
    set_number(conf, "queued.min.messages", 1000);
    set_number(conf, "queued.max.messages.kbytes", 4096);
    set_number(conf, "fetch.error.backoff.ms", 10);
    return make(RD_KAFKA_CONSUMER, conf, ret_why);
}

/* --- topics ---------------------------------------------------------------------------------- */

static int
brokers_of(rd_kafka_t *rk, int timeout_ms, struct buf *ret_why)
{
    const struct rd_kafka_metadata *m;
    rd_kafka_resp_err_t err = rd_kafka_metadata(rk, 0, NULL, &m, timeout_ms);
    int n;

    if (err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        buf_printf(ret_why, "no broker answers: %s", rd_kafka_err2str(err));
        return -1;
    }
    n = m->broker_cnt;
    rd_kafka_metadata_destroy(m);
    return n;
}

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

static rd_kafka_NewTopic_t *
wish(const struct topic *topic, int replicas)
{
    char text[256];
    rd_kafka_NewTopic_t *t =
        rd_kafka_NewTopic_new(topic->name, TOPICS_PARTITIONS, replicas, text, sizeof(text));

    assert(t != NULL);
    wish_config(t, "min.insync.replicas", min_insync(replicas));
    wish_config(t, "retention.ms", topic->retention_ms);
    wish_config(t, "max.message.bytes", TOPICS_MESSAGE);
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
        buf_printf(ret_why, "topic %s: %s", rd_kafka_topic_result_name(r), rd_kafka_err2str(err));
    }
    return err == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED ||
                   err == RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED ||
                   err == RD_KAFKA_RESP_ERR_POLICY_VIOLATION
               ? ERR_INVALID
               : ERR_UNAVAILABLE;
}

static rd_kafka_AdminOptions_t *
admin_options(rd_kafka_t *rk, rd_kafka_admin_op_t op, int timeout_ms)
{
    rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(rk, op);
    char text[128];

    rd_kafka_AdminOptions_set_request_timeout(options, timeout_ms, text, sizeof(text));
    return options;
}

int
kafka_make_topics(rd_kafka_t *rk, int timeout_ms, struct buf *ret_why)
{
    rd_kafka_NewTopic_t *wishes[TOPICS_N];
    const rd_kafka_topic_result_t **results;
    rd_kafka_AdminOptions_t *options;
    rd_kafka_queue_t *queue;
    rd_kafka_event_t *event;
    int brokers = brokers_of(rk, timeout_ms, ret_why), err = 0;
    size_t n;

    if (brokers < 0) {
        return ERR_UNAVAILABLE;
    }
    for (size_t i = 0; i < TOPICS_N; i++) {
        wishes[i] = wish(&topics[i], brokers < TOPICS_REPLICAS ? brokers : TOPICS_REPLICAS);
    }
    queue = rd_kafka_queue_new(rk);
    options = admin_options(rk, RD_KAFKA_ADMIN_OP_CREATETOPICS, timeout_ms);
    rd_kafka_CreateTopics(rk, wishes, TOPICS_N, options, queue);
    event = rd_kafka_queue_poll(queue, timeout_ms + 500);
    if (event == NULL || rd_kafka_event_error(event) != RD_KAFKA_RESP_ERR_NO_ERROR) {
        buf_printf(ret_why, "topics can't be made: %s",
                   event ? rd_kafka_event_error_string(event) : "no answer");
        err = ERR_UNAVAILABLE;
    } else {
        results =
            rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &n);
        for (size_t i = 0; i < n; i++) {
            int one = made(results[i], ret_why);
            err = one == 0 ? err : one;
        }
    }
    rd_kafka_event_destroy(event);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_queue_destroy(queue);
    rd_kafka_NewTopic_destroy_array(wishes, TOPICS_N);
    return err;
}

static int
check_config(const char *topic, const rd_kafka_ConfigEntry_t *entry, int replicas,
             struct buf *ret_lines)
{
    const char *name = rd_kafka_ConfigEntry_name(entry), *value = rd_kafka_ConfigEntry_value(entry);
    int64_t want = -1;

    if (strcmp(name, "min.insync.replicas") == 0) {
        want = min_insync(replicas);
    } else if (strcmp(name, "retention.ms") == 0) {
        want = topic_find(topic)->retention_ms;
    } else if (strcmp(name, "max.message.bytes") == 0) {
        want = TOPICS_MESSAGE;
    }
    if (want < 0 || value == NULL || strtoll(value, NULL, 10) == want) {
        return 0;
    }
    buf_printf(ret_lines, "topic %s: %s is %s, and should be %lld\n", topic, name, value,
               (long long)want);
    return 1;
}

static int
check_configs(rd_kafka_t *rk, const char *const *names, size_t n, int replicas, int timeout_ms,
              struct buf *ret_lines)
{
    rd_kafka_ConfigResource_t *resources[TOPICS_N];
    const rd_kafka_ConfigResource_t **got;
    rd_kafka_AdminOptions_t *options =
        admin_options(rk, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS, timeout_ms);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
    rd_kafka_event_t *event;
    int faults = 0;
    size_t got_n = 0;

    for (size_t i = 0; i < n; i++) {
        resources[i] = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, names[i]);
    }
    rd_kafka_DescribeConfigs(rk, resources, n, options, queue);
    event = rd_kafka_queue_poll(queue, timeout_ms + 500);
    if (event != NULL && rd_kafka_event_error(event) == RD_KAFKA_RESP_ERR_NO_ERROR) {
        got = rd_kafka_DescribeConfigs_result_resources(
            rd_kafka_event_DescribeConfigs_result(event), &got_n);
        for (size_t i = 0; i < got_n; i++) {
            size_t entry_n;
            const rd_kafka_ConfigEntry_t **entries =
                rd_kafka_ConfigResource_configs(got[i], &entry_n);
            for (size_t k = 0; k < entry_n; k++) {
                faults += check_config(rd_kafka_ConfigResource_name(got[i]), entries[k], replicas,
                                       ret_lines);
            }
        }
    }
    rd_kafka_event_destroy(event);
    rd_kafka_ConfigResource_destroy_array(resources, n);
    rd_kafka_queue_destroy(queue);
    rd_kafka_AdminOptions_destroy(options);
    return faults;
}

int
kafka_check_topics(rd_kafka_t *rk, int timeout_ms, struct buf *ret_lines)
{
    const struct rd_kafka_metadata *m;
    const char *names[TOPICS_N];
    rd_kafka_resp_err_t err = rd_kafka_metadata(rk, 1, NULL, &m, timeout_ms);
    int replicas, faults = 0;
    size_t n = 0;

    if (err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        buf_printf(ret_lines, "no broker answers: %s\n", rd_kafka_err2str(err));
        return -1;
    }
    replicas = m->broker_cnt < TOPICS_REPLICAS ? m->broker_cnt : TOPICS_REPLICAS;
    for (size_t i = 0; i < TOPICS_N; i++) {
        const struct rd_kafka_metadata_topic *t = NULL;
        for (int k = 0; k < m->topic_cnt && t == NULL; k++) {
            t = strcmp(m->topics[k].topic, topics[i].name) == 0 ? &m->topics[k] : NULL;
        }
        if (t == NULL) {
            continue; /* it will be made */
        }
        names[n++] = topics[i].name;
        if (t->partition_cnt != TOPICS_PARTITIONS) {
            buf_printf(ret_lines, "topic %s: it has %d partitions, and should have %d\n",
                       topics[i].name, t->partition_cnt, TOPICS_PARTITIONS);
            faults++;
        }
        if (t->partition_cnt > 0 && t->partitions[0].replica_cnt < replicas) {
            buf_printf(ret_lines, "topic %s: it has %d replicas, and should have %d\n",
                       topics[i].name, t->partitions[0].replica_cnt, replicas);
            faults++;
        }
    }
    if (n > 0) {
        faults += check_configs(rk, names, n, replicas, timeout_ms, ret_lines);
    }
    rd_kafka_metadata_destroy(m);
    return faults;
}

/* --- how much is left ------------------------------------------------------------------------ */

static int
partitions_of(rd_kafka_t *rk, const char *topic, int timeout_ms, struct buf *ret_why)
{
    rd_kafka_topic_t *t = rd_kafka_topic_new(rk, topic, NULL);
    const struct rd_kafka_metadata *m;
    rd_kafka_resp_err_t err = rd_kafka_metadata(rk, 0, t, &m, timeout_ms);
    int n = -1;

    if (err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        n = m->topics[0].partition_cnt; /* 0: there is no such topic, so nothing is left in it */
        rd_kafka_metadata_destroy(m);
    } else {
        buf_printf(ret_why, "no broker answers: %s", rd_kafka_err2str(err));
    }
    rd_kafka_topic_destroy(t);
    return n;
}

static int64_t
left_in(rd_kafka_t *rk, const rd_kafka_topic_partition_t *p, int timeout_ms, struct buf *ret_why)
{
    int64_t low, high, from;
    rd_kafka_resp_err_t err =
        rd_kafka_query_watermark_offsets(rk, p->topic, p->partition, &low, &high, timeout_ms);

    if (err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        buf_printf(ret_why, "partition %d: %s", p->partition, rd_kafka_err2str(err));
        return -1;
    }
    from = p->offset > low ? p->offset : low; /* none committed: a negative number */
    return high - from;
}

int64_t
kafka_lag(const struct kafka_settings *s, const char *topic, int timeout_ms, struct buf *ret_why)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(TOPICS_PARTITIONS);
    rd_kafka_t *rk = kafka_consumer(s, NULL, ret_why);
    int n = rk ? partitions_of(rk, topic, timeout_ms, ret_why) : -1;
    rd_kafka_resp_err_t err;
    int64_t sum = n < 0 ? -1 : 0;

    for (int i = 0; i < n; i++) {
        rd_kafka_topic_partition_list_add(list, topic, i);
    }
    if (n > 0 && (err = rd_kafka_committed(rk, list, timeout_ms)) != RD_KAFKA_RESP_ERR_NO_ERROR) {
        buf_printf(ret_why, "positions of the group: %s", rd_kafka_err2str(err));
        sum = -1;
    }
    for (int i = 0; i < list->cnt && sum >= 0; i++) {
        int64_t left = left_in(rk, &list->elems[i], timeout_ms, ret_why);
        sum = left < 0 ? -1 : sum + left;
    }
    rd_kafka_topic_partition_list_destroy(list);
    if (rk != NULL) {
        rd_kafka_destroy_flags(rk, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    }
    return sum;
}
