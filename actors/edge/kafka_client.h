/* kafka_client - librdkafka's clients with the settings that our promises need, and what their
 * errors mean.
 *
 * librdkafka runs threads of its own, but every callback of ours is called from rd_kafka_poll() and
 * rd_kafka_consumer_poll(), thus by the thread of the loop, or says that it isn't.
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

enum kafka_trouble {
    KAFKA_FINE,
    KAFKA_SILENT,  /* no broker answers */
    KAFKA_REFUSED, /* and one said why: name, password, certificate, rights, version */
};

/* Why Kafka can't be used, as far as the clients' errors tell. Begin with all zero. */
struct kafka_cause {
    enum kafka_trouble what;
    char text[400]; /* where and why, one line, without anything secret */
};

/* For the option table: can `properties` be used? Appends the reason to `ret_why` if not. What
 * would break a promise (acks, the idempotent producer of 2.0.2, commits by themselves) is refused.
 */
bool kafka_properties_ok(const char *properties, struct buf *ret_why);

/* A client, or NULL with the reason in `ret_why`. `conf` (taken) holds the callbacks. */
rd_kafka_t *kafka_producer(const struct kafka_settings *s, rd_kafka_conf_t *conf,
                           struct buf *ret_why);
rd_kafka_t *kafka_consumer(const struct kafka_settings *s, rd_kafka_conf_t *conf,
                           struct buf *ret_why);

/* The parts of these two, for clients of other kinds: what all of them need (false: with the
 * reason in `ret_why`), one more number, and the client itself (takes `conf`). */
bool kafka_configure(rd_kafka_conf_t *conf, const struct kafka_settings *s, struct buf *ret_why);
void kafka_set_number(rd_kafka_conf_t *conf, const char *name, int64_t value);
rd_kafka_t *kafka_new(rd_kafka_type_t type, rd_kafka_conf_t *conf, struct buf *ret_why);

/* An error of a client (a code of librdkafka's, and its text): kept if it tells more than what is
 * known already. True if it is one that won't pass by itself, and new. */
bool kafka_cause_take(struct kafka_cause *c, int err, const char *reason);
/* Is something not allowed to us? Unlike most errors this one concerns all connections. */
bool kafka_is_right(int err);

#endif
