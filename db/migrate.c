#include "db/migrate.h"

#include "db/pg.h"
#include "proto/err.h"
#include "proto/runtime/fault.h"

#include <assert.h>
#include <libpq-fe.h>
#include <openssl/sha.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOCK_KEY "7378125871652601904" /* "fte_migr" as a number: one lock for all of us */
#define HEX_SIZE (SHA256_DIGEST_LENGTH * 2 + 1)

struct migrate {
    PGconn *conn;
    const struct migration *table;
    struct migrate_report *report;
};

static int fail(struct migrate *m, int err, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static bool run(struct migrate *m, const char *sql);
static bool commit(struct migrate *m);
static int connect_and_lock(struct migrate *m, const char *url);
static int compare(struct migrate *m, int *ret_first_missing);
static int apply(struct migrate *m, const struct migration *step);

int
migrate_version(void)
{
    int version = 0;

    for (const struct migration *step = migrations; step->version != 0; step++) {
        version = step->version;
    }
    return version;
}

int
migrate_apply(const char *url, const struct migration *table, bool check_only,
              struct migrate_report *ret_report)
{
    struct migrate m = {.table = table, .report = ret_report};
    int err, next = 0;

    memset(ret_report, 0, sizeof(*ret_report));
    err = connect_and_lock(&m, url);
    if (err == 0 && check_only) {
        run(&m, "begin"); /* and never a commit: looking changes nothing */
    }
    if (err == 0) {
        err = compare(&m, &next);
    }
    if (err == 0 && check_only && table[next].version != 0) {
        err = fail(&m, ERR_NOT_FOUND, "the schema is version %d, migration %d is missing",
                   ret_report->version, table[next].version);
    }
    while (err == 0 && table[next].version != 0) {
        err = apply(&m, &table[next++]);
    }
    PQfinish(m.conn); /* gives the lock back; accepts NULL */
    return err;
}

/* --- helpers -------------------------------------------------------------------------------- */

static int
fail(struct migrate *m, int err, const char *format, ...)
{
    va_list args;
    char *why = m->report->why;

    va_start(args, format);
    vsnprintf(why, sizeof(m->report->why), format, args);
    va_end(args);
    why[strcspn(why, "\n")] = '\0';
    return err;
}

/* Runs statements; true if all were good. */
static bool
run(struct migrate *m, const char *sql)
{
    PGresult *r = PQexec(m->conn, sql);
    bool ok = PQresultStatus(r) == PGRES_COMMAND_OK || PQresultStatus(r) == PGRES_TUPLES_OK;

    PQclear(r);
    return ok;
}

static void
hex_of(const char *text, char ret[HEX_SIZE])
{
    unsigned char digest[SHA256_DIGEST_LENGTH];

    SHA256((const unsigned char *)text, strlen(text), digest);
    for (int i = 0; i < SHA256_DIGEST_LENGTH; i++) {
        snprintf(ret + (ptrdiff_t)i * 2, 3, "%02x", digest[i]);
    }
}

static int
connect_and_lock(struct migrate *m, const char *url)
{
    /* What stands behind dbname loses to what the URL says itself. */
    static const char *const names[] = {"connect_timeout", "application_name", "dbname", NULL};
    const char *const values[] = {"10", "fte migrate", url, NULL};

    m->conn = PQconnectdbParams(names, values, 1);
    if (PQstatus(m->conn) != CONNECTION_OK) {
        const char *text = PQerrorMessage(m->conn);
        bool lasts = strstr(text, "authentication failed") || strstr(text, "does not exist");
        return fail(m, lasts ? ERR_INVALID : ERR_UNAVAILABLE, "no connection: %s", text);
    }
    if (PQserverVersion(m->conn) < PG_MIN_SERVER) {
        return fail(m, ERR_VERSION, "the server is PostgreSQL %d, and %d or newer is needed",
                    PQserverVersion(m->conn) / 10000, PG_MIN_SERVER / 10000);
    }
    if (!run(m,
             "set client_min_messages = warning; set lock_timeout = '60s'; set timezone = 'UTC'") ||
        !run(m, "select pg_advisory_lock(" LOCK_KEY ")")) {
        return fail(m, ERR_UNAVAILABLE, "no lock: %s", PQerrorMessage(m->conn));
    }
    /* The lock is waited for with a limit; the migrations then take the time that they take. */
    run(m, "set statement_timeout = 0; set lock_timeout = 0");
    return 0;
}

/* Compares what is recorded with the table, row by row: both rise. */
static int
compare(struct migrate *m, int *ret_first_missing)
{
    PGresult *r;
    int err = 0, i = 0;

    run(m, "create table if not exists schema_migrations ("
           " version integer primary key, name text not null, sha256 text not null,"
           " applied_at timestamptz not null default now())");
    r = PQexec(m->conn, "select version, name, sha256 from schema_migrations order by version");
    if (PQresultStatus(r) != PGRES_TUPLES_OK) {
        err = fail(m, ERR_INTERNAL, "schema_migrations: %s", PQerrorMessage(m->conn));
    }
    for (; err == 0 && i < PQntuples(r); i++) {
        const struct migration *step = &m->table[i];
        int version = atoi(PQgetvalue(r, i, 0));
        char hex[HEX_SIZE];

        if (step->version == 0) {
            err = fail(m, ERR_VERSION, "the schema is version %s, newer than this program (%d)",
                       PQgetvalue(r, PQntuples(r) - 1, 0), m->report->version);
            break;
        }
        hex_of(step->sql, hex);
        if (version != step->version || strcmp(PQgetvalue(r, i, 2), hex) != 0) {
            err = fail(m, ERR_CONFLICT,
                       "migration %d (%s) of the database is another than this program's %d (%s)",
                       version, PQgetvalue(r, i, 1), step->version, step->name);
        }
        m->report->version_before = m->report->version = version;
    }
    PQclear(r);
    *ret_first_missing = i;
    return err;
}

static bool
record(struct migrate *m, const struct migration *step)
{
    char version[16], hex[HEX_SIZE];
    const char *const values[] = {version, step->name, hex};
    PGresult *r;
    bool ok;

    snprintf(version, sizeof(version), "%d", step->version);
    hex_of(step->sql, hex);
    r = PQexecParams(m->conn,
                     "insert into schema_migrations (version, name, sha256)"
                     " values ($1::integer, $2, $3)",
                     3, NULL, values, NULL, NULL, 0);
    ok = PQresultStatus(r) == PGRES_COMMAND_OK;
    PQclear(r);
    return ok;
}

static int
apply(struct migrate *m, const struct migration *step)
{
    assert(step->version > m->report->version); /* the table rises */
    if (!run(m, "begin") || !run(m, step->sql) || !record(m, step) || !commit(m)) {
        fail(m, ERR_INTERNAL, "migration %d (%s): %s", step->version, step->name,
             PQerrorMessage(m->conn));
        run(m, "rollback");
        return ERR_INTERNAL;
    }
    m->report->version = step->version;
    m->report->applied++;
    return 0;
}

static bool
commit(struct migrate *m)
{
    bool ok = !FAULT_AT("before_commit", "migration") && run(m, "commit");

    return ok && !FAULT_AT("after_commit", "migration");
}
