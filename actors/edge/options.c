#include "actors/edge/options.h"

#include "db/actor_pg.h"

#include <string.h>

const struct option edge_options[] = {
    DATABASE_OPTION,
    LOG_OPTIONS,
    {.name = "FTE_KAFKA_INSTANCE",
     .type = OPTION_TEXT,
     .value_default = "",
     .max = 150,
     .help = "Names this node in the group for ever, so that a restarted edge gets its partitions "
             "back at once; empty: made of host name and state directory."},
    {.name = "FTE_LOG_RETENTION",
     .type = OPTION_DURATION,
     .value_default = "24h",
     .min = 60e3,
     .max = 366 * 86400e3,
     .help = "How long settled records stay in PostgreSQL's log."},
    {.name = "FTE_EDGE_DEADLINE",
     .type = OPTION_DURATION,
     .value_default = "30s",
     .min = 1e3,
     .max = 3600e3,
     .help =
         "How long a message may be on its way through the stages before it is delivered again."},
    {.name = "FTE_EDGE_LEASE",
     .type = OPTION_DURATION,
     .value_default = "6s", /* the least that a Kafka broker of default settings allows */
     .min = 3e3,
     .max = 600e3,
     .help = "How long a hanging edge keeps its partitions from another one."},
    OPTION_END,
};

bool
kafka_brokers_ok(const char *value, struct buf *ret_why)
{
    struct str rest = str_of(value);

    while (rest.n > 0) {
        const char *comma = memchr(rest.p, ',', rest.n);
        struct str one = str_trim((struct str){rest.p, comma ? (size_t)(comma - rest.p) : rest.n});
        const char *colon = memrchr(one.p, ':', one.n);
        long long port;
        if (colon == NULL || colon == one.p ||
            str_int((struct str){colon + 1, one.n - (size_t)(colon + 1 - one.p)}, 1, 65535,
                    &port) != 0) {
            buf_printf(ret_why, "\"%.*s\"", (int)(one.n < 60 ? one.n : 60), one.p);
            return false;
        }
        rest = comma ? (struct str){comma + 1, rest.n - (size_t)(comma + 1 - rest.p)}
                     : (struct str){0};
        if (comma != NULL && rest.n == 0) {
            buf_add_c(ret_why, "nothing behind the last comma");
            return false;
        }
    }
    return true;
}

struct kafka_settings
kafka_settings_of_options(const char *instance)
{
    return (struct kafka_settings){.brokers = option_text(edge_options, "FTE_KAFKA_BROKERS"),
                                   .properties = option_text(edge_options, "FTE_KAFKA_PROPERTIES"),
                                   .group = option_text(edge_options, "FTE_KAFKA_GROUP"),
                                   .instance = instance,
                                   .session_ms = option_int(edge_options, "FTE_EDGE_LEASE")};
}
