#include "actors/edge/kafka_lag.h"

#include "actors/edge/kafka_admin.h"

#include <stdlib.h>

struct kafka_lag {
    rd_kafka_t *rk;
    struct kafka_cause cause;
    const char *topic;
};

static void
on_error(rd_kafka_t *rk, int err, const char *reason, void *opaque)
{
    struct kafka_lag *l = opaque;

    (void)rk;
    kafka_cause_take(&l->cause, err, reason);
}

static void
on_log(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
    (void)rk, (void)level, (void)facility, (void)text; /* told by who asks */
}

struct kafka_lag *
kafka_lag_open(const struct kafka_settings *s, const char *topic, struct buf *ret_why)
{
    struct kafka_settings nameless = *s; /* it is no member: it only knows the group's name */
    struct kafka_lag *l = xcalloc(1, sizeof(*l));
    rd_kafka_conf_t *conf = rd_kafka_conf_new();

    nameless.instance = "";
    rd_kafka_conf_set_opaque(conf, l);
    rd_kafka_conf_set_error_cb(conf, on_error);
    rd_kafka_conf_set_log_cb(conf, on_log);
    l->topic = topic;
    l->rk = kafka_consumer(&nameless, conf, ret_why);
    if (l->rk == NULL) {
        kafka_lag_close(&l);
    }
    return l;
}

/* -1 where that can't be known. */
static int
partitions_of(struct kafka_lag *l, int timeout_ms, struct buf *ret_why)
{
    rd_kafka_topic_t *t = rd_kafka_topic_new(l->rk, l->topic, NULL);
    const struct rd_kafka_metadata *m;
    rd_kafka_resp_err_t err = rd_kafka_metadata(l->rk, 0, t, &m, timeout_ms);
    int n = -1;

    if (err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        err = m->topic_cnt > 0 ? m->topics[0].err : err;
        n = m->topic_cnt > 0 ? m->topics[0].partition_cnt : 0;
        rd_kafka_metadata_destroy(m);
        if (kafka_is_right(err)) {
            buf_printf(ret_why, "topic %s: %s", l->topic, rd_kafka_err2str(err));
            n = -1;
        }
    } else {
        kafka_no_answer(l->rk, &l->cause, err, ret_why);
    }
    rd_kafka_topic_destroy(t);
    return n;
}

static rd_kafka_topic_partition_list_t *
list_of(const struct kafka_lag *l, int n, int64_t offset)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(n);

    for (int i = 0; i < n; i++) {
        rd_kafka_topic_partition_list_add(list, l->topic, i)->offset = offset;
    }
    return list;
}

static bool
is_whole(const rd_kafka_topic_partition_list_t *list, rd_kafka_resp_err_t err, const char *what,
         struct buf *ret_why)
{
    for (int i = 0; i < list->cnt && err == RD_KAFKA_RESP_ERR_NO_ERROR; i++) {
        err = list->elems[i].err;
    }
    if (err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        buf_printf(ret_why, "%s: %s", what, rd_kafka_err2str(err));
    }
    return err == RD_KAFKA_RESP_ERR_NO_ERROR;
}

/* Where each partition begins (RD_KAFKA_OFFSET_BEGINNING) or ends: in Kafka's protocol these are
 * times like any other. */
static bool
ask_offsets(struct kafka_lag *l, rd_kafka_topic_partition_list_t *list, int timeout_ms,
            struct buf *ret_why)
{
    rd_kafka_resp_err_t err = rd_kafka_offsets_for_times(l->rk, list, timeout_ms);

    return is_whole(list, err, "offsets of the topic", ret_why);
}

int
kafka_lag_ask(struct kafka_lag *l, int timeout_ms, int64_t *ret, int max, struct buf *ret_why)
{
    rd_kafka_topic_partition_list_t *at, *begin, *end;
    rd_kafka_resp_err_t err;
    int n;

    l->cause = (struct kafka_cause){0};
    n = partitions_of(l, timeout_ms, ret_why);
    if (n <= 0) {
        return n;
    }
    n = n < max ? n : max;
    at = list_of(l, n, RD_KAFKA_OFFSET_INVALID);
    begin = list_of(l, n, RD_KAFKA_OFFSET_BEGINNING);
    end = list_of(l, n, RD_KAFKA_OFFSET_END);
    err = rd_kafka_committed(l->rk, at, timeout_ms);
    if (!is_whole(at, err, "positions of the group", ret_why) ||
        !ask_offsets(l, begin, timeout_ms, ret_why) || !ask_offsets(l, end, timeout_ms, ret_why)) {
        n = -1;
    }
    for (int i = 0; i < n; i++) {
        int64_t from = at->elems[i].offset; /* none committed: a negative number */
        from = from > begin->elems[i].offset ? from : begin->elems[i].offset;
        ret[i] = end->elems[i].offset > from ? end->elems[i].offset - from : 0;
    }
    rd_kafka_topic_partition_list_destroy(at);
    rd_kafka_topic_partition_list_destroy(begin);
    rd_kafka_topic_partition_list_destroy(end);
    return n;
}

void
kafka_lag_close(struct kafka_lag **l_p)
{
    struct kafka_lag *l = *l_p;

    *l_p = NULL;
    if (l != NULL && l->rk != NULL) {
        rd_kafka_destroy_flags(l->rk, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    }
    free(l);
}
