/* kafka_client - librdkafka's two clients with the settings that our promises need, and the topics.
 *
 * librdkafka runs threads of its own, but every callback of ours is called from
 * rd_kafka_poll() and rd_kafka_consumer_poll(), thus by the thread of the loop.
 */
#ifndef EDGE_KAFKA_CLIENT_H
#define EDGE_KAFKA_CLIENT_H

#include "proto/buf.h"

#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <stdint.h>

struct kafka_settings {
    const char *brokers;    /* host:port[,...] */
    const char *properties; /* "key=value;..." or the path of a file with such lines; may be "" */
    const char *group;      /* of all edges that share the work */
    const char *instance;   /* names this process for ever (static membership); "" = no */
    int64_t session_ms;     /* how long the group waits for a process that is gone */
};

/* For the option table: can `properties` be used? Appends the reason to `ret_why` if not. What
 * would break a promise (acks, the idempotent producer of 2.0.2, commits by themselves) is refused.
 */
bool kafka_properties_ok(const char *properties, struct buf *ret_why);

/* A client, or NULL with the reason in `ret_why`. `opaque` comes back to the callbacks that `conf`
 * (may be NULL; taken) holds. */
rd_kafka_t *kafka_producer(const struct kafka_settings *s, rd_kafka_conf_t *conf,
                           struct buf *ret_why);
rd_kafka_t *kafka_consumer(const struct kafka_settings *s, rd_kafka_conf_t *conf,
                           struct buf *ret_why);

/* Makes the topics that are missing; waits at most `timeout_ms`. 0, or ERR_UNAVAILABLE (no broker
 * answers), ERR_INVALID (it will not: rights, version), with the reason in one line. */
int kafka_make_topics(rd_kafka_t *rk, int timeout_ms, struct buf *ret_why);
/* Appends a line to `ret_lines` for each topic that is not there or is not as the table (topics.h)
 * has it. Number of lines, or -1 where no broker answers, with that reason. */
int kafka_check_topics(rd_kafka_t *rk, int timeout_ms, struct buf *ret_lines);

/* How many records of `topic` the group has not settled; waits at most some times `timeout_ms`. -1
 * where that can't be known, with the reason. */
int64_t kafka_lag(const struct kafka_settings *s, const char *topic, int timeout_ms,
                  struct buf *ret_why);

#endif
