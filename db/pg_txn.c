#include "db/pg_txn.h"

#include <arpa/inet.h>
#include <assert.h>
#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* PostgreSQL counts time from 2000-01-01 00:00 UTC. */
#define PG_EPOCH_US 946684800000000LL

struct pg_txn *
pg_begin(struct pg *pg)
{
    struct pg_txn *t = xcalloc(1, sizeof(*t));
    t->pg = pg;
    return t;
}

void
pg_txn_free(struct pg_txn *t)
{
    for (int i = 0; i < t->result_n; i++) {
        PQclear(t->results[i]);
    }
    buf_fini(&t->bytes);
    free(t->params);
    free(t);
}

void
pg_stmt(struct pg_txn *t, const struct pg_stmt *stmt)
{
    assert(t->stmt_n < PG_MAX_STMTS && !t->in_array);
    t->stmts[t->stmt_n].stmt = stmt;
    t->stmts[t->stmt_n].param_first = t->param_n;
    t->stmts[t->stmt_n++].param_n = 0;
}

void
pg_txn_listen(struct pg_txn *t, const char *channel)
{
    struct pg_stmt *s = &t->listen[t->stmt_n];

    snprintf(t->listen_sql[t->stmt_n], sizeof(t->listen_sql[0]), "listen %s", channel);
    *s = (struct pg_stmt){.name = "", .sql = t->listen_sql[t->stmt_n]};
    pg_stmt(t, s);
}

/* --- parameters ----------------------------------------------------------------------------- */

static void
put_i32(struct buf *b, int32_t v)
{
    uint32_t be = htonl((uint32_t)v);
    buf_add(b, &be, sizeof(be));
}

/* One binary value: an element of the open array, or the next parameter. */
static void
put(struct pg_txn *t, const void *p, size_t n, bool null)
{
    if (t->in_array) {
        t->array_n++;
        t->array_null |= null;
        put_i32(&t->bytes, null ? -1 : (int32_t)n);
        if (!null) {
            buf_add(&t->bytes, p, n);
        }
        return;
    }
    assert(t->stmt_n > 0 && t->stmts[t->stmt_n - 1].param_n < PG_MAX_PARAMS);
    if (t->param_n == t->param_cap) {
        t->param_cap = t->param_cap ? t->param_cap * 2 : 16;
        t->params = xrealloc(t->params, (size_t)t->param_cap * sizeof(*t->params));
    }
    t->params[t->param_n++] = (struct pg_param){.at = t->bytes.n, .n = n, .null = null};
    t->stmts[t->stmt_n - 1].param_n++;
    if (!null) {
        buf_add(&t->bytes, p, n);
    }
}

void
pg_put_null(struct pg_txn *t)
{
    put(t, NULL, 0, true);
}

void
pg_put_text(struct pg_txn *t, struct str s)
{
    put(t, s.p, s.n, s.p == NULL);
}

void
pg_put_bytes(struct pg_txn *t, struct str s)
{
    put(t, s.p, s.n, s.p == NULL);
}

void
pg_put_int(struct pg_txn *t, int64_t v)
{
    uint64_t be = htobe64((uint64_t)v);
    put(t, &be, sizeof(be), false);
}

void
pg_put_float(struct pg_txn *t, double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof(bits));
    bits = htobe64(bits);
    put(t, &bits, sizeof(bits), false);
}

void
pg_put_bool(struct pg_txn *t, bool v)
{
    char c = v ? 1 : 0;
    put(t, &c, 1, false);
}

void
pg_put_id(struct pg_txn *t, struct id id)
{
    put(t, id.b, sizeof(id.b), false);
}

void
pg_put_time(struct pg_txn *t, int64_t unix_us)
{
    pg_put_int(t, unix_us - PG_EPOCH_US);
}

void
pg_put_json(struct pg_txn *t, struct str json)
{
    struct buf b = {0};

    if (json.p == NULL) {
        pg_put_null(t);
        return;
    }
    buf_add_byte(&b, 1); /* version of jsonb's binary format */
    buf_add_str(&b, json);
    put(t, b.p, b.n, false);
    buf_fini(&b);
}

void
pg_array(struct pg_txn *t, enum pg_kind kind)
{
    static const int32_t oids[] = {
        [PG_TEXT] = 25, [PG_BYTES] = 17, [PG_INT] = 20,    [PG_FLOAT] = 701,
        [PG_BOOL] = 16, [PG_ID] = 2950,  [PG_TIME] = 1184, [PG_JSON] = 3802};

    put(t, NULL, 0, false); /* the parameter; its length is set at the end */
    t->in_array = true;
    t->array_n = 0;
    t->array_null = false;
    t->array_at = t->bytes.n;
    put_i32(&t->bytes, 1); /* dimensions */
    put_i32(&t->bytes, 0); /* has NULLs */
    put_i32(&t->bytes, oids[kind]);
    put_i32(&t->bytes, 0); /* elements */
    put_i32(&t->bytes, 1); /* lower bound */
}

void
pg_array_end(struct pg_txn *t)
{
    char *head = t->bytes.p + t->array_at;
    uint32_t n = htonl((uint32_t)t->array_n);
    uint32_t has_null = htonl(t->array_null ? 1 : 0);
    static const uint32_t none;

    assert(t->in_array);
    t->in_array = false;
    if (t->array_n == 0) { /* an empty array has no dimension at all */
        memcpy(head, &none, sizeof(none));
        t->bytes.n = t->array_at + 12;
    } else {
        memcpy(head + 4, &has_null, sizeof(has_null));
        memcpy(head + 12, &n, sizeof(n));
    }
    t->params[t->param_n - 1].n = t->bytes.n - t->array_at;
}

/* --- results -------------------------------------------------------------------------------- */

bool
pg_null(const PGresult *r, int row, int col)
{
    return PQgetisnull(r, row, col);
}

struct str
pg_text(const PGresult *r, int row, int col)
{
    if (PQgetisnull(r, row, col)) {
        return (struct str){0};
    }
    return (struct str){.p = PQgetvalue(r, row, col), .n = (size_t)PQgetlength(r, row, col)};
}

int64_t
pg_int(const PGresult *r, int row, int col)
{
    const uint8_t *p = (const uint8_t *)PQgetvalue(r, row, col);
    int n = PQgetlength(r, row, col);
    uint64_t v = n > 0 && (p[0] & 0x80) ? UINT64_MAX : 0;

    for (int i = 0; i < n; i++) {
        v = v << 8 | p[i];
    }
    return (int64_t)v;
}

double
pg_float(const PGresult *r, int row, int col)
{
    uint64_t bits = (uint64_t)pg_int(r, row, col);
    double d;
    float f;

    if (PQgetlength(r, row, col) == 4) {
        uint32_t small = (uint32_t)bits;
        memcpy(&f, &small, sizeof(f));
        return (double)f;
    }
    if (PQgetlength(r, row, col) != 8) {
        return 0;
    }
    memcpy(&d, &bits, sizeof(d));
    return d;
}

bool
pg_bool(const PGresult *r, int row, int col)
{
    return PQgetlength(r, row, col) == 1 && PQgetvalue(r, row, col)[0] != 0;
}

struct id
pg_id(const PGresult *r, int row, int col)
{
    struct id id = {0};
    if (PQgetlength(r, row, col) == sizeof(id.b)) {
        memcpy(id.b, PQgetvalue(r, row, col), sizeof(id.b));
    }
    return id;
}

int64_t
pg_time(const PGresult *r, int row, int col)
{
    return pg_int(r, row, col) + PG_EPOCH_US;
}

struct str
pg_json(const PGresult *r, int row, int col)
{
    struct str s = pg_text(r, row, col);
    if (s.n > 0 && s.p[0] == 1) {
        s.p++;
        s.n--;
    }
    return s;
}
