/* options - the edge's settings. `fte check` and `fte up` read those of the log, too, and look at
 * it before anything is started. */
#ifndef EDGE_OPTIONS_H
#define EDGE_OPTIONS_H

#include "actors/edge/kafka_client.h"
#include "proto/runtime/option.h"

extern const struct option edge_options[];

/* Those that say which log it is and where: for the table of every actor that looks at it. */
#define LOG_OPTIONS                                                                                \
    {.name = "FTE_LOG_BACKEND",                                                                    \
     .type = OPTION_CHOICE,                                                                        \
     .value_default = "postgres",                                                                  \
     .choices = "postgres|kafka",                                                                  \
     .help = "What keeps the durable log."},                                                       \
        {.name = "FTE_KAFKA_BROKERS",                                                              \
         .type = OPTION_TEXT,                                                                      \
         .value_default = "127.0.0.1:9092",                                                        \
         .min = 3,                                                                                 \
         .max = 4000,                                                                              \
         .allowed = "host:port, several separated by commas",                                      \
         .valid = kafka_brokers_ok,                                                                \
         .help = "Kafka's brokers, where FTE_LOG_BACKEND is kafka."},                              \
        {.name = "FTE_KAFKA_PROPERTIES",                                                           \
         .type = OPTION_TEXT,                                                                      \
         .value_default = "",                                                                      \
         .max = 8000,                                                                              \
         .allowed = "librdkafka's properties as key=value;key=value, or a file with a line each",  \
         .valid = kafka_properties_ok,                                                             \
         .secret = true,                                                                           \
         .help = "Further librdkafka properties, such as those of TLS and SASL."},                 \
    {                                                                                              \
        .name = "FTE_KAFKA_GROUP", .type = OPTION_TEXT, .value_default = "fte", .min = 1,          \
        .max = 200, .help = "The consumer group that all edges of one system share."               \
    }

/* For the option table. */
bool kafka_brokers_ok(const char *value, struct buf *ret_why);

/* Where Kafka is. `instance` is borrowed; "" for a tool. */
struct kafka_settings kafka_settings_of_options(const char *instance);

#endif
