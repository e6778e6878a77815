/* kb - the table knowledge_base: what is imported, and which running searches have seen it.
 *
 * Each change raises a generation. A search that serves an index holds a shared advisory lock that
 * is named by the generation of that index (0 while it still loads), so who waits for "all have
 * seen it" looks whether an older one is held. The locks end with the connection: a dead search
 * holds up nobody. Functions add statements to a transaction of the caller.
 */
#ifndef DB_KB_H
#define DB_KB_H

#include "db/pg.h"
#include "proto/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KB_SCHEMA 1         /* the migration that made the tables */
#define KB_CHANNEL "fte_kb" /* NOTIFY: there is a new generation */

struct kb_row {
    struct str id;       /* unique in the table */
    struct str document; /* what a search reports */
    int32_t ordinal;     /* place in the document */
    struct str title;
    struct str body;
    struct str url;    /* may be empty */
    struct str domain; /* may be empty */
};

/* --- for a search ---------------------------------------------------------------------------- */
/* All rows in order of document and ordinal. Two results before them (KB_LOAD_ROWS is theirs). */
#define KB_LOAD_GENERATION 1
#define KB_LOAD_ROWS 2
void kb_load(struct pg_txn *t);
int64_t kb_load_generation(const struct pg_reply *reply);
/* The same rows alone, for a tool that serves nobody (one result). */
void kb_rows(struct pg_txn *t);
/* Row `i` of reply->results[KB_LOAD_ROWS], or of kb_rows(); borrowed from it. */
void kb_load_row(const PGresult *r, int i, struct kb_row *ret);
/* Tells that this connection serves `generation` now, and no other. */
void kb_serve(struct pg_txn *t, int64_t generation);
/* One result: the generation of the table, and whether this connection has told that it serves one
 * (not after a reconnect). */
void kb_look(struct pg_txn *t);
void kb_look_read(const PGresult *r, int64_t *ret_generation, bool *ret_serves);

/* --- for an import --------------------------------------------------------------------------- */
struct kb_change {
    int64_t generation; /* to wait for */
    int64_t written;    /* rows that are new or other than before */
    int64_t removed;
    int64_t taken; /* rows that belonged to another source until now */
};
/* Makes `rows` (ids all different) the whole of what `source` holds. Rows of the same ids or
 * documents from another source are replaced. */
void kb_import(struct pg_txn *t, struct str source, const struct kb_row *rows, size_t n);
void kb_import_read(const struct pg_reply *reply, struct kb_change *ret);
/* One result: how many running searches serve something older than `generation`. */
void kb_behind(struct pg_txn *t, int64_t generation);
int64_t kb_behind_read(const PGresult *r);

/* --- for people ------------------------------------------------------------------------------ */
struct kb_document {
    struct str document;
    struct str title;
    struct str source;
    int64_t passages;
    int64_t updated_us;
};
/* One result, a row for each document. */
void kb_list(struct pg_txn *t);
void kb_list_row(const PGresult *r, int i, struct kb_document *ret);

#endif
