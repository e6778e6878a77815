/* log_kafka_append - producing: what is queued is looked up together, then produced, and answered
 * by Kafka's delivery reports. Nobody is told "durable" before all replicas have it.
 *
 * Kafka doesn't know ids. The look-up tells repeats of what was read before, and `recent` those of
 * what this process produced a moment ago; what both miss is absorbed when it is read (db/kafka.h).
 */
#include "actors/edge/log_kafka.h"

#include "db/log.h"
#include "proto/err.h"
#include "proto/runtime/fault.h"
#include "proto/runtime/log.h"

#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ASK_MAX 1024 /* ids of one look-up */
#define GATHER_MS 40 /* at most between two batches while something waits */
/* Answered by a tick of half a second: in time at the latest. */
#define DUE_MS (RLOG_APPEND_MS - 500)
#define RECENT_MAX 20000
#define RECENT_MS 60000 /* what was produced longer ago was read long ago */

static void asked(void *arg, const struct pg_reply *reply);

/* --- queues ---------------------------------------------------------------------------------- */

static void
queue_add(struct kappend_queue *q, struct kappend *a)
{
    a->next = NULL;
    if (q->last == NULL) {
        q->last = &q->first;
    }
    *q->last = a;
    q->last = &a->next;
}

static struct kappend *
queue_take(struct kappend_queue *q)
{
    struct kappend *a = q->first;

    q->first = a->next;
    if (q->first == NULL) {
        q->last = &q->first;
    }
    return a;
}

static void
answer(struct kappend *a, int err)
{
    struct rlog_appended results[64];
    rlog_append_fn *fn = a->fn;

    a->fn = NULL;
    if (fn == NULL) {
        return;
    }
    for (size_t i = 0; err == 0 && i < a->n; i++) {
        results[i] = (struct rlog_appended){.offset = a->entries[i].offset,
                                            .duplicate = a->entries[i].duplicate,
                                            .same = a->entries[i].same};
    }
    fn(a->arg, err, results, err == 0 ? a->n : 0);
}

/* --- gathering ------------------------------------------------------------------------------- */

/* A batch is a request to the broker for each partition of each topic in it, one after the other,
 * however much is in them; so few big batches cost a fraction of many small ones. Where one was
 * sent a moment ago, what comes waits until it is as much as is under way elsewhere: where a
 * hundred wait for their replies, one half gathers while the other is being answered. Alone nobody
 * waits. */
static bool
enough(const struct kafka *k)
{
    return k->queue_n >= k->events.in_flight(k->events.arg) + k->sending + k->read_n;
}

static void
on_soon(void *arg)
{
    struct kafka *k = arg;
    int64_t left;

    k->flush_timer = NULL;
    if (k->queue.first == NULL || k->asking.first != NULL) {
        return;
    }
    left = k->flushed_ms + GATHER_MS - clock_ms();
    if (left <= 0 || enough(k)) {
        kafka_append_flush(k);
    } else {
        k->flush_timer = loop_timer(k->loop, left, 0, on_soon, k);
    }
}

/* Not at once: others of this turn come along. */
void
kafka_append_soon(struct kafka *k)
{
    if (k->queue.first != NULL && k->asking.first == NULL) {
        loop_cancel(k->loop, &k->flush_timer);
        k->flush_timer = loop_timer(k->loop, 0, 0, on_soon, k);
    }
}

/* The next of those that wait. */
static struct kappend *
take_waiting(struct kafka *k)
{
    k->queue_n--;
    return queue_take(&k->queue);
}

/* --- what was produced lately ---------------------------------------------------------------- */

static bool
is_incoming(const struct kentry *e)
{
    return strcmp(e->topic, TOPIC_INCOMING) == 0;
}

static struct krecent *
recent_find(struct kafka *k, struct id id)
{
    struct krecent *r;

    HASH_FIND(hh, k->recent, id.b, sizeof(id.b), r);
    return r;
}

static void
recent_forget(struct kafka *k, struct krecent *r)
{
    HASH_DEL(k->recent, r);
    free(r);
}

static void
recent_add(struct kafka *k, const struct kentry *e)
{
    struct krecent *r, *next;
    int64_t now = clock_ms();

    HASH_ITER(hh, k->recent, r, next)
    {
        if (now - r->at_ms < RECENT_MS && HASH_COUNT(k->recent) < RECENT_MAX) {
            break; /* the oldest come first */
        }
        recent_forget(k, r);
    }
    if (recent_find(k, e->id) != NULL) {
        return;
    }
    r = xmalloc(sizeof(*r));
    *r = (struct krecent){.id = e->id, .offset = -1, .at_ms = now};
    memcpy(r->digest, e->digest, sizeof(r->digest));
    HASH_ADD(hh, k->recent, id.b, sizeof(r->id.b), r);
}

static void
recent_delivered(struct kafka *k, const struct kentry *e, int err)
{
    struct krecent *r = is_incoming(e) ? recent_find(k, e->id) : NULL;

    if (r == NULL || memcmp(r->digest, e->digest, sizeof(r->digest)) != 0) {
        return;
    }
    if (err == 0) {
        r->offset = r->offset < 0 ? e->offset : r->offset;
    } else if (r->offset < 0) {
        recent_forget(k, r); /* not known to be there: another content may take its place */
    }
}

/* --- producing ------------------------------------------------------------------------------- */

static rd_kafka_headers_t *
headers_new(const struct cloudevent *e, struct buf *value)
{
    struct cloudevent_header all[CLOUDEVENT_HEADERS];
    struct buf text = {0};
    size_t n = cloudevent_encode(e, &text, all, value);
    rd_kafka_headers_t *headers = rd_kafka_headers_new(n);

    for (size_t i = 0; i < n; i++) {
        rd_kafka_header_add(headers, all[i].name, -1, all[i].value.p, (ssize_t)all[i].value.n);
    }
    buf_fini(&text);
    return headers;
}

static int
produce_err(rd_kafka_resp_err_t err)
{
    if (err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        return 0;
    }
    return err == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE || err == RD_KAFKA_RESP_ERR_INVALID_MSG_SIZE
               ? ERR_INVALID
               : ERR_UNAVAILABLE;
}

int
kafka_produce(struct kafka *k, const struct cloudevent *e, struct str key, void *opaque)
{
    struct buf value = {0};
    rd_kafka_headers_t *headers = headers_new(e, &value);
    rd_kafka_resp_err_t err;

    if (FAULT("before_produce")) {
        err = RD_KAFKA_RESP_ERR__QUEUE_FULL;
    } else {
        err = rd_kafka_producev(
            k->producer, RD_KAFKA_V_TOPIC(e->topic), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
            RD_KAFKA_V_KEY((void *)key.p, key.n), RD_KAFKA_V_VALUE(value.p, value.n),
            RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_OPAQUE(opaque), RD_KAFKA_V_END);
    }
    buf_fini(&value);
    if (err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        rd_kafka_headers_destroy(headers);
        return produce_err(err);
    }
    k->producing++;
    (void)FAULT("after_produce");
    return 0;
}

static void
close_one(struct kafka *k, struct kappend *a)
{
    if (--a->open == 0) {
        k->sending--;
        answer(a, a->err);
        free(a);
    }
}

static void
entry_done(struct kafka *k, struct kentry *e, int err)
{
    struct kappend *a = e->append;

    recent_delivered(k, e, err);
    a->err = a->err ? a->err : err;
    close_one(k, a);
}

/* A delivery report. */
void
kafka_delivered(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque)
{
    struct kafka *k = opaque;
    struct kentry *e = m->_private;
    /* Also where the topic refuses the size: what we let pass fits a topic as we make it, so this
     * one has another setting (`fte check` names it), and the record is good once that is mended.
     */
    int err = m->err == RD_KAFKA_RESP_ERR_NO_ERROR ? 0 : ERR_UNAVAILABLE;

    (void)rk;
    k->producing--;
    if (FAULT("after_report")) {
        err = ERR_UNAVAILABLE;
    }
    if (kafka_is_right(m->err)) {
        char why[256];
        snprintf(why, sizeof(why), "topic %s may not be written to: %s",
                 rd_kafka_topic_name(m->rkt), rd_kafka_err2str(m->err));
        kafka_failed(k, m->err, why);
    } else if (m->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        log_warn("produce_failed", "topic=%s why=%s", rd_kafka_topic_name(m->rkt),
                 log_quote(rd_kafka_err2str(m->err)));
    }
    if (e == NULL) {
        kafka_relay_delivered(k, err);
        return;
    }
    e->offset = m->offset;
    entry_done(k, e, err);
    kafka_append_soon(k);
}

static void
entry_send(struct kafka *k, struct kentry *e)
{
    struct cloudevent event = {.topic = e->topic,
                               .id = e->id,
                               .body = e->body,
                               .trace = e->trace,
                               .time_us = clock_unix_us()};
    int err;

    memcpy(event.digest, e->digest, sizeof(event.digest));
    err = kafka_produce(k, &event, e->key, e);
    if (err != 0) {
        entry_done(k, e, err);
    }
}

/* Against what was produced lately: what is known to be there is not produced again. */
static void
entry_compare(struct kafka *k, struct kentry *e)
{
    struct krecent *r = is_incoming(e) && !e->known ? recent_find(k, e->id) : NULL;

    if (r != NULL) {
        e->duplicate = true;
        e->same = memcmp(r->digest, e->digest, sizeof(r->digest)) == 0;
        e->known = r->offset >= 0 || !e->same;
        e->offset = r->offset;
    } else if (is_incoming(e) && !e->known) {
        recent_add(k, e);
    }
}

static void
append_send(struct kafka *k, struct kappend *a)
{
    if (a->fn == NULL) {
        free(a); /* its time was over before anything was sent */
        return;
    }
    k->sending++;
    a->open = a->n + 1; /* one for this loop: a failure at once must not free it */
    for (size_t i = 0; i < a->n; i++) {
        entry_compare(k, &a->entries[i]);
        if (a->entries[i].known) {
            a->open--;
        } else {
            entry_send(k, &a->entries[i]);
        }
    }
    if (!SAFEGUARD("report")) {
        answer(a, 0);
    }
    close_one(k, a);
}

/* --- looking up ------------------------------------------------------------------------------ */

static size_t
incoming_of(const struct kappend *a)
{
    size_t n = 0;

    for (size_t i = 0; i < a->n; i++) {
        n += is_incoming(&a->entries[i]);
    }
    return n;
}

static void
send_all(struct kafka *k)
{
    while (k->asking.first != NULL) {
        append_send(k, queue_take(&k->asking));
    }
    kafka_append_soon(k);
}

void
kafka_append_flush(struct kafka *k)
{
    struct id ids[ASK_MAX];
    struct pg_txn *t;
    size_t n = 0;

    if (!k->up || k->asking.first != NULL || k->queue.first == NULL) {
        return;
    }
    k->flushed_ms = clock_ms();
    while (k->queue.first != NULL && n + incoming_of(k->queue.first) <= ASK_MAX) {
        struct kappend *a = take_waiting(k);
        queue_add(&k->asking, a);
        for (size_t i = 0; i < a->n; i++) {
            if (is_incoming(&a->entries[i])) {
                ids[n++] = a->entries[i].id;
            }
        }
    }
    if (n == 0) {
        send_all(k);
        return;
    }
    t = pg_begin(k->pg);
    dbkafka_find(t, TOPIC_INCOMING, ids, n);
    pg_commit(&t, asked, k);
}

/* The entry that a look-up's index means: they were put in this order. */
static struct kentry *
asked_entry(struct kafka *k, size_t at)
{
    for (struct kappend *a = k->asking.first; a != NULL; a = a->next) {
        for (size_t i = 0; i < a->n; i++) {
            if (is_incoming(&a->entries[i]) && at-- == 0) {
                return &a->entries[i];
            }
        }
    }
    return NULL;
}

static void
asked(void *arg, const struct pg_reply *reply)
{
    struct kafka *k = arg;
    struct str digest;
    int64_t offset;

    if (reply->err != 0) {
        while (k->asking.first != NULL) {
            struct kappend *a = queue_take(&k->asking);
            answer(a, ERR_UNAVAILABLE);
            free(a);
        }
        kafka_append_soon(k);
        return;
    }
    for (int row = 0; row < PQntuples(reply->results[0]); row++) {
        size_t at = dbkafka_find_read(reply->results[0], row, &offset, &digest);
        struct kentry *e = asked_entry(k, at);
        if (e != NULL) {
            e->known = e->duplicate = true;
            e->offset = offset;
            e->same = str_eq(digest, (struct str){(const char *)e->digest, sizeof(e->digest)});
        }
    }
    send_all(k);
}

/* --- appending ------------------------------------------------------------------------------- */

static void
make_digest(const struct rlog_entry *e, uint8_t ret[CLOUDEVENT_DIGEST])
{
    struct str content = e->digest.n ? e->digest : e->body;
    uint8_t sum[SHA256_DIGEST_LENGTH];

    SHA256((const unsigned char *)content.p, content.n, sum);
    memcpy(ret, sum, CLOUDEVENT_DIGEST);
}

void
kafka_append(struct rlog *self, const struct rlog_entry *entries, size_t n, rlog_append_fn *fn,
             void *arg)
{
    struct kafka *k = (struct kafka *)self;
    struct kappend *a = xcalloc(1, sizeof(*a) + n * sizeof(a->entries[0]));

    a->fn = fn;
    a->arg = arg;
    a->n = n;
    a->due_ms = clock_ms() + DUE_MS;
    for (size_t i = 0; i < n; i++) {
        a->entries[i] = (struct kentry){.append = a,
                                        .topic = dblog_topic(entries[i].topic),
                                        .id = entries[i].id,
                                        .key = entries[i].key,
                                        .body = entries[i].body,
                                        .trace = entries[i].trace,
                                        .same = true};
        make_digest(&entries[i], a->entries[i].digest);
    }
    queue_add(&k->queue, a);
    k->queue_n++;
    kafka_append_soon(k);
}

void
kafka_append_expire(struct kafka *k, bool all)
{
    int64_t now = clock_ms();

    while (k->queue.first != NULL && (all || k->queue.first->due_ms <= now)) {
        struct kappend *a = take_waiting(k);
        answer(a, ERR_UNAVAILABLE);
        free(a);
    }
    for (struct kappend *a = k->asking.first; a != NULL; a = a->next) {
        if (all || a->due_ms <= now) {
            answer(a, ERR_UNAVAILABLE);
        }
    }
    /* What is produced has its delivery report within message.timeout.ms. */
}

void
kafka_append_fini(struct kafka *k)
{
    struct krecent *r, *next;

    loop_cancel(k->loop, &k->flush_timer);
    while (k->asking.first != NULL) {
        free(queue_take(&k->asking));
    }
    HASH_ITER(hh, k->recent, r, next)
    {
        recent_forget(k, r);
    }
}
