/* kafka_lag - how many records the group has not settled, by partition: asked of Kafka itself, so
 * it is true also while no edge runs. */
#ifndef EDGE_KAFKA_LAG_H
#define EDGE_KAFKA_LAG_H

#include "actors/edge/kafka_client.h"

struct kafka_lag;

/* NULL where no client can be made of these settings, with the reason. Keeps its connections; one
 * thread, and nothing of it is called back. */
struct kafka_lag *kafka_lag_open(const struct kafka_settings *s, const char *topic,
                                 struct buf *ret_why);
/* Fills ret[0..n) (records behind the group's position, by partition), n = at most `max`; waits at
 * most some times `timeout_ms`. n, 0 where there is no such topic, or -1 where it can't be known,
 * with the reason. */
int kafka_lag_ask(struct kafka_lag *l, int timeout_ms, int64_t *ret, int max, struct buf *ret_why);
void kafka_lag_close(struct kafka_lag **l_p); /* accepts NULL */

#endif
