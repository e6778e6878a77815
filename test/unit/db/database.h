/* database - a migrated database for tests: DATABASE_URL, shared by all, so each test uses ids of
 * its own. Without it a test that needs one fails. */
#ifndef TEST_DATABASE_H
#define TEST_DATABASE_H

#include "db/pg.h"

struct database {
    struct loop *loop;
    struct pg *pg;
};

/* A second database is a second connection: another worker. */
void database_init(struct database *db);
void database_fini(struct database *db);

/* Sends the transaction and waits for its answer, which lives until the next call on the same
 * database or database_fini(). Its error is the caller's to look at. */
const struct pg_reply *database_run(struct database *db, struct pg_txn **t_p);
/* Turns the loops of both until `*flag` is set; fails after 10 s. */
void database_until(struct database *a, struct database *b, const bool *flag);

/* Statements of a test's own, on a connection of their own; the first column of the first row as
 * text
 * ("" for NULL or no row). `format` is a printf format for constants and ids (%s with
 * database_id()). The result is in a ring of eight. Fails the test on an error. */
const char *database_sql(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* An id as SQL text, in a ring of sixteen. */
const char *database_id(struct id id);
/* A customer that no other test knows. */
struct id database_customer(void);

#endif
