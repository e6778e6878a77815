/* log_kafka_relay - handing on: dead letters and replays are written into the database together
 * with the rows that they tell of, and go from there to Kafka. Whoever holds the first partition
 * does it for all. At least once: their ids stay, so a reader knows a repeat. */
#include "actors/edge/log_kafka.h"

#include "db/log.h"
#include "proto/err.h"
#include "proto/runtime/fault.h"
#include "proto/runtime/log.h"

#include <openssl/sha.h>
#include <string.h>

static void
finish(struct kafka *k)
{
    k->relaying = false;
    k->relay_n = 0;
}

static void
deleted(void *arg, const struct pg_reply *reply)
{
    struct kafka *k = arg;
    bool more = k->relay_n == KAFKA_RELAY;

    finish(k);
    if (reply->err == 0 && more) {
        kafka_relay(k);
    }
}

static void
settle(struct kafka *k)
{
    struct pg_txn *t;

    if ((k->relay_failed && SAFEGUARD("relay")) || k->leaving) {
        finish(k); /* the next tick tries again */
        return;
    }
    t = pg_begin(k->pg);
    dbkafka_relayed(t, k->relay_offsets, k->relay_n);
    pg_commit(&t, deleted, k);
}

void
kafka_relay_delivered(struct kafka *k, int err)
{
    k->relay_failed |= err != 0;
    if (--k->relay_open == 0) {
        settle(k);
    }
}

static int
hand_on(struct kafka *k, const struct dbkafka_relay *row)
{
    uint8_t sum[SHA256_DIGEST_LENGTH];
    struct cloudevent e = {.topic = dblog_topic(row->topic),
                           .id = row->id,
                           .unit = row->unit,
                           .unit_at = row->unit_at,
                           .unit_size = row->unit_size,
                           .body = row->body,
                           .trace = row->trace,
                           .time_us = row->received_us};

    SHA256((const uint8_t *)row->body.p, row->body.n, sum);
    memcpy(e.digest, sum, sizeof(e.digest));
    return kafka_produce(k, &e, row->key, NULL);
}

static void
rows_read(void *arg, const struct pg_reply *reply)
{
    struct kafka *k = arg;
    struct dbkafka_relay row;

    if (reply->err != 0 || PQntuples(reply->results[0]) == 0) {
        finish(k);
        return;
    }
    k->relay_failed = false;
    k->relay_open = 1; /* for this loop */
    for (int i = 0; i < PQntuples(reply->results[0]); i++) {
        int err;
        dbkafka_relay_read(reply->results[0], i, &row);
        err = hand_on(k, &row);
        if (err == ERR_INVALID) {
            /* Too big for Kafka: it stays a row of dead_letters, which is what a person looks at.
             */
            log_error("not_handed_on", "topic=%s id=%s", dblog_topic(row.topic), log_id(row.id));
        } else if (err != 0) {
            k->relay_failed = true;
            break;
        } else {
            k->relay_open++;
        }
        k->relay_offsets[k->relay_n++] = row.offset;
    }
    if (--k->relay_open == 0) {
        settle(k);
    }
}

void
kafka_relay(struct kafka *k)
{
    struct pg_txn *t;

    if (k->relaying || !k->up || k->leaving || k->lanes[0].state != KLANE_HELD) {
        return;
    }
    k->relaying = true;
    k->relay_n = 0;
    t = pg_begin(k->pg);
    dbkafka_relay(t, KAFKA_RELAY);
    pg_commit(&t, rows_read, k);
}
