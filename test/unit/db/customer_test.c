#include "db/customer.h"
#include "test/unit/db/database.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

TestSuite(customer, .timeout = 30);

#define BATCH 32

/* An address that no other test has. Caller frees. */
static char *
address(void)
{
    char *text = xmalloc(64), id[ID_TEXT_SIZE];

    id_format(id_random(), id);
    snprintf(text, 64, "%s@example.com", id);
    return text;
}

static struct customer_claim
claim(const char *email)
{
    return (struct customer_claim){.kind = "email",
                                   .assurance = "claimed",
                                   .value = str_of(email),
                                   .name = STR("Ann"),
                                   .phone = STR("+447400123456")};
}

static void
resolve(struct database *db, const struct customer_claim *claims, size_t n,
        struct customer_found *ret_found)
{
    struct pg_txn *t = pg_begin(db->pg);
    const struct pg_reply *reply;

    customer_resolve(t, claims, n);
    reply = database_run(db, &t);
    cr_assert_eq(reply->err, 0, "%s %s", reply->sqlstate, reply->detail);
    cr_assert(customer_read(reply->results, reply->n, ret_found, n));
}

Test(customer, is_made_once_and_found_again)
{
    struct database db;
    char *email = address();
    struct customer_claim c = claim(email);
    struct customer_found first, second;

    database_init(&db);
    resolve(&db, &c, 1, &first);
    resolve(&db, &c, 1, &second);
    cr_expect_not(first.known);
    cr_expect(second.known);
    cr_expect(id_eq(first.id, second.id));
    cr_expect(id_eq(first.id, customer_id(&c)));
    cr_expect_str_eq(
        database_sql("select name from customers where id = '%s'", database_id(first.id)), "Ann");
    cr_expect_str_eq(
        database_sql("select count(*) from customer_identifiers where customer_id = '%s'",
                     database_id(first.id)),
        "2");
    database_fini(&db);
    free(email);
}

Test(customer, is_not_who_typed_the_same_telephone_number)
{
    struct database db;
    char *a = address(), *b = address();
    struct customer_claim claims[] = {claim(a), claim(b)};
    struct customer_found found[2];

    database_init(&db);
    resolve(&db, claims, 2, found);
    cr_expect_not(id_eq(found[0].id, found[1].id));
    cr_expect_str_eq(database_sql("select bool_or(resolves) from customer_identifiers where kind = "
                                  "'phone' and customer_id in ('%s', '%s')",
                                  database_id(found[0].id), database_id(found[1].id)),
                     "f");
    database_fini(&db);
    free(a);
    free(b);
}

Test(customer, who_claims_an_address_is_not_who_has_proved_it)
{
    struct database db;
    char *email = address();
    struct customer_claim claims[] = {claim(email), claim(email)};
    struct customer_found found[2];

    claims[1].assurance = "verified";
    database_init(&db);
    resolve(&db, claims, 2, found);
    cr_expect_not(id_eq(found[0].id, found[1].id));
    database_fini(&db);
    free(email);
}

Test(customer, follows_an_identifier_that_a_person_has_given_to_another)
{
    struct database db;
    char *email = address();
    struct customer_claim c = claim(email);
    struct customer_found before, after;
    struct id other = database_customer();

    database_init(&db);
    resolve(&db, &c, 1, &before);
    database_sql("update customer_identifiers set customer_id = '%s' where customer_id = '%s'"
                 " returning 1",
                 database_id(other), database_id(before.id));
    database_sql("delete from customers where id = '%s' returning 1", database_id(before.id));
    resolve(&db, &c, 1, &after);
    cr_expect(id_eq(after.id, other));
    cr_expect(after.known);
    cr_expect_str_eq(
        database_sql("select count(*) from customers where id = '%s'", database_id(before.id)), "0",
        "the one that was merged does not come back");
    database_fini(&db);
    free(email);
}

struct side {
    bool done;
    int err;
    struct customer_found found[BATCH];
};

static void
resolved(void *arg, const struct pg_reply *reply)
{
    struct side *side = arg;

    side->err = reply->err;
    if (reply->err == 0)
        cr_assert(customer_read(reply->results, reply->n, side->found, BATCH));
    side->done = true;
}

Test(customer, of_two_identical_batches_at_once_is_one_and_neither_waits_for_ever)
{
    struct database a, b;
    struct customer_claim there[BATCH], back[BATCH];

    database_init(&a);
    database_init(&b);
    for (int round = 0; round < 10; round++) {
        struct side one = {0}, two = {0};
        struct pg_txn *t;

        for (size_t i = 0; i < BATCH; i++) {
            there[i] = claim(address());
            back[BATCH - 1 - i] = there[i];
        }
        t = pg_begin(a.pg);
        customer_resolve(t, there, BATCH);
        pg_commit(&t, resolved, &one);
        t = pg_begin(b.pg);
        customer_resolve(t, back, BATCH);
        pg_commit(&t, resolved, &two);
        database_until(&a, &b, &one.done);
        database_until(&a, &b, &two.done);
        cr_assert_eq(one.err, 0);
        cr_assert_eq(two.err, 0);
        for (size_t i = 0; i < BATCH; i++) {
            cr_expect(id_eq(one.found[i].id, two.found[BATCH - 1 - i].id));
            free((void *)there[i].value.p);
        }
    }
    database_fini(&a);
    database_fini(&b);
}
