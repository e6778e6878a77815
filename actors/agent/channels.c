#include "actors/agent/channels.h"

#include "db/channel.h"

#include <stdio.h>
#include <stdlib.h>

#define MAX_CHANNELS 8
#define READ_EVERY_MS 10000

struct channels {
    struct loop *loop;
    struct loop_timer *timer;
    struct pg *pg;
    bool reading;
    struct {
        char name[16];
        size_t max_words;
    } channel[MAX_CHANNELS];
};

static void begin(void *arg);
static void got(void *arg, const struct pg_reply *reply);

struct channels *
channels_new(struct loop *loop, struct pg *pg)
{
    struct channels *c = xcalloc(1, sizeof *c);

    c->loop = loop;
    c->pg = pg;
    c->timer = loop_timer(loop, READ_EVERY_MS, READ_EVERY_MS, begin, c);
    begin(c);
    return c;
}

void
channels_free(struct channels **c_p)
{
    if (*c_p) {
        loop_cancel((*c_p)->loop, &(*c_p)->timer);
        free(*c_p);
        *c_p = NULL;
    }
}

size_t
channels_max_words(const struct channels *c, struct str channel)
{
    for (size_t i = 0; i < MAX_CHANNELS; i++) {
        if (str_is(channel, c->channel[i].name)) {
            return c->channel[i].max_words;
        }
    }
    return 0;
}

static void
begin(void *arg)
{
    struct channels *c = arg;

    if (!c->reading) {
        struct pg_txn *t = pg_begin(c->pg);
        c->reading = true;
        channel_load(t);
        pg_commit(&t, got, c);
    }
}

static void
got(void *arg, const struct pg_reply *reply)
{
    struct channels *c = arg;

    c->reading = false;
    for (int i = 0; reply->err == 0 && i < PQntuples(reply->results[0]) && i < MAX_CHANNELS; i++) {
        struct channel_config config;

        channel_row(reply->results[0], i, &config);
        snprintf(c->channel[i].name, sizeof c->channel[i].name, "%.*s", STR_ARG(config.channel));
        c->channel[i].max_words = (size_t)config.max_words;
    }
}
