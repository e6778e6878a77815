/* pg - a connection to PostgreSQL that lives in the loop: transactions are sent whole, pipelined,
 * and answered by a callback; nothing blocks.
 *
 * A transaction is one or more named statements that are committed together in one round trip (an
 * implicit transaction of libpq's pipeline mode: everything up to the Sync). Several may be on
 * their way at once; they are run in the order of pg_commit(). Statements are prepared when first
 * used on a connection. A connection that is lost is opened again with backoff; what was on its way
 * is answered ERR_UNAVAILABLE: its outcome is unknown, so do it again, the unique keys decide.
 */
#ifndef DB_PG_H
#define DB_PG_H

#include "proto/buf.h"
#include "proto/id.h"
#include "proto/runtime/loop.h"

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>

#define PG_WAIT_MS 2000
#define PG_ANSWER_MS 15000
#define PG_MIN_SERVER 150000 /* PQserverVersion: what we test with */

struct pg;
struct pg_txn;

/* A statement: named, constant, with $1.. parameters. `static const`, one per verb, in db/ only. */
struct pg_stmt {
    const char *name; /* unique in the program: "ticket_open" */
    const char *sql;
};

/* What became of a transaction. */
struct pg_reply {
    int err;            /* 0 committed; ERR_UNAVAILABLE: connection, shutdown, serialization, locks,
                           disk or disk quota full: try again; ERR_CONFLICT: unique or foreign key (class 23);
                           ERR_INVALID: data (class 22); ERR_INTERNAL: anything else */
    char sqlstate[6];   /* of the first error, or "" */
    char detail[256];   /* the server's primary message: may quote data, never log it with values */
    PGresult **results; /* err 0: one per statement, in binary format; borrowed for the callback */
    int n;              /* results; may be fewer than statements where err is not 0 */
};

typedef void pg_done_fn(void *arg, const struct pg_reply *reply);

struct pg_events {
    void (*up)(void *arg);   /* connected and checked */
    void (*down)(void *arg); /* lost */
    void (*notify)(void *arg, const char *channel, const char *payload);
    void (*refused)(void *arg,
                    const char *why); /* can't ever work: wrong password, schema too old */
    void *arg;
};

/* Starts to connect to `url` (libpq URI or conninfo; never logged). `events` is copied; it may be
 * NULL or hold NULLs. `schema_version`: the connection counts as up only if the schema has this
 * version or a newer one (db/migrate.h); 0 = do not look. */
struct pg *pg_open(struct loop *loop, const char *url, int schema_version,
                   const struct pg_events *events);
/* Cancels what is on its way (callbacks get ERR_UNAVAILABLE). Accepts NULL. */
void pg_close(struct pg **pg_p);
bool pg_is_up(const struct pg *pg);
/* LISTENs on a channel on this and every later connection. */
void pg_listen(struct pg *pg, const char *channel);
/* Transactions sent or waiting. */
size_t pg_pending(const struct pg *pg);
/* Turns the loop until nothing is pending or `timeout_ms` is over; true if nothing is. For tools.
 */
bool pg_wait(struct pg *pg, int64_t timeout_ms);

/* --- a transaction ------------------------------------------------------------------------- */
struct pg_txn *pg_begin(struct pg *pg);
/* Adds a statement; its parameters follow by pg_put_*(), $1 first. */
void pg_stmt(struct pg_txn *t, const struct pg_stmt *stmt);
void pg_put_null(struct pg_txn *t);
void pg_put_text(struct pg_txn *t, struct str s); /* NULL where s.p is NULL */
void pg_put_bytes(struct pg_txn *t, struct str s);
void pg_put_int(struct pg_txn *t, int64_t v);  /* bigint */
void pg_put_float(struct pg_txn *t, double v); /* double precision */
void pg_put_bool(struct pg_txn *t, bool v);
void pg_put_id(struct pg_txn *t, struct id id);      /* uuid */
void pg_put_time(struct pg_txn *t, int64_t unix_us); /* timestamptz */
/* An array parameter for unnest(): open, add each element, close. Elements of one kind only. */
enum pg_kind { PG_TEXT, PG_BYTES, PG_INT, PG_FLOAT, PG_BOOL, PG_ID, PG_TIME, PG_JSON };
void pg_array(struct pg_txn *t, enum pg_kind kind);
void pg_array_end(struct pg_txn *t);
/* (between the two, the pg_put_*() above add elements; pg_put_json too) */
void pg_put_json(struct pg_txn *t, struct str json); /* jsonb */
/* Sends it. `fn` is called exactly once, never from inside. Takes the transaction. While the
 * connection is down it waits at most PG_WAIT_MS for the next one before it is answered; once sent
 * it is given up, with the connection, after PG_ANSWER_MS without an answer. */
#define pg_commit(t_p, fn, arg) pg_commit_as(t_p, fn, arg, #fn)
/* The same with a name for its fault points (proto/runtime/fault.h) other than its callback's. */
void pg_commit_as(struct pg_txn **t_p, pg_done_fn *fn, void *arg, const char *name);

/* --- reading a result (binary format; the column must have the type that is asked for) ------- */
bool pg_null(const PGresult *r, int row, int col);
struct str pg_text(const PGresult *r, int row, int col); /* text, varchar, bytea; borrowed */
int64_t pg_int(const PGresult *r, int row, int col);     /* smallint, integer, bigint */
double pg_float(const PGresult *r, int row, int col);    /* real, double precision */
bool pg_bool(const PGresult *r, int row, int col);
struct id pg_id(const PGresult *r, int row, int col);
int64_t pg_time(const PGresult *r, int row, int col);    /* timestamptz as Unix microseconds */
struct str pg_json(const PGresult *r, int row, int col); /* jsonb or json as text; borrowed */

#endif
