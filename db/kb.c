#include "db/kb.h"

#include <openssl/evp.h>

/* Class of the advisory locks, a number of ours within this database; objsubid 2 says that it is
 * one of two numbers. */
#define SEARCH_CLASS "7042003"
#define LOCKS_OF_SEARCHES                                                                          \
    "pg_locks where locktype = 'advisory' and classid = " SEARCH_CLASS " and objsubid = 2"         \
    " and database = (select oid from pg_database where datname = current_database())"

/* A statement of its own, before the rows are read: who looks for searches that are behind must see
 * this one, or it must see his change. */
static const struct pg_stmt load_begin = {
    "kb_load_begin",
    "select pg_advisory_lock_shared(" SEARCH_CLASS ", 0) is null"
    " where not exists (select from " LOCKS_OF_SEARCHES
    " and pid = pg_backend_pid() and objid = 0)",
};
static const struct pg_stmt load_generation = {
    "kb_load_generation",
    "select generation from knowledge_base_generation",
};
static const struct pg_stmt load_rows = {
    "kb_load_rows",
    "select id, document, ordinal, title, body, coalesce(url, ''), coalesce(domain, '')"
    " from knowledge_base order by document, ordinal, id",
};
static const struct pg_stmt serve_new = {
    "kb_serve_new",
    "select pg_advisory_lock_shared(" SEARCH_CLASS ", $1::bigint::int) is null"
    " where not exists (select from " LOCKS_OF_SEARCHES
    "                   and pid = pg_backend_pid() and objid = $1::bigint)",
};
static const struct pg_stmt serve_no_other = {
    "kb_serve_no_other",
    "select pg_advisory_unlock_shared(" SEARCH_CLASS ", objid::bigint::int) from " LOCKS_OF_SEARCHES
    " and pid = pg_backend_pid() and objid <> $1::bigint",
};
static const struct pg_stmt look = {
    "kb_look",
    "select generation, exists (select from " LOCKS_OF_SEARCHES " and pid = pg_backend_pid()"
    "                           and objid > 0)"
    " from knowledge_base_generation",
};
/* The lock puts imports one behind the other, so that none is in the way of another's rows. */
static const struct pg_stmt import_begin = {
    "kb_import_begin",
    "select count(*) from knowledge_base b"
    " where b.id = any($2::text[]) and b.source <> $1"
    "   and exists (select from knowledge_base_generation for update)",
};
static const struct pg_stmt import_rows = {
    "kb_import_rows",
    "insert into knowledge_base (id, document, source, ordinal, title, body, url, domain, hash)"
    " select id, document, $1, ordinal, title, body, nullif(url, ''), nullif(domain, ''), hash"
    " from unnest($2::text[], $3::text[], $4::bigint[], $5::text[], $6::text[], $7::text[],"
    "             $8::text[], $9::bytea[])"
    "   as given(id, document, ordinal, title, body, url, domain, hash)"
    " on conflict (id) do update set document = excluded.document, source = excluded.source,"
    "   ordinal = excluded.ordinal, title = excluded.title, body = excluded.body,"
    "   url = excluded.url, domain = excluded.domain, hash = excluded.hash, updated_at = now()"
    " where (knowledge_base.hash, knowledge_base.source) is distinct from"
    "       (excluded.hash, excluded.source)"
    " returning 1",
};
static const struct pg_stmt import_rest = {
    "kb_import_rest",
    "delete from knowledge_base where (source = $1 or document = any($3::text[]))"
    " and id <> all($2::text[]) returning 1",
};
static const struct pg_stmt behind = {
    "kb_behind",
    "select count(distinct pid) from " LOCKS_OF_SEARCHES " and objid < $1::bigint",
};
static const struct pg_stmt list = {
    "kb_list",
    "select document, (array_agg(title order by ordinal, id))[1], min(source), count(*),"
    "       max(updated_at)"
    " from knowledge_base group by document order by document",
};

static void put_texts(struct pg_txn *t, const struct kb_row *rows, size_t n, size_t field);
static void row_hash(const struct kb_row *r, unsigned char ret[32]);

#define FIELD(name) offsetof(struct kb_row, name)

void
kb_load(struct pg_txn *t)
{
    pg_stmt(t, &load_begin);
    pg_stmt(t, &load_generation);
    pg_stmt(t, &load_rows);
}

void
kb_rows(struct pg_txn *t)
{
    pg_stmt(t, &load_rows);
}

int64_t
kb_load_generation(const struct pg_reply *reply)
{
    return pg_int(reply->results[KB_LOAD_GENERATION], 0, 0);
}

void
kb_load_row(const PGresult *r, int i, struct kb_row *ret)
{
    *ret = (struct kb_row){
        .id = pg_text(r, i, 0),
        .document = pg_text(r, i, 1),
        .ordinal = (int32_t)pg_int(r, i, 2),
        .title = pg_text(r, i, 3),
        .body = pg_text(r, i, 4),
        .url = pg_text(r, i, 5),
        .domain = pg_text(r, i, 6),
    };
}

void
kb_serve(struct pg_txn *t, int64_t generation)
{
    pg_stmt(t, &serve_new);
    pg_put_int(t, generation);
    pg_stmt(t, &serve_no_other);
    pg_put_int(t, generation);
}

void
kb_look(struct pg_txn *t)
{
    pg_stmt(t, &look);
}

void
kb_look_read(const PGresult *r, int64_t *ret_generation, bool *ret_serves)
{
    *ret_generation = pg_int(r, 0, 0);
    *ret_serves = pg_bool(r, 0, 1);
}

void
kb_import(struct pg_txn *t, struct str source, const struct kb_row *rows, size_t n)
{
    pg_stmt(t, &import_begin);
    pg_put_text(t, source);
    put_texts(t, rows, n, FIELD(id));

    pg_stmt(t, &import_rows);
    pg_put_text(t, source);
    put_texts(t, rows, n, FIELD(id));
    put_texts(t, rows, n, FIELD(document));
    pg_array(t, PG_INT);
    for (size_t i = 0; i < n; i++) {
        pg_put_int(t, rows[i].ordinal);
    }
    pg_array_end(t);
    put_texts(t, rows, n, FIELD(title));
    put_texts(t, rows, n, FIELD(body));
    put_texts(t, rows, n, FIELD(url));
    put_texts(t, rows, n, FIELD(domain));
    pg_array(t, PG_BYTES);
    for (size_t i = 0; i < n; i++) {
        unsigned char hash[32];
        row_hash(&rows[i], hash);
        pg_put_bytes(t, (struct str){.p = (const char *)hash, .n = sizeof hash});
    }
    pg_array_end(t);

    pg_stmt(t, &import_rest);
    pg_put_text(t, source);
    put_texts(t, rows, n, FIELD(id));
    put_texts(t, rows, n, FIELD(document));
    pg_stmt(t, &load_generation);
}

void
kb_import_read(const struct pg_reply *reply, struct kb_change *ret)
{
    *ret = (struct kb_change){
        .taken = pg_int(reply->results[0], 0, 0),
        .written = PQntuples(reply->results[1]),
        .removed = PQntuples(reply->results[2]),
        .generation = pg_int(reply->results[3], 0, 0),
    };
}

void
kb_behind(struct pg_txn *t, int64_t generation)
{
    pg_stmt(t, &behind);
    pg_put_int(t, generation);
}

int64_t
kb_behind_read(const PGresult *r)
{
    return pg_int(r, 0, 0);
}

void
kb_list(struct pg_txn *t)
{
    pg_stmt(t, &list);
}

void
kb_list_row(const PGresult *r, int i, struct kb_document *ret)
{
    *ret = (struct kb_document){
        .document = pg_text(r, i, 0),
        .title = pg_text(r, i, 1),
        .source = pg_text(r, i, 2),
        .passages = pg_int(r, i, 3),
        .updated_us = pg_time(r, i, 4),
    };
}

static void
put_texts(struct pg_txn *t, const struct kb_row *rows, size_t n, size_t field)
{
    pg_array(t, PG_TEXT);
    for (size_t i = 0; i < n; i++) {
        struct str s = *(const struct str *)(const void *)((const char *)&rows[i] + field);
        pg_put_text(t, s.p ? s : STR(""));
    }
    pg_array_end(t);
}

/* Over all that an import gives, each with its length before it. */
static void
row_hash(const struct kb_row *r, unsigned char ret[32])
{
    const struct str *fields[] = {&r->id, &r->document, &r->title, &r->body, &r->url, &r->domain};
    EVP_MD_CTX *c = EVP_MD_CTX_new();

    EVP_DigestInit_ex(c, EVP_sha256(), NULL);
    EVP_DigestUpdate(c, &r->ordinal, sizeof r->ordinal);
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        uint64_t n = fields[i]->n;
        EVP_DigestUpdate(c, &n, sizeof n);
        EVP_DigestUpdate(c, fields[i]->p, fields[i]->n);
    }
    EVP_DigestFinal_ex(c, ret, NULL);
    EVP_MD_CTX_free(c);
}
