/* log_options - the settings that say which log it is and where: the edge's, and those of `fte
 * check` and `fte up`, which look at it before anything is started. */
#ifndef EDGE_LOG_OPTIONS_H
#define EDGE_LOG_OPTIONS_H

#include "actors/edge/kafka_client.h"
#include "proto/runtime/option.h"

/* Rows for an option table. */
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
         .help = "Kafka's brokers, where FTE_LOG_BACKEND is kafka."},                              \
        {.name = "FTE_KAFKA_PROPERTIES",                                                           \
         .type = OPTION_TEXT,                                                                      \
         .value_default = "",                                                                      \
         .max = 8000,                                                                              \
         .valid = kafka_properties_ok,                                                             \
         .secret = true,                                                                           \
         .help = "Further librdkafka properties as key=value;key=value, or the path of a file "    \
                 "with a line "                                                                    \
                 "each: TLS, SASL."},                                                              \
        {.name = "FTE_KAFKA_GROUP",                                                                \
         .type = OPTION_TEXT,                                                                      \
         .value_default = "fte",                                                                   \
         .min = 1,                                                                                 \
         .max = 200,                                                                               \
         .help = "The consumer group that all edges of one system share."},                        \
    {                                                                                              \
        .name = "FTE_KAFKA_INSTANCE", .type = OPTION_TEXT, .value_default = "", .max = 150,        \
        .help = "Names this node for ever, so that a restarted edge gets its partitions back at "  \
                "once; "                                                                           \
                "default: host name and state directory."                                          \
    }

/* Reads them from a table that holds them. `instance` is borrowed; "" for a tool. */
static inline struct kafka_settings
log_kafka_settings(const struct option *table, const char *instance)
{
    return (struct kafka_settings){.brokers = option_text(table, "FTE_KAFKA_BROKERS"),
                                   .properties = option_text(table, "FTE_KAFKA_PROPERTIES"),
                                   .group = option_text(table, "FTE_KAFKA_GROUP"),
                                   .instance = instance,
                                   .session_ms = 10000};
}

#endif
