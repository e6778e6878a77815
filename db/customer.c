#include "db/customer.h"

#include "proto/buf.h"

/* Statements of one transaction and not one statement: the rows of customers are all locked before
 * the first row of customer_identifiers, in every process alike. */
static const struct pg_stmt make_customers = {
    "customer_make",
    "insert into customers (id, name)"
    " select distinct on (g.id) g.id, g.name"
    " from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[])"
    "   as g(id, kind, value, assurance, name)"
    " where not exists (select from customer_identifiers i where i.resolves and i.kind = g.kind"
    "                   and i.value = g.value and i.assurance = g.assurance)"
    " order by g.id"
    " on conflict (id) do nothing"
    " returning id",
};
static const struct pg_stmt make_identifiers = {
    "customer_identify",
    "insert into customer_identifiers (customer_id, kind, value, assurance, resolves)"
    " select distinct on (g.id) g.id, g.kind, g.value, g.assurance, true"
    " from unnest($1::uuid[], $2::text[], $3::text[], $4::text[])"
    "   as g(id, kind, value, assurance)"
    " where not exists (select from customer_identifiers i where i.resolves and i.kind = g.kind"
    "                   and i.value = g.value and i.assurance = g.assurance)"
    " order by g.id"
    " on conflict do nothing",
};
static const struct pg_stmt find_customers = {
    "customer_find",
    "select g.n, i.customer_id"
    " from unnest($1::text[], $2::text[], $3::text[]) with ordinality as g(kind, value, assurance, "
    "n)"
    " join customer_identifiers i on i.resolves and i.kind = g.kind and i.value = g.value"
    "   and i.assurance = g.assurance",
};
static const struct pg_stmt keep_phones = {
    "customer_phone",
    "insert into customer_identifiers (customer_id, kind, value, assurance, resolves)"
    " select distinct i.customer_id, 'phone', g.phone, 'claimed', false"
    " from unnest($1::text[], $2::text[], $3::text[], $4::text[])"
    "   as g(kind, value, assurance, phone)"
    " join customer_identifiers i on i.resolves and i.kind = g.kind and i.value = g.value"
    "   and i.assurance = g.assurance"
    " where g.phone is not null"
    " order by 1, 3"
    " on conflict do nothing",
};

enum { RESULT_MADE, RESULT_IDENTIFIED, RESULT_FOUND, RESULTS };

struct id
customer_id(const struct customer_claim *claim)
{
    struct buf name = {0};
    struct id id;

    buf_printf(&name, "%s\x1f%s\x1f%.*s", claim->assurance, claim->kind, STR_ARG(claim->value));
    id = id_derive("customer", buf_str(&name));
    buf_fini(&name);
    return id;
}

static void
put_ids(struct pg_txn *t, const struct customer_claim *claims, size_t n)
{
    pg_array(t, PG_ID);
    for (size_t i = 0; i < n; i++)
        pg_put_id(t, customer_id(&claims[i]));
    pg_array_end(t);
}

/* kind, value, assurance: three arrays */
static void
put_identifiers(struct pg_txn *t, const struct customer_claim *claims, size_t n)
{
    pg_array(t, PG_TEXT);
    for (size_t i = 0; i < n; i++)
        pg_put_text(t, str_of(claims[i].kind));
    pg_array_end(t);
    pg_array(t, PG_TEXT);
    for (size_t i = 0; i < n; i++)
        pg_put_text(t, claims[i].value);
    pg_array_end(t);
    pg_array(t, PG_TEXT);
    for (size_t i = 0; i < n; i++)
        pg_put_text(t, str_of(claims[i].assurance));
    pg_array_end(t);
}

/* An empty text is no text. */
static struct str
or_null(struct str s)
{
    return s.n ? s : (struct str){0};
}

int
customer_resolve(struct pg_txn *t, const struct customer_claim *claims, size_t n)
{
    bool phones = false;

    pg_stmt(t, &make_customers);
    put_ids(t, claims, n);
    put_identifiers(t, claims, n);
    pg_array(t, PG_TEXT);
    for (size_t i = 0; i < n; i++)
        pg_put_text(t, or_null(claims[i].name));
    pg_array_end(t);

    pg_stmt(t, &make_identifiers);
    put_ids(t, claims, n);
    put_identifiers(t, claims, n);

    pg_stmt(t, &find_customers);
    put_identifiers(t, claims, n);

    for (size_t i = 0; i < n; i++)
        phones = phones || claims[i].phone.n > 0;
    if (!phones)
        return RESULTS;
    pg_stmt(t, &keep_phones);
    put_identifiers(t, claims, n);
    pg_array(t, PG_TEXT);
    for (size_t i = 0; i < n; i++)
        pg_put_text(t, or_null(claims[i].phone));
    pg_array_end(t);
    return RESULTS + 1;
}

bool
customer_read(PGresult *const *results, int count, struct customer_found *ret_found, size_t n)
{
    const PGresult *made, *found;
    size_t seen = 0;

    if (count < RESULTS)
        return false;
    made = results[RESULT_MADE];
    found = results[RESULT_FOUND];
    for (size_t i = 0; i < n; i++)
        ret_found[i] = (struct customer_found){.known = true};
    for (int row = 0; row < PQntuples(found); row++) {
        int64_t i = pg_int(found, row, 0) - 1;
        if (i < 0 || (size_t)i >= n)
            continue;
        ret_found[i].id = pg_id(found, row, 1);
        for (int j = 0; j < PQntuples(made); j++)
            if (id_eq(pg_id(made, j, 0), ret_found[i].id))
                ret_found[i].known = false;
        seen++;
    }
    return seen == n;
}
