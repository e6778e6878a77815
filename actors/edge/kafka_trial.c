#include "actors/edge/kafka_trial.h"

#include "actors/edge/topics.h"
#include "proto/clock.h"
#include "proto/err.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NO_SUCH_ACKS "2" /* Kafka knows 0, 1 and all */
#define PATIENCE_MS 2500

struct kafka_trial {
    rd_kafka_t *producer, *consumer; /* NULL: not tried */
    bool written, read;              /* its answer is there */
    size_t open;                     /* topics without one */
    int64_t until_ms;
    int err;
    char why[256];
};

static void
verdict(struct kafka_trial *t, int err, const char *what, rd_kafka_resp_err_t code)
{
    if (t->err != ERR_INVALID && err != 0) {
        t->err = err;
        snprintf(t->why, sizeof(t->why), "%s: %s", what, rd_kafka_err2str(code));
    }
}

static void
on_log(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
    (void)rk, (void)level, (void)facility, (void)text; /* the edge's own clients say it */
}

static void
on_report(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque)
{
    struct kafka_trial *t = opaque;
    char what[128];

    (void)rk;
    snprintf(what, sizeof(what), "topic %s may not be written to", rd_kafka_topic_name(m->rkt));
    if (m->err != RD_KAFKA_RESP_ERR_INVALID_REQUIRED_ACKS) {
        verdict(t, kafka_is_right(m->err) ? ERR_INVALID : ERR_UNAVAILABLE, what, m->err);
    }
    t->written = --t->open == 0;
}

static rd_kafka_t *
new_client(struct kafka_trial *t, rd_kafka_type_t type, const struct kafka_settings *s)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    struct buf why = {0};
    rd_kafka_t *rk = NULL;
    bool ok;

    rd_kafka_conf_set_opaque(conf, t);
    rd_kafka_conf_set_log_cb(conf, on_log);
    if (type == RD_KAFKA_PRODUCER) {
        rd_kafka_conf_set_dr_msg_cb(conf, on_report);
        kafka_set_number(conf, "message.timeout.ms", PATIENCE_MS);
        kafka_set_number(conf, "linger.ms", 0);
        ok = rd_kafka_conf_set(conf, "acks", NO_SUCH_ACKS, NULL, 0) == RD_KAFKA_CONF_OK;
    } else {
        ok = rd_kafka_conf_set(conf, "group.id", s->group, NULL, 0) == RD_KAFKA_CONF_OK &&
             rd_kafka_conf_set(conf, "enable.auto.commit", "false", NULL, 0) == RD_KAFKA_CONF_OK &&
             rd_kafka_conf_set(conf, "enable.partition.eof", "true", NULL, 0) == RD_KAFKA_CONF_OK;
    }
    if (ok && kafka_configure(conf, s, &why)) {
        rk = kafka_new(type, conf, &why);
    } else {
        rd_kafka_conf_destroy(conf);
    }
    buf_fini(&why);
    return rk;
}

/* The end of one partition: what comes is that it is the end, or an error. */
static void
begin_to_read(struct kafka_trial *t)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);

    rd_kafka_topic_partition_list_add(list, topics[0].name, 0)->offset = RD_KAFKA_OFFSET_END;
    rd_kafka_assign(t->consumer, list);
    rd_kafka_topic_partition_list_destroy(list);
}

struct kafka_trial *
kafka_trial_new(const struct kafka_settings *s, bool read)
{
    struct kafka_trial *t = xcalloc(1, sizeof(*t));

    t->read = !read;
    t->until_ms = clock_ms() + 2 * PATIENCE_MS;
    t->producer = new_client(t, RD_KAFKA_PRODUCER, s);
    t->consumer = read && t->producer ? new_client(t, RD_KAFKA_CONSUMER, s) : NULL;
    if (t->producer == NULL || (read && t->consumer == NULL)) {
        kafka_trial_free(&t);
        return NULL;
    }
    for (size_t i = 0; i < TOPICS_N; i++) {
        if (rd_kafka_producev(t->producer, RD_KAFKA_V_TOPIC(topics[i].name),
                              RD_KAFKA_V_PARTITION(0), RD_KAFKA_V_VALUE((void *)"", 0),
                              RD_KAFKA_V_END) == RD_KAFKA_RESP_ERR_NO_ERROR) {
            t->open++;
        }
    }
    if (read) {
        begin_to_read(t);
    }
    return t;
}

static void
take(struct kafka_trial *t, const rd_kafka_message_t *m)
{
    if (m->err == RD_KAFKA_RESP_ERR__PARTITION_EOF || m->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        t->read = true;
    } else if (m->err == RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED) {
        verdict(t, ERR_INVALID, "the group may not be joined", m->err);
        t->read = true;
    } else if (kafka_is_right(m->err)) {
        verdict(t, ERR_INVALID, "topic fte.tickets.incoming may not be read", m->err);
        t->read = true;
    } else {
        verdict(t, ERR_UNAVAILABLE, "nothing can be read", m->err);
    }
}

int
kafka_trial_turn(struct kafka_trial *t, int wait_ms, struct buf *ret_why)
{
    rd_kafka_message_t *m;

    rd_kafka_poll(t->producer, t->read ? wait_ms : 0);
    if (!t->read && (m = rd_kafka_consumer_poll(t->consumer, wait_ms)) != NULL) {
        take(t, m);
        rd_kafka_message_destroy(m);
    }
    if (!t->written || !t->read) {
        return clock_ms() < t->until_ms ? ERR_BUSY : ERR_UNAVAILABLE;
    }
    if (t->err != 0) {
        buf_add_c(ret_why, t->why);
    }
    return t->err;
}

void
kafka_trial_free(struct kafka_trial **t_p)
{
    struct kafka_trial *t = *t_p;

    *t_p = NULL;
    if (t == NULL) {
        return;
    }
    if (t->producer != NULL) {
        rd_kafka_purge(t->producer, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
        rd_kafka_destroy(t->producer);
    }
    if (t->consumer != NULL) {
        rd_kafka_consumer_close(t->consumer); /* it is a member of nothing: at once */
        rd_kafka_destroy(t->consumer);
    }
    free(t);
}
