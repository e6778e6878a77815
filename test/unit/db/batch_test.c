#include "db/batch.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static struct id
key_of(const struct unit *u)
{
    struct id id = {{0}};

    memcpy(id.b, u->data, 1);
    return id;
}

/* The rounds of units with these keys, as "abc|a": a digit behind a key tells which of its units.
 */
static void
rounds(const char *keys, char *ret)
{
    struct unit units[ACTOR_BATCH_MAX], *list[ACTOR_BATCH_MAX];
    size_t n = strlen(keys), done = 0;

    for (size_t i = 0; i < n; i++) {
        units[i] = (struct unit){.data = (void *)&keys[i]};
        list[i] = &units[i];
    }
    while (done < n) {
        size_t round = batch_round(list + done, n - done, key_of);
        cr_assert_gt(round, 0);
        for (size_t i = 0; i < round; i++) {
            const char *at = list[done + i]->data;
            int before = 0;
            for (const char *p = keys; p < at; p++) {
                before += *p == *at;
            }
            ret += sprintf(ret, "%c%d", *at, before);
        }
        done += round;
        ret += sprintf(ret, "%s", done < n ? "|" : "");
    }
    *ret = '\0';
}

Test(batch, has_each_customer_once_a_round_sorted_and_in_the_order_of_arrival)
{
    static const struct {
        const char *keys, *rounds;
    } rows[] = {
        {"", ""},
        {"a", "a0"},
        {"cab", "a0b0c0"},
        {"aaa", "a0|a1|a2"},
        {"bab", "a0b0|b1"},
        {"cbacba", "a0b0c0|a1b1c1"},
        {"abababab", "a0b0|a1b1|a2b2|a3b3"},
        {"zyxwvutsrqponmlkjihgfedcbaZYXWVU",
         "U0V0W0X0Y0Z0a0b0c0d0e0f0g0h0i0j0k0l0m0n0o0p0q0r0s0t0u0v0w0x0y0z0"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char got[256] = "";
        rounds(rows[i].keys, got);
        cr_assert_str_eq(got, rows[i].rounds);
    }
}

Test(batch, gives_each_unit_out_once_so_that_a_settled_one_is_never_looked_at_again)
{
    struct unit a = {.head.id = id_random()}, b = {.head.id = id_random()};
    struct unit *units[] = {&a, &b};

    cr_assert_eq(batch_take(units, 2, b.head.id), &b);
    cr_assert_null(units[1], "the sender and the ticketer read it when it was freed");
    cr_assert_eq(batch_take(units, 2, a.head.id), &a);
    cr_assert_null(batch_take(units, 2, a.head.id));
}
