#include "actors/edge/log.h"

#include "db/log.h"

const struct rlog_backend *
rlog_backend(const char *name)
{
    static const struct rlog_backend *const backends[] = {&rlog_postgres, &rlog_kafka};

    for (size_t i = 0; i < sizeof(backends) / sizeof(backends[0]); i++) {
        if (strcmp(backends[i]->name, name) == 0) {
            return backends[i];
        }
    }
    return NULL;
}

bool
rlog_topic_ok(struct str topic)
{
    return dblog_topic(topic) != NULL;
}

void
rlog_close(struct rlog **self_p)
{
    if (*self_p != NULL) {
        (*self_p)->backend->close(*self_p);
        *self_p = NULL;
    }
}
