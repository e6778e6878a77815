/* migrate - brings a database to the schema that this program was built for.
 *
 * The migrations are db/migrations/NNNN_*.sql, compiled in. Each is applied in a transaction of its
 * own and recorded in schema_migrations with its SHA-256. Two that run at once wait for each other
 * (an advisory lock), and running it again changes nothing. A database that is newer than this
 * program, or whose recorded migrations are others than ours, is refused and left as it is.
 */
#ifndef DB_MIGRATE_H
#define DB_MIGRATE_H

#include <stdbool.h>

struct migration {
    int version;      /* 1, 2, ...; 0 ends a table */
    const char *name; /* "crm" */
    const char *sql;  /* statements; no transaction commands */
};

/* Generated at build time, in the order of their versions. */
extern const struct migration migrations[];

struct migrate_report {
    int version_before; /* 0: an empty database */
    int version;        /* now */
    int applied;
    char why[400]; /* on an error: what and why, for people; without password */
};

/* The version that this program needs: give it to pg_open(). */
int migrate_version(void);

/* Applies what is missing of `table` to the database `url` (libpq URI or conninfo). Blocks; waits
 * at most a minute for another migration. `check_only`: applies nothing, ERR_NOT_FOUND if something
 * is missing. 0; or ERR_UNAVAILABLE no connection or lock, ERR_INVALID user, password or database
 * refused, ERR_VERSION the database is newer or its server too old, ERR_CONFLICT a recorded
 * migration differs from ours, ERR_INTERNAL a statement failed (its transaction is rolled back,
 * those before it stay). ret_report is filled in in any case. */
int migrate_apply(const char *url, const struct migration *table, bool check_only,
                  struct migrate_report *ret_report);

#endif
