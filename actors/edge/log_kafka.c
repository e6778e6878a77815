/* log_kafka - the log in Kafka: clients, assignment, positions.
 *
 * A partition is ours when Kafka's group says so and the database has given us a new fence for it.
 * Each partition has a queue of its own, which we read as far as there is room: what we don't read
 * Kafka doesn't send, so nothing needs to be paused. Positions are committed as the group's
 * offsets; Kafka refuses those of a member that is no longer one.
 */
#include "actors/edge/log_kafka.h"

#include "actors/edge/fenced.h"
#include "actors/edge/kafka_admin.h"
#include "db/log.h"
#include "proto/err.h"
#include "proto/runtime/fault.h"
#include "proto/runtime/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sysexits.h>
#include <unistd.h>

#define TICK_MS 500
#define POSITION_MS 150 /* how late a position may be committed */
#define RETAIN_TICKS 20
#define BUSY 32    /* conversations under way: what a stage takes into one commit */
#define PAUSE_MS 5 /* so often Kafka is listened to then */

static void commit_positions(struct kafka *k);
static void positions_due(void *arg);
static void claim(struct kafka *k);

/* --- assignment ------------------------------------------------------------------------------ */

static void
drop_lane(struct kafka *k, int32_t partition)
{
    struct klane *lane = &k->lanes[partition];
    bool held = lane->state == KLANE_HELD || lane->state == KLANE_LOST;

    if (lane->queue != NULL) {
        rd_kafka_queue_destroy(lane->queue);
    }
    *lane = (struct klane){.generation = ++k->generation, .position = -1, .committed = -1};
    if (held) {
        k->events.revoked(k->events.arg, partition);
    }
}

void
kafka_lane_lost(struct kafka *k, int32_t partition)
{
    if (k->lanes[partition].state == KLANE_HELD) {
        k->lanes[partition].state = KLANE_LOST;
        log_warn("fenced", "partition=%d", partition);
    }
}

/* Its own queue, and told of what comes. */
static void
watch_lane(struct kafka *k, const rd_kafka_topic_partition_t *p)
{
    static const uint64_t one = 1;
    struct klane *lane = &k->lanes[p->partition];

    *lane = (struct klane){.state = KLANE_ASSIGNED,
                           .more = true,
                           .generation = ++k->generation,
                           .position = -1,
                           .committed = -1};
    lane->queue = rd_kafka_queue_get_partition(k->consumer, p->topic, p->partition);
    rd_kafka_queue_forward(lane->queue, NULL);
    rd_kafka_queue_io_event_enable(lane->queue, k->wake_fd, &one, sizeof(one));
}

static void
on_rebalance(rd_kafka_t *rk, rd_kafka_resp_err_t err, rd_kafka_topic_partition_list_t *partitions,
             void *opaque)
{
    struct kafka *k = opaque;

    if (err == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
        log_info("assigned", "partitions=%d", partitions->cnt);
        k->outside = false;
        kafka_welcome(k);
        for (int i = 0; i < partitions->cnt; i++) {
            if (partitions->elems[i].partition < RLOG_MAX_PARTITIONS) {
                watch_lane(k, &partitions->elems[i]);
            }
        }
        rd_kafka_assign(rk, partitions);
        claim(k);
        return;
    }
    commit_positions(
        k); /* what is settled and not committed yet: the next holder needn't repeat it */
    log_info("revoked", "partitions=%d", partitions->cnt);
    for (int32_t i = 0; i < RLOG_MAX_PARTITIONS; i++) {
        if (k->lanes[i].state != KLANE_NONE) {
            drop_lane(k, i);
        }
    }
    rd_kafka_assign(rk, NULL);
}

static void
claimed(void *arg, const struct pg_reply *reply)
{
    struct kafka *k = arg;
    struct dbkafka_lane got;

    for (int row = 0; reply->err == 0 && row < PQntuples(reply->results[0]); row++) {
        struct klane *lane;
        dbkafka_claim_read(reply->results[0], row, &got);
        lane = &k->lanes[got.partition];
        if (lane->state != KLANE_CLAIMING) {
            continue; /* revoked meanwhile: whoever has it now takes a newer fence, or we do */
        }
        lane->state = KLANE_HELD;
        lane->fence = got.fence;
        k->events.assigned(k->events.arg, got.partition, -1);
    }
    for (int32_t i = 0; i < RLOG_MAX_PARTITIONS; i++) {
        if (k->lanes[i].state == KLANE_CLAIMING) {
            k->lanes[i].state = KLANE_ASSIGNED; /* the tick tries again */
        }
    }
    if (reply->err == 0) {
        kafka_read(k);
    } else if (reply->err != ERR_UNAVAILABLE) {
        log_warn("claim_failed", "code=%s sqlstate=%s", err_str(reply->err), reply->sqlstate);
    }
}

/* One claim at a time, so that a fence is always that of the newest assignment. */
static void
claim(struct kafka *k)
{
    int32_t partitions[RLOG_MAX_PARTITIONS];
    struct pg_txn *t;
    size_t n = 0;

    for (int32_t i = 0; i < RLOG_MAX_PARTITIONS; i++) {
        if (k->lanes[i].state == KLANE_CLAIMING) {
            return;
        }
        if (k->lanes[i].state == KLANE_ASSIGNED) {
            partitions[n++] = i;
        }
    }
    if (n == 0 || !k->known || !pg_is_up(k->pg) || k->leaving) {
        return;
    }
    for (size_t i = 0; i < n; i++) {
        k->lanes[partitions[i]].state = KLANE_CLAIMING;
    }
    t = pg_begin(k->pg);
    dbkafka_claim(t, k->settings.topic, k->owner, partitions, n);
    pg_commit(&t, claimed, k);
}

static void
owned(void *arg, const struct pg_reply *reply)
{
    struct kafka *k = arg;
    int64_t unsettled;
    struct str name;

    k->asking_owner = false;
    if (reply->err != 0) {
        return; /* the tick asks again */
    }
    k->known = true;
    k->owner = dbkafka_owner_read(reply->results[0]);
    name = dbkafka_backend_read(reply->results[1], &unsettled);
    if (!str_is(name, rlog_kafka.name)) {
        k->events.refused(k->events.arg, "FTE_LOG_BACKEND", RLOG_OTHER_BACKEND);
        return;
    }
    kafka_state(k);
    claim(k);
}

static void
ask_owner(struct kafka *k)
{
    struct pg_txn *t;

    if (k->known || k->asking_owner) {
        claim(k);
        return;
    }
    k->asking_owner = true;
    t = pg_begin(k->pg);
    dbkafka_owner(t, k->owner);
    dbkafka_backend(t, k->settings.topic);
    pg_commit(&t, owned, k);
}

static bool
kafka_holds(const struct rlog *self, int32_t partition)
{
    const struct kafka *k = (const struct kafka *)self;

    return k->lanes[partition].state == KLANE_HELD;
}

/* --- positions ------------------------------------------------------------------------------- */

static void
positions_due(void *arg)
{
    struct kafka *k = arg;

    k->position_timer = NULL;
    commit_positions(k);
}

static void
commit_positions(struct kafka *k)
{
    rd_kafka_topic_partition_list_t *list;
    rd_kafka_resp_err_t err;

    list = rd_kafka_topic_partition_list_new(RLOG_MAX_PARTITIONS);
    for (int32_t i = 0; i < RLOG_MAX_PARTITIONS; i++) {
        struct klane *lane = &k->lanes[i];
        if (lane->state == KLANE_HELD && lane->position != lane->committed) {
            lane->committed = lane->position;
            rd_kafka_topic_partition_list_add(list, k->settings.topic, i)->offset =
                lane->position + 1;
        }
    }
    if (list->cnt > 0 && !FAULT("before_offsets")) {
        err = rd_kafka_commit(k->consumer, list, 1);
        (void)FAULT("after_offsets");
        if (err != RD_KAFKA_RESP_ERR_NO_ERROR) {
            log_warn("commit_failed", "why=%s", log_quote(rd_kafka_err2str(err)));
        }
    }
    rd_kafka_topic_partition_list_destroy(list);
}

/* Not committed: with the next positions. A member that is none any longer is told by a rebalance.
 */
static void
on_commit(rd_kafka_t *rk, rd_kafka_resp_err_t err, rd_kafka_topic_partition_list_t *offsets,
          void *opaque)
{
    struct kafka *k = opaque;

    (void)rk;
    if (err == RD_KAFKA_RESP_ERR_NO_ERROR || err == RD_KAFKA_RESP_ERR__NO_OFFSET ||
        offsets == NULL) {
        return;
    }
    for (int i = 0; i < offsets->cnt; i++) {
        struct klane *lane = &k->lanes[offsets->elems[i].partition % RLOG_MAX_PARTITIONS];
        if (lane->state == KLANE_HELD) {
            lane->committed = -2;
        }
    }
    if (k->position_timer == NULL && !k->leaving) {
        k->position_timer = loop_timer(k->loop, TICK_MS, 0, positions_due, k);
    }
}

static void
kafka_settled(struct rlog *self, int32_t partition, int64_t position)
{
    struct kafka *k = (struct kafka *)self;

    k->lanes[partition].position = position;
    if (k->position_timer == NULL) {
        k->position_timer = loop_timer(k->loop, POSITION_MS, 0, positions_due, k);
    }
}

/* --- compositions and dead letters ----------------------------------------------------------- */

static void
lost(void *arg)
{
    (void)arg; /* the group will tell us what is ours */
}

static void
kafka_compose(struct rlog *self, int32_t partition, struct id unit, const int64_t *offsets,
              size_t n, rlog_done_fn *fn, void *arg)
{
    struct kafka *k = (struct kafka *)self;
    struct dbkafka_lane lane = {.partition = partition, .fence = k->lanes[partition].fence};
    struct pg_txn *t = pg_begin(k->pg);

    dbkafka_compose(t, k->settings.topic, k->owner, &lane, unit, offsets, n);
    fenced_compose(&t, n, &(struct fenced){.fn = fn, .arg = arg, .lost = lost, .self = k});
}

static void
kafka_bury(struct rlog *self, const struct rlog_dead *d, rlog_done_fn *fn, void *arg)
{
    struct kafka *k = (struct kafka *)self;

    fenced_bury(k->pg, k->settings.topic, k->owner, k->lanes[d->partition].fence, d,
                &(struct fenced){.fn = fn, .arg = arg, .lost = lost, .self = k});
}

/* --- clients ---------------------------------------------------------------------------------- */

static void
subscribe(struct kafka *k)
{
    rd_kafka_topic_partition_list_t *topics;

    topics = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(topics, k->settings.topic, RD_KAFKA_PARTITION_UA);
    rd_kafka_subscribe(k->consumer, topics);
    rd_kafka_topic_partition_list_destroy(topics);
}

/* Of both clients. */
static void
on_error(rd_kafka_t *rk, int err, const char *reason, void *opaque)
{
    struct kafka *k = opaque;
    char why[256];

    if (err == RD_KAFKA_RESP_ERR__FATAL) {
        rd_kafka_fatal_error(rk, why, sizeof(why));
        log_fatal(EX_TEMPFAIL, "kafka_fatal", "why=%s", log_quote(why));
    }
    if (err == RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED) {
        snprintf(why, sizeof(why), "group %s may not be joined: %s", k->settings.kafka.group,
                 reason);
        kafka_failed(k, err, why);
    } else if (err == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) {
        kafka_away(k); /* the next probe says why */
    } else {
        log_debug("kafka", "why=%s", log_quote(reason));
        kafka_failed(k, err, reason);
    }
}

static void
on_log(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
    (void)rk;
    /* Connections that come and go, and certificates, are told by on_error(). */
    if (level <= 3 && strcmp(facility, "FAIL") != 0 && strcmp(facility, "ERROR") != 0 &&
        strcmp(facility, "SSLCERTVRFY") != 0) {
        log_warn("librdkafka", "facility=%s text=%s", log_quote(facility), log_quote(text));
    }
}

/* --- the loop -------------------------------------------------------------------------------- */

/* Events of the group and delivery reports; records come by their partitions' queues. */
static void
serve(struct kafka *k)
{
    rd_kafka_message_t *m;

    rd_kafka_poll(k->producer, 0);
    while (k->consumer != NULL && (m = rd_kafka_consumer_poll(k->consumer, 0)) != NULL) {
        if (m->err != RD_KAFKA_RESP_ERR_NO_ERROR && m->err != RD_KAFKA_RESP_ERR__PARTITION_EOF) {
            on_error(k->consumer, m->err, rd_kafka_message_errstr(m), k);
        }
        rd_kafka_message_destroy(m);
    }
}

static void
listen_again(void *arg)
{
    struct kafka *k = arg;

    k->pause = NULL;
    loop_watch_events(k->wake, LOOP_IN);
}

/* Each answer of a broker wakes us, and there is one for each partition of a batch. Where many
 * conversations are under way, what comes within some milliseconds is taken together: it is looked
 * up in one commit, and goes through each stage in one. */
static void
pause_if_busy(struct kafka *k)
{
    if (k->pause == NULL && !k->leaving &&
        k->events.in_flight(k->events.arg) + k->sending + k->queue_n >= BUSY) {
        loop_watch_events(k->wake, 0);
        k->pause = loop_timer(k->loop, PAUSE_MS, 0, listen_again, k);
    }
}

static void
on_wake(void *arg, int events)
{
    struct kafka *k = arg;
    uint64_t count;

    (void)events;
    if (read(k->wake_fd, &count, sizeof(count)) > 0) {
        serve(k);
        for (int32_t i = 0; i < RLOG_MAX_PARTITIONS; i++) {
            k->lanes[i].more = true;
        }
        kafka_read(k);
        pause_if_busy(k);
    }
}

static void
retained(void *arg, const struct pg_reply *reply)
{
    (void)arg;
    (void)reply; /* the next time */
}

static void
retain(struct kafka *k)
{
    int32_t partitions[RLOG_MAX_PARTITIONS];
    int64_t positions[RLOG_MAX_PARTITIONS];
    struct pg_txn *t;
    size_t n = 0;

    if (++k->retain_ticks < RETAIN_TICKS) {
        return;
    }
    k->retain_ticks = 0;
    for (int32_t i = 0; i < RLOG_MAX_PARTITIONS; i++) {
        if (k->lanes[i].state == KLANE_HELD && k->lanes[i].position >= 0) {
            partitions[n] = i;
            positions[n++] = k->lanes[i].position;
        }
    }
    if (n > 0) {
        t = pg_begin(k->pg);
        dbkafka_retain(t, k->settings.topic, partitions, positions, n, k->settings.retention_ms);
        pg_commit(&t, retained, k);
    }
}

static void
on_tick(void *arg)
{
    struct kafka *k = arg;

    serve(k);
    kafka_probe(k);
    kafka_append_expire(k, false);
    if (!pg_is_up(k->pg) || k->leaving) {
        return;
    }
    ask_owner(k);
    for (int32_t i = 0; i < RLOG_MAX_PARTITIONS; i++) {
        k->lanes[i].more = true;
    }
    kafka_read(k);
    kafka_relay(k);
    retain(k);
}

static void
on_up(void *arg)
{
    struct kafka *k = arg;

    ask_owner(k);
    kafka_state(k);
    kafka_probe(k);
}

static void
on_down(void *arg)
{
    struct kafka *k = arg;

    k->known = false; /* the fences stay: nobody else has claimed anything */
    kafka_state(k);
}

static void
on_notify(void *arg, const char *channel, const char *payload)
{
    (void)channel;
    (void)payload;
    kafka_relay(arg);
}

static void
on_refused(void *arg, const char *why)
{
    struct kafka *k = arg;

    k->events.refused(k->events.arg, "DATABASE_URL", why);
}

static rd_kafka_conf_t *
conf_new(struct kafka *k)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();

    rd_kafka_conf_set_opaque(conf, k);
    rd_kafka_conf_set_error_cb(conf, on_error);
    rd_kafka_conf_set_log_cb(conf, on_log);
    return conf;
}

static void
watch_queue(struct kafka *k, rd_kafka_queue_t *queue)
{
    static const uint64_t one = 1;

    rd_kafka_queue_io_event_enable(queue, k->wake_fd, &one, sizeof(one));
    rd_kafka_queue_destroy(queue);
}

static void
open_clients(struct kafka *k)
{
    rd_kafka_conf_t *conf = conf_new(k);
    struct buf why = {0};

    rd_kafka_conf_set_dr_msg_cb(conf, kafka_delivered);
    k->producer = kafka_producer(&k->settings.kafka, conf, &why);
    if (k->producer != NULL) {
        conf = conf_new(k);
        rd_kafka_conf_set_rebalance_cb(conf, on_rebalance);
        rd_kafka_conf_set_offset_commit_cb(conf, on_commit);
        k->consumer = kafka_consumer(&k->settings.kafka, conf, &why);
    }
    if (k->consumer == NULL) {
        log_fatal(EX_CONFIG, "kafka_refused", "name=FTE_KAFKA_PROPERTIES why=%s",
                  log_quote(buf_c(&why)));
    }
    rd_kafka_poll_set_consumer(k->consumer);
    k->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    k->wake = loop_watch_fd(k->loop, k->wake_fd, LOOP_IN, on_wake, k);
    watch_queue(k, rd_kafka_queue_get_main(k->producer));
    watch_queue(k, rd_kafka_queue_get_consumer(k->consumer));
    subscribe(k);
}

static struct rlog *
kafka_open(struct loop *loop, const struct rlog_settings *settings,
           const struct rlog_events *events)
{
    struct kafka *k = xcalloc(1, sizeof(*k));
    struct pg_events mine = {
        .up = on_up, .down = on_down, .notify = on_notify, .refused = on_refused, .arg = k};

    k->base.backend = &rlog_kafka;
    k->loop = loop;
    k->settings = *settings;
    k->events = *events;
    k->probe_ms = INT64_MIN / 2;
    for (int32_t i = 0; i < RLOG_MAX_PARTITIONS; i++) {
        k->lanes[i] = (struct klane){.position = -1, .committed = -1};
    }
    open_clients(k);
    k->pg = pg_open(loop, settings->url, DBKAFKA_SCHEMA, &mine);
    pg_listen(k->pg, DBLOG_CHANNEL);
    k->tick = loop_timer(loop, TICK_MS, TICK_MS, on_tick, k);
    return &k->base;
}

/* --- the end --------------------------------------------------------------------------------- */

/* Kafka has no way to give one partition back: they go with the membership. */
static void
kafka_release(struct rlog *self, int32_t partition)
{
    (void)self;
    (void)partition;
}

static void
kafka_resume(struct rlog *self)
{
    kafka_read((struct kafka *)self);
    kafka_append_soon((struct kafka *)self);
}

static void
kafka_leave(struct rlog *self)
{
    struct kafka *k = (struct kafka *)self;

    k->leaving = true;
    commit_positions(k);
    for (int32_t i = 0; i < RLOG_MAX_PARTITIONS; i++) {
        if (k->lanes[i].state != KLANE_NONE) {
            drop_lane(k, i);
        }
    }
    if (!k->closing) {
        rd_kafka_queue_t *queue = rd_kafka_queue_get_consumer(k->consumer);
        rd_kafka_consumer_close_queue(k->consumer, queue);
        rd_kafka_queue_destroy(queue);
        k->closing = true;
    }
}

static bool
kafka_idle(const struct rlog *self)
{
    const struct kafka *k = (const struct kafka *)self;

    return k->queue.first == NULL && k->asking.first == NULL && k->producing == 0 &&
           pg_pending(k->pg) == 0 && (!k->closing || rd_kafka_consumer_closed(k->consumer));
}

static void
kafka_close(struct rlog *self)
{
    struct kafka *k = (struct kafka *)self;

    k->leaving = true;
    loop_cancel(k->loop, &k->tick);
    loop_cancel(k->loop, &k->position_timer);
    loop_cancel(k->loop, &k->pause);
    loop_unwatch(k->loop, &k->wake);
    pg_close(&k->pg);
    kafka_read_fini(k);
    for (int32_t i = 0; i < RLOG_MAX_PARTITIONS; i++) {
        if (k->lanes[i].queue != NULL) {
            rd_kafka_queue_destroy(k->lanes[i].queue);
        }
    }
    kafka_trial_free(&k->trial);
    /* No callback may find us half gone: what is open is answered first. */
    kafka_append_expire(k, true);
    rd_kafka_purge(k->producer, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    rd_kafka_flush(k->producer, 1000);
    rd_kafka_destroy_flags(k->producer, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    rd_kafka_destroy_flags(k->consumer, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    kafka_append_fini(k);
    close(k->wake_fd);
    free(k);
}

const struct rlog_backend rlog_kafka = {
    .name = "kafka",
    .open = kafka_open,
    .append = kafka_append,
    .resume = kafka_resume,
    .holds = kafka_holds,
    .settled = kafka_settled,
    .compose = kafka_compose,
    .bury = kafka_bury,
    .release = kafka_release,
    .leave = kafka_leave,
    .idle = kafka_idle,
    .close = kafka_close,
};
