/* pg_txn - the inside of a transaction, shared by pg.c (the connection) and pg_txn.c (parameters
 * and results). Private to these two. */
#ifndef DB_PG_TXN_H
#define DB_PG_TXN_H

#include "db/pg.h"

#define PG_MAX_STMTS 8
#define PG_MAX_PARAMS 32 /* of one statement */

struct pg_param {
    size_t at, n; /* in txn.bytes */
    bool null;
};

struct pg_txn {
    struct pg *pg;
    struct {
        const struct pg_stmt *stmt;
        int param_first, param_n;
    } stmts[PG_MAX_STMTS];
    int stmt_n;
    struct pg_param *params;
    int param_n, param_cap;
    struct buf bytes;
    size_t array_at; /* where the open array's header stands */
    int array_n;
    bool array_null;
    bool in_array;
    enum pg_kind array_kind;
    struct pg_stmt listen[PG_MAX_STMTS]; /* LISTEN statements, made at run time from constants */
    char listen_sql[PG_MAX_STMTS][64];

    pg_done_fn *fn;
    void *arg;
    const char *name; /* of its fault points; NULL: our own, it has none */
    int64_t sent_ms;
    int failed;
    PGresult *results[PG_MAX_STMTS];
    int result_n;
    struct pg_reply reply;
    struct pg_txn *next;
};

/* Adds LISTEN channel; `channel` is a constant of ours. */
void pg_txn_listen(struct pg_txn *t, const char *channel);
void pg_txn_free(struct pg_txn *t);

#endif
