/* log_kafka_read - consuming: what the partitions' queues hold is taken as far as there is room,
 * looked up in the database together, and delivered in order. */
#include "actors/edge/log_kafka.h"

#include "db/log.h"
#include "proto/err.h"
#include "proto/runtime/fault.h"
#include "proto/runtime/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AGAIN_MS 100 /* until a look-up that failed is tried again */

static void seen(void *arg, const struct pg_reply *reply);

/* --- taking ---------------------------------------------------------------------------------- */

/* A record that can't be read has a name all the same: its place. */
static struct id
id_of_place(const rd_kafka_message_t *m)
{
    char name[128];

    snprintf(name, sizeof(name), "%s/%d@%lld", rd_kafka_topic_name(m->rkt), m->partition,
             (long long)m->offset);
    return id_derive("kafka:place", str_of(name));
}

static size_t
headers_of(const rd_kafka_message_t *m, struct cloudevent_header *ret, size_t room)
{
    rd_kafka_headers_t *headers;
    const void *value;
    size_t n = 0, size;

    if (rd_kafka_message_headers(m, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return 0;
    }
    while (n < room && rd_kafka_header_get_all(headers, n, &ret[n].name, &value, &size) ==
                           RD_KAFKA_RESP_ERR_NO_ERROR) {
        ret[n++].value = (struct str){value, size};
    }
    return n;
}

static struct str
key_of(const rd_kafka_message_t *m)
{
    return (struct str){m->key, m->key_len};
}

/* Kafka knows milliseconds. */
static int64_t
time_of(const rd_kafka_message_t *m)
{
    rd_kafka_timestamp_type_t type;
    int64_t ms = rd_kafka_message_timestamp(m, &type);

    return type == RD_KAFKA_TIMESTAMP_NOT_AVAILABLE || ms < 0 ? clock_unix_us() : ms * 1000;
}

static void
take(struct kafka *k, rd_kafka_message_t *m)
{
    struct kread *r = &k->reads[k->read_n];
    struct dbkafka_record *row = &k->records[k->read_n++];
    struct cloudevent_header headers[32];
    size_t n = headers_of(m, headers, sizeof(headers) / sizeof(headers[0]));
    struct str key = key_of(m);

    r->message = m;
    r->generation = k->lanes[m->partition].generation;
    r->why = NULL;
    r->err = cloudevent_decode(headers, n, (struct str){m->payload, m->len}, time_of(m), &r->body,
                               &r->event, &r->why);
    if (r->err == 0 && (key.n == 0 || key.n > 256 || !str_is_text(key))) {
        r->err = ERR_INVALID;
        r->why = "the key must be a text of 1 to 256 bytes: the conversation's address";
    }
    if (r->err != 0 || id_is_nil(r->event.id)) {
        r->event.id =
            id_of_place(m); /* another record under the name that it may have is no repeat */
        r->event.unit = (struct id){{0}};
    }
    *row = (struct dbkafka_record){.id = r->event.id,
                                   .partition = m->partition,
                                   .offset = m->offset,
                                   .unit = r->event.unit,
                                   .unit_at = r->event.unit_at,
                                   .unit_size = r->event.unit_size};
    memcpy(row->digest, r->event.digest, sizeof(row->digest));
}

/* Records of the partition that wait here for their look-up: they have their room already. */
static size_t
taken(const struct kafka *k, int32_t partition)
{
    size_t n = 0;

    for (size_t i = 0; i < k->read_n; i++) {
        n += k->reads[i].message->partition == partition;
    }
    return n;
}

static void
take_from_lane(struct kafka *k, int32_t partition)
{
    struct klane *lane = &k->lanes[partition];
    size_t room, n;

    if (lane->state != KLANE_HELD || !lane->more) {
        return;
    }
    room = k->events.room(k->events.arg, partition);
    n = taken(k, partition);
    room = room > n ? room - n : 0;
    room = room < KAFKA_LANE_READ ? room : KAFKA_LANE_READ;
    for (n = 0; n < room && k->read_n < KAFKA_READ; n++) {
        rd_kafka_message_t *m = rd_kafka_consume_queue(lane->queue, 0);
        if (m == NULL) {
            lane->more = false;
            return;
        }
        if (m->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
            if (kafka_is_right(m->err)) {
                k->unreadable = true;
                kafka_failed(k, m->err,
                             "topic " TOPIC_INCOMING
                             " may not be read: Topic authorization failed");
            } else {
                log_warn("consume_failed", "partition=%d why=%s", partition,
                         log_quote(rd_kafka_message_errstr(m)));
            }
            rd_kafka_message_destroy(m);
            continue;
        }
        take(k, m);
    }
}

/* --- looking up ------------------------------------------------------------------------------ */

static void
look_up(struct kafka *k)
{
    struct dbkafka_lane lanes[RLOG_MAX_PARTITIONS];
    struct pg_txn *t;
    size_t n = 0;

    for (int32_t i = 0; i < RLOG_MAX_PARTITIONS; i++) {
        if (k->lanes[i].state == KLANE_HELD) {
            lanes[n++] = (struct dbkafka_lane){.partition = i, .fence = k->lanes[i].fence};
        }
    }
    t = pg_begin(k->pg);
    dbkafka_see(t, k->settings.topic, k->owner, lanes, n, k->records, k->read_n);
    pg_commit(&t, seen, k);
}

static void
look_up_again(void *arg)
{
    struct kafka *k = arg;

    k->read_timer = NULL;
    look_up(k);
}

void
kafka_read(struct kafka *k)
{
    if (k->reading || k->leaving || !pg_is_up(k->pg)) {
        return;
    }
    for (int32_t i = 0; i < RLOG_MAX_PARTITIONS; i++) {
        take_from_lane(k, i);
    }
    if (k->read_n > 0) {
        k->reading = true;
        look_up(k);
    }
}

/* --- delivering ------------------------------------------------------------------------------ */

static void
deliver(struct kafka *k, const struct kread *r, const struct dbkafka_seen *s)
{
    const rd_kafka_message_t *m = r->message;
    bool repeat = s->offset != m->offset || s->partition != m->partition;
    struct rlog_record record = {.partition = m->partition,
                                 .offset = m->offset,
                                 .id = r->event.id,
                                 .unit = s->unit,
                                 .unit_at = s->unit_at,
                                 .unit_size = s->unit_size,
                                 .recovered = !s->first,
                                 .key = key_of(m),
                                 .body = r->event.body,
                                 .trace = r->event.trace,
                                 .received_us = r->event.time_us,
                                 .err = r->err,
                                 .why = r->why};
    char nameless[32];

    if (repeat && s->same && SAFEGUARD("repeat")) {
        k->events.skip(k->events.arg, m->partition, m->offset);
        return;
    }
    if (repeat && !s->same) {
        record.err = ERR_CONFLICT;
        record.why = "another record with this id came before";
        record.id = id_of_place(m);
        record.unit = (struct id){{0}};
    }
    if (record.err != 0) {
        record.body = (struct str){m->payload ? m->payload : "", m->len};
        record.trace = (struct str){0};
    }
    if (record.key.n == 0 || record.key.n > 256 || !str_is_text(record.key)) {
        snprintf(nameless, sizeof(nameless), "kafka:%d", m->partition);
        record.key = str_of(nameless);
    }
    k->events.record(k->events.arg, &record);
}

static void
forget_reads(struct kafka *k)
{
    for (size_t i = 0; i < k->read_n; i++) {
        rd_kafka_message_destroy(k->reads[i].message);
    }
    k->read_n = 0;
}

static void
seen(void *arg, const struct pg_reply *reply)
{
    struct dbkafka_seen got[KAFKA_READ];
    struct kafka *k = arg;

    if (reply->err != 0) {
        if (reply->err != ERR_UNAVAILABLE) {
            log_warn("look_up_failed", "records=%zu code=%s sqlstate=%s", k->read_n,
                     err_str(reply->err), reply->sqlstate);
        }
        if (!k->leaving) { /* taken from Kafka once: they stay here */
            k->read_timer = loop_timer(k->loop, AGAIN_MS, 0, look_up_again, k);
        }
        return;
    }
    dbkafka_see_read(reply, k->records, k->read_n, got);
    for (size_t i = 0; i < k->read_n; i++) {
        const struct kread *r = &k->reads[i];
        struct klane *lane = &k->lanes[r->message->partition];
        /* The assignment may have come and gone while the answer was on its way. */
        if (lane->state != KLANE_HELD || lane->generation != r->generation) {
            continue;
        }
        if (!got[i].held) {
            kafka_lane_lost(k, r->message->partition);
            continue;
        }
        deliver(k, r, &got[i]);
    }
    forget_reads(k);
    k->reading = false;
    kafka_read(k);
}

void
kafka_read_fini(struct kafka *k)
{
    loop_cancel(k->loop, &k->read_timer);
    forget_reads(k);
    for (size_t i = 0; i < KAFKA_READ; i++) {
        buf_fini(&k->reads[i].body);
    }
}
