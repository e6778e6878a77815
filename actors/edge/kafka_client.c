#include "actors/edge/kafka_client.h"

#include "actors/edge/topics.h"

#include <assert.h>
#include <errno.h>
#include <openssl/x509.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_MAX_BYTES 4096

/* --- settings -------------------------------------------------------------------------------- */

/* What our promises rest on, or other settings decide: nobody else may set it. */
static const char *const fixed[] = {
    "bootstrap.servers",     /* FTE_KAFKA_BROKERS */
    "metadata.broker.list",  /* the same */
    "group.id",              /* FTE_KAFKA_GROUP */
    "group.instance.id",     /* FTE_KAFKA_INSTANCE */
    "session.timeout.ms",    /* FTE_EDGE_LEASE */
    "heartbeat.interval.ms", /* a part of it */
    "acks",                  /* all: nothing is accepted that one broker alone has */
    "request.required.acks", /* the same */
    "enable.idempotence",    /* its 2.0.2 ends for good after errors */
    "transactional.id",      /* turns it on */
    "max.in.flight",         /* 1: order */
    "max.in.flight.requests.per.connection",
    "queuing.strategy",           /* fifo: order */
    "partitioner",                /* a key's partition is the same for all */
    "message.timeout.ms",         /* a form is answered in time */
    "delivery.timeout.ms",        /* the same */
    "delivery.report.only.error", /* what arrived must be told */
    "message.max.bytes",          /* the largest of our topics' */
    "enable.auto.commit",         /* positions are those of the settled prefix */
    "auto.commit.enable",
    "enable.auto.offset.store",
    "auto.offset.reset", /* earliest: nothing is skipped */
    "partition.assignment.strategy",
    "enable.partition.eof",
    "allow.auto.create.topics", /* they are made with their settings, or not at all */
    "topic.blacklist",
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

    switch (rd_kafka_conf_set(conf, name, value, text, sizeof(text))) {
    case RD_KAFKA_CONF_OK:
        return true;
    case RD_KAFKA_CONF_UNKNOWN:
        buf_printf(ret_why, "librdkafka knows no property \"%s\"", name);
        return false;
    case RD_KAFKA_CONF_INVALID:
        break;
    }
    /* The text may quote the value, and that may be a password. */
    buf_printf(ret_why, "librdkafka refuses the value of the property \"%s\"", name);
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

void
kafka_set_number(rd_kafka_conf_t *conf, const char *name, int64_t value)
{
    struct buf why = {0};
    char text[24];

    snprintf(text, sizeof(text), "%lld", (long long)value);
    if (!set(conf, name, text, &why)) {
        assert(!"a number of ours is allowed");
    }
    buf_fini(&why);
}

/* --- why it can't be used -------------------------------------------------------------------- */

/* What OpenSSL last said of a broker's certificate. librdkafka asks from threads of its own, and
 * reports later only that something was wrong. */
static atomic_int certificate;

static int
on_certificate(rd_kafka_t *rk, const char *broker, int32_t id, int *x509_error, int depth,
               const char *der, size_t size, char *text, size_t room, void *opaque)
{
    (void)rk, (void)broker, (void)id, (void)depth, (void)der, (void)size, (void)opaque;
    if (*x509_error != X509_V_OK) {
        atomic_store(&certificate, *x509_error);
        snprintf(text, room, "%s", X509_verify_cert_error_string(*x509_error));
    }
    return *x509_error == X509_V_OK;
}

bool
kafka_is_right(int err)
{
    return err == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED ||
           err == RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED ||
           err == RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED ||
           err == RD_KAFKA_RESP_ERR_POLICY_VIOLATION;
}

static enum kafka_trouble
trouble_of(int err)
{
    switch (err) {
    case RD_KAFKA_RESP_ERR__AUTHENTICATION:
    case RD_KAFKA_RESP_ERR__SSL:
    case RD_KAFKA_RESP_ERR__RESOLVE:
    case RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE:
        return KAFKA_REFUSED;
    case RD_KAFKA_RESP_ERR__TRANSPORT:
        return KAFKA_SILENT;
    default:
        return kafka_is_right(err) ? KAFKA_REFUSED : KAFKA_FINE;
    }
}

bool
kafka_cause_take(struct kafka_cause *c, int err, const char *reason)
{
    enum kafka_trouble what = trouble_of(err);
    const char *end = strstr(reason, " (after "); /* "... 314ms in state AUTH_REQ)" */
    const char *ssl = err == RD_KAFKA_RESP_ERR__SSL ? strstr(reason, ": ") : NULL;
    const char *hangs_up = strstr(reason, ": Disconnected while requesting ApiVersion");
    int x509 = atomic_load(&certificate);
    int n = end ? (int)(end - reason) : (int)strlen(reason);

    if (what < c->what || what == KAFKA_FINE || (what == KAFKA_REFUSED && c->what == what)) {
        return false;
    }
    c->what = what;
    if (ssl != NULL && x509 != X509_V_OK && strstr(reason, "certificate") != NULL) {
        snprintf(c->text, sizeof(c->text), "%.*s: its certificate is not accepted: %s",
                 (int)(ssl - reason), reason, X509_verify_cert_error_string(x509));
    } else if (hangs_up != NULL) {
        snprintf(c->text, sizeof(c->text),
                 "%.*s: it hangs up at the first word: it wants another security.protocol, or is "
                 "too old",
                 (int)(hangs_up - reason), reason);
    } else {
        snprintf(c->text, sizeof(c->text), "%.*s", n, reason);
    }
    return what == KAFKA_REFUSED;
}

bool
kafka_configure(rd_kafka_conf_t *conf, const struct kafka_settings *s, struct buf *ret_why)
{
    kafka_set_number(conf, "reconnect.backoff.ms", 50);
    kafka_set_number(conf, "reconnect.backoff.max.ms", 1000);
    kafka_set_number(conf, "topic.metadata.refresh.fast.interval.ms", 100);
    kafka_set_number(conf, "socket.connection.setup.timeout.ms", 5000);
    kafka_set_number(conf, "message.max.bytes", TOPICS_MESSAGE_MAX);
    rd_kafka_conf_set_ssl_cert_verify_cb(conf, on_certificate);
    return set(conf, "bootstrap.servers", s->brokers, ret_why) &&
           set(conf, "client.id", "fte", ret_why) &&
           /* Each client may be given what only the other one understands: librdkafka takes it.
            * What is ours to tune, the operator may tune better. */
           each_property(s->properties, set_property, conf, ret_why);
}

rd_kafka_t *
kafka_new(rd_kafka_type_t type, rd_kafka_conf_t *conf, struct buf *ret_why)
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
    kafka_set_number(conf, "max.in.flight", 1);
    kafka_set_number(conf, "linger.ms", 0);
    kafka_set_number(conf, "message.timeout.ms", 1500);
    kafka_set_number(conf, "queue.buffering.max.messages", 100000);
    /* acks=all and one request at a time: the order of a partition is that of produce(), whatever
     * is tried again. The idempotent producer of 2.0.2 ends for good after an error that may have
     * been stored (librdkafka #3584); repeats are absorbed by their ids instead. */
    if (!set(conf, "acks", "all", ret_why) ||
        !set(conf, "partitioner", "murmur2_random", ret_why) ||
        !kafka_configure(conf, s, ret_why)) {
        rd_kafka_conf_destroy(conf);
        return NULL;
    }
    return kafka_new(RD_KAFKA_PRODUCER, conf, ret_why);
}

rd_kafka_t *
kafka_consumer(const struct kafka_settings *s, rd_kafka_conf_t *conf, struct buf *ret_why)
{
    kafka_set_number(conf, "session.timeout.ms", s->session_ms);
    kafka_set_number(conf, "heartbeat.interval.ms", s->session_ms / 5);
    kafka_set_number(conf, "max.poll.interval.ms", 300000);
    kafka_set_number(conf, "fetch.wait.max.ms", 100);
    /* What is read ahead of the window: little, since it is read again after each rebalance. A full
     * queue must not put fetching off for half a second (#2879). */
    kafka_set_number(conf, "queued.min.messages", 1000);
    kafka_set_number(conf, "queued.max.messages.kbytes", 4096);
    kafka_set_number(conf, "fetch.error.backoff.ms", 10);
    /* range: the cooperative protocol of 2.0.2 has bugs that lose and repeat (#4783, #4686, #4908).
     */
    if (!set(conf, "group.id", s->group, ret_why) ||
        !set(conf, "enable.auto.commit", "false", ret_why) ||
        !set(conf, "enable.auto.offset.store", "false", ret_why) ||
        !set(conf, "auto.offset.reset", "earliest", ret_why) ||
        !set(conf, "partition.assignment.strategy", "range", ret_why) ||
        (s->instance[0] != '\0' && !set(conf, "group.instance.id", s->instance, ret_why)) ||
        !kafka_configure(conf, s, ret_why)) {
        rd_kafka_conf_destroy(conf);
        return NULL;
    }
    return kafka_new(RD_KAFKA_CONSUMER, conf, ret_why);
}
