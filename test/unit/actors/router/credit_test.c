#include "actors/router/credit.h"

#include <criterion/criterion.h>

static struct str
route(const char *name)
{
    return str_of(name);
}

static struct head
head_of(struct id id)
{
    return (struct head){.id = id, .attempt = 1, .generation = 7, .route = STR("edge-1")};
}

Test(credit, gives_a_unit_to_the_worker_with_most_free_slots)
{
    struct credit *c = credit_new();
    credit_ready(c, route("a"), STR("kb"), 1, 0);
    struct worker *b = credit_ready(c, route("b"), STR("kb"), 5, 0);

    cr_assert_eq(credit_take(c, STR("kb")), b);
    cr_assert_eq(worker_free(b), 4);
    credit_free(&c);
}

Test(credit, lets_equal_workers_take_turns)
{
    struct credit *c = credit_new();
    struct worker *a = credit_ready(c, route("a"), STR("kb"), 2, 0);
    struct worker *b = credit_ready(c, route("b"), STR("kb"), 2, 0);
    struct worker *first = credit_take(c, STR("kb"));
    struct worker *second = credit_take(c, STR("kb"));

    cr_assert_neq(first, second);
    cr_assert((first == a && second == b) || (first == b && second == a));
    credit_free(&c);
}

Test(credit, says_nobody_when_all_slots_are_taken_and_somebody_again_after_credit)
{
    struct credit *c = credit_new();
    struct worker *a = credit_ready(c, route("a"), STR("kb"), 1, 0);

    cr_assert_eq(credit_take(c, STR("kb")), a);
    cr_assert_null(credit_take(c, STR("kb")));
    cr_assert(credit_serves(c, STR("kb")));
    credit_add(a, 1);
    cr_assert_eq(credit_take(c, STR("kb")), a);
    credit_free(&c);
}

Test(credit, gives_nothing_to_a_worker_that_drains_or_serves_something_else)
{
    struct credit *c = credit_new();
    struct worker *a = credit_ready(c, route("a"), STR("kb"), 3, 0);

    cr_assert_null(credit_take(c, STR("k")));
    cr_assert_null(credit_take(c, STR("kbx")));
    credit_close(a);
    cr_assert_null(credit_take(c, STR("kb")));
    cr_assert_not(credit_serves(c, STR("kb")));
    credit_free(&c);
}

static void
count_held(void *arg, const struct holding *h)
{
    int *n = arg;
    (*n)++;
    cr_assert_eq(h->generation, 7u);
    cr_assert(str_is((struct str){.p = (const char *)h->route, .n = h->route_n}, "edge-1"));
}

Test(credit, remembers_what_a_worker_holds_until_it_is_settled)
{
    struct credit *c = credit_new();
    struct worker *a = credit_ready(c, route("a"), STR("kb"), 3, 0);
    struct id one = id_random(), two = id_random();
    struct head h1 = head_of(one), h2 = head_of(two);
    int n = 0;

    credit_hold(a, &h1, false);
    credit_hold(a, &h2, false);
    credit_hold(a, &h2, false); /* delivered twice: held once */
    cr_assert_eq(credit_held(a), 2);
    cr_assert(credit_drop(a, one));
    cr_assert_not(credit_drop(a, one));
    credit_each_held(a, count_held, &n);
    cr_assert_eq(n, 1);
    credit_free(&c);
}

Test(credit, takes_a_second_ready_of_the_same_worker_for_a_new_count)
{
    struct credit *c = credit_new();
    struct worker *a = credit_ready(c, route("a"), STR("kb"), 1, 0);

    credit_take(c, STR("kb"));
    cr_assert_eq(credit_ready(c, route("a"), STR("kb"), 9, 0), a);
    cr_assert_eq(worker_free(a), 9);
    credit_remove(c, a);
    cr_assert_null(credit_find(c, route("a")));
    credit_free(&c);
}
