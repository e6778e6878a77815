#include "test/unit/db/database.h"

#include "db/migrate.h"
#include "proto/clock.h"
#include "proto/err.h"

#include <criterion/criterion.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *
url(void)
{
    const char *u = getenv("DATABASE_URL");

    if (!u || u[0] == '\0') {
        cr_assert(false, "DATABASE_URL is not set: `make unit` starts a database and sets it");
    }
    return u;
}

void
database_init(struct database *db)
{
    memset(db, 0, sizeof(*db));
    db->loop = loop_new();
    db->pg = pg_open(db->loop, url(), migrate_version(), NULL);
}

static struct {
    struct pg_reply reply;
    PGresult *results[8];
} kept;

static void
keep(const struct pg_reply *reply)
{
    for (int i = 0; i < kept.reply.n; i++) {
        PQclear(kept.results[i]);
    }
    kept.reply = *reply;
    kept.reply.results = kept.results;
    for (int i = 0; i < reply->n; i++) {
        kept.results[i] = PQcopyResult(reply->results[i], PG_COPYRES_ATTRS | PG_COPYRES_TUPLES);
    }
}

void
database_fini(struct database *db)
{
    pg_close(&db->pg);
    loop_free(&db->loop);
}

struct waiter {
    bool done;
};

static void
answered(void *arg, const struct pg_reply *reply)
{
    struct waiter *w = arg;

    keep(reply);
    w->done = true;
}

const struct pg_reply *
database_run(struct database *db, struct pg_txn **t_p)
{
    struct waiter w = {0};

    pg_commit(t_p, answered, &w);
    database_until(db, NULL, &w.done);
    return &kept.reply;
}

void
database_until(struct database *a, struct database *b, const bool *flag)
{
    int64_t end = clock_ms() + 10000;

    while (!*flag) {
        if (clock_ms() > end) {
            cr_assert(false, "no answer from the database within 10 s");
        }
        loop_turn(a->loop, b ? 1 : 100);
        if (b) {
            loop_turn(b->loop, 1);
        }
    }
}

const char *
database_sql(const char *format, ...)
{
    static char ring[8][512];
    static int at;
    static PGconn *conn;
    char *ret = ring[at++ % 8], sql[8192];
    va_list args;
    PGresult *r;

    if (!conn) {
        conn = PQconnectdb(url());
    }
    va_start(args, format);
    vsnprintf(sql, sizeof(sql), format, args);
    va_end(args);
    r = PQexec(conn, sql);
    if (PQresultStatus(r) != PGRES_COMMAND_OK && PQresultStatus(r) != PGRES_TUPLES_OK) {
        cr_assert(false, "%s: %s", sql, PQerrorMessage(conn));
    }
    snprintf(ret, sizeof(ring[0]), "%s", PQntuples(r) > 0 ? PQgetvalue(r, 0, 0) : "");
    PQclear(r);
    return ret;
}

const char *
database_id(struct id id)
{
    static char ring[16][ID_TEXT_SIZE];
    static int at;
    char *ret = ring[at++ % 16];

    id_format(id, ret);
    return ret;
}

struct id
database_customer(void)
{
    struct id id = id_random();

    database_sql("insert into customers (id, name) values ('%s', 'Test')", database_id(id));
    return id;
}
