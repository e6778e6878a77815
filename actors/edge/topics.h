/* topics - the seven topics, as Kafka is to keep them (design: one table). */
#ifndef EDGE_TOPICS_H
#define EDGE_TOPICS_H

#include <stddef.h>
#include <stdint.h>

#define TOPICS_N 7
#define TOPICS_PARTITIONS 12   /* of each: as many edges can share the work */
#define TOPICS_REPLICAS 3      /* or as many as there are brokers */
#define TOPICS_MESSAGE 1048588 /* bytes of a record with its headers: Kafka's own default */

struct topic {
    const char *name;
    const char *type; /* ce_type of its records */
    int64_t retention_ms;
    const char *help; /* what stands on it, in a few words */
};

extern const struct topic topics[TOPICS_N];

/* The row of this name, or NULL. */
const struct topic *topic_find(const char *name);

#endif
