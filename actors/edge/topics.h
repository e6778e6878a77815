/* topics - the seven topics, as Kafka is to keep them (design: one table). */
#ifndef EDGE_TOPICS_H
#define EDGE_TOPICS_H

#include <stddef.h>
#include <stdint.h>

#define TOPICS_N 7
#define TOPICS_PARTITIONS 12   /* of each: as many edges can share the work */
#define TOPICS_REPLICAS 3      /* or as many as there are brokers */
#define TOPICS_MESSAGE 1048588 /* bytes of a record with its headers: Kafka's own default */
/* A dead letter holds what anybody may have written to a topic, in base64 and with its story. */
#define TOPICS_MESSAGE_DEAD 4194304
#define TOPICS_MESSAGE_MAX (TOPICS_MESSAGE_DEAD - 4096) /* of a record before Kafka's own frame */

struct topic {
    const char *name;
    const char *type; /* ce_type of its records */
    int64_t retention_ms;
    int64_t message_bytes; /* at most */
    const char *help;      /* what stands on it, in a few words */
};

extern const struct topic topics[TOPICS_N];

/* The row of this name, or NULL. */
const struct topic *topic_find(const char *name);

#endif
