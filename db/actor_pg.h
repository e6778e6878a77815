/* actor_pg - an actor's connection to the database: its settings, and when it counts as ready. */
#ifndef DB_ACTOR_PG_H
#define DB_ACTOR_PG_H

#include "db/pg.h"
#include "proto/runtime/actor.h"

/* The row for the option table of an actor that uses the database. */
#define DATABASE_OPTION                                                                            \
    {                                                                                              \
        .name = "DATABASE_URL", .type = OPTION_URL, .choices = "postgresql|postgres",              \
        .secret = true, .help = "The PostgreSQL database, as a libpq URI."                         \
    }

/* Opens DATABASE_URL for `self`, which isn't READY before the connection is up, and DEGRADED while
 * it is lost. A database that can never serve (wrong password, schema too old, server too old) ends
 * the process with exit code 78 after one line. `notify` may be NULL; it gets `arg`.
 * Caller closes with pg_close() in fini. */
struct pg *actor_pg_open(struct actor *self,
                         void (*notify)(void *arg, const char *channel, const char *payload),
                         void *arg);

#endif
