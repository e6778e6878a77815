/* options - the edge's settings. `fte check` and `fte up` read those of the log, too, and look at
 * it before anything is started. */
#ifndef EDGE_OPTIONS_H
#define EDGE_OPTIONS_H

#include "actors/edge/kafka_client.h"
#include "proto/runtime/option.h"

extern const struct option edge_options[];

/* Where Kafka is. `instance` is borrowed; "" for a tool. */
struct kafka_settings kafka_settings_of_options(const char *instance);

#endif
