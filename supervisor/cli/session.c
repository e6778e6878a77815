#include "supervisor/cli/session.h"

#include "db/migrate.h"
#include "db/view.h"
#include "proto/err.h"
#include "supervisor/cli/cli.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define CONNECT_MS 5000
#define ANSWER_MS 30000

struct session {
    const char *command;
    struct loop *loop;
    struct pg *pg;
    char refused[256];
    void (*read)(void *arg, const struct pg_reply *reply);
    void *arg;
    int err;
    char detail[256];
};

static void
on_refused(void *arg, const char *why)
{
    struct session *d = arg;

    snprintf(d->refused, sizeof(d->refused), "%s", why);
}

int
session_open(const char *command, struct session **ret)
{
    const char *url = getenv("DATABASE_URL");
    struct session *d = xcalloc(1, sizeof(*d));
    const struct pg_events events = {.refused = on_refused, .arg = d};
    int64_t until = clock_ms() + CONNECT_MS;

    *ret = d;
    d->command = command;
    if (!url || url[0] == '\0') {
        return cli_fail(CLI_CONFIG, command, "DATABASE_URL: not set, and no private cluster runs");
    }
    d->loop = loop_new();
    d->pg = pg_open(d->loop, url, migrate_version(), &events);
    while (!pg_is_up(d->pg) && !d->refused[0] && clock_ms() < until) {
        loop_turn(d->loop, 50);
    }
    if (d->refused[0]) {
        return cli_fail(CLI_CONFIG, command, "database: %s", d->refused);
    }
    if (!pg_is_up(d->pg)) {
        return cli_fail(CLI_UNAVAILABLE, command, "database: no connection");
    }
    return CLI_OK;
}

void
session_close(struct session **d_p)
{
    if (*d_p != NULL) {
        pg_close(&(*d_p)->pg);
        if ((*d_p)->loop != NULL) {
            loop_free(&(*d_p)->loop);
        }
        free(*d_p);
        *d_p = NULL;
    }
}

struct pg_txn *
session_begin(struct session *d)
{
    return pg_begin(d->pg);
}

static void
on_reply(void *arg, const struct pg_reply *reply)
{
    struct session *d = arg;

    d->err = reply->err;
    snprintf(d->detail, sizeof(d->detail), "%s", reply->detail);
    if (reply->err == 0) {
        d->read(d->arg, reply);
    }
}

int
session_run(struct session *d, struct pg_txn **t_p,
            void (*read)(void *arg, const struct pg_reply *reply), void *arg)
{
    d->read = read;
    d->arg = arg;
    pg_commit(t_p, on_reply, d);
    if (!pg_wait(d->pg, ANSWER_MS)) {
        return cli_fail(CLI_UNAVAILABLE, d->command, "database: no answer");
    }
    if (d->err != 0) {
        return cli_fail(d->err == ERR_UNAVAILABLE ? CLI_UNAVAILABLE : CLI_FAILED, d->command,
                        "database: %s", d->detail[0] ? d->detail : err_str(d->err));
    }
    return CLI_OK;
}

void
time_text(int64_t unix_us, char ret[TIME_TEXT_SIZE])
{
    time_t s = (time_t)(unix_us / 1000000);
    struct tm tm;
    size_t n;

    gmtime_r(&s, &tm);
    n = strftime(ret, TIME_TEXT_SIZE, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(ret + n, TIME_TEXT_SIZE - n, ".%03dZ", (int)(unix_us / 1000 % 1000));
}

void
session_take_json(void *arg, const struct pg_reply *reply)
{
    struct str text = view_get(reply->results[0]);

    *(json_t **)arg = text.p ? json_loadb(text.p, text.n, JSON_ALLOW_NUL, NULL) : NULL;
}
