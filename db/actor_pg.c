#include "db/actor_pg.h"

#include "db/migrate.h"

#include <stdlib.h>
#include <sysexits.h>

struct link {
    struct actor *self;
    void (*notify)(void *arg, const char *channel, const char *payload);
    void *arg;
    bool held;
};

static void
up(void *arg)
{
    struct link *l = arg;
    if (l->held) {
        l->held = false;
        actor_release(l->self);
    }
}

static void
down(void *arg)
{
    struct link *l = arg;
    if (!l->held) {
        l->held = true;
        actor_hold(l->self, "database");
    }
}

static void
notified(void *arg, const char *channel, const char *payload)
{
    struct link *l = arg;
    if (l->notify != NULL) {
        l->notify(l->arg, channel, payload);
    }
}

static void
refused(void *arg, const char *why)
{
    (void)arg;
    log_fatal(EX_CONFIG, "database_refused", "name=DATABASE_URL why=%s", log_quote(why));
}

struct pg *
actor_pg_open(struct actor *self,
              void (*notify)(void *arg, const char *channel, const char *payload), void *arg)
{
    /* Lives as long as the process: there is one connection in an actor. */
    static struct link link;

    link = (struct link){.self = self, .notify = notify, .arg = arg, .held = true};
    actor_hold(self, "database");
    return pg_open(
        actor_loop(self), actor_text(self, "DATABASE_URL"), migrate_version(),
        &(struct pg_events){
            .up = up, .down = down, .notify = notified, .refused = refused, .arg = &link});
}
