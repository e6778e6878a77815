#include "actors/edge/window.h"

#include <criterion/criterion.h>
#include <stdlib.h>

TestSuite(window, .timeout = 30);

Test(window, stands_where_it_was_opened_while_it_is_empty)
{
    struct window w;

    window_init(&w, 41);
    cr_assert_eq(w.position, 41);
    cr_assert(window_is_empty(&w));
    cr_assert_eq(window_room(&w), WINDOW_CAP);
}

Test(window, moves_only_over_what_is_settled_without_a_gap)
{
    struct window w;
    uint64_t a, b, c;

    window_init(&w, 0);
    a = window_add(&w, 10);
    b = window_add(&w, 17); /* offsets have gaps */
    c = window_add(&w, 18);
    cr_assert_not(window_settle(&w, b));
    cr_assert_eq(w.position, 0);
    cr_assert(window_settle(&w, a));
    cr_assert_eq(w.position, 17);
    cr_assert(window_settle(&w, c));
    cr_assert_eq(w.position, 18);
    cr_assert(window_is_empty(&w));
}

Test(window, settles_once)
{
    struct window w;
    uint64_t a;

    window_init(&w, 0);
    a = window_add(&w, 1);
    window_add(&w, 2);
    cr_assert(window_settle(&w, a));
    cr_assert_not(window_settle(&w, a));
    cr_assert_eq(w.position, 1);
}

Test(window, is_full_at_its_cap_and_one_that_is_stuck_holds_back_the_rest)
{
    struct window w;
    uint64_t first;

    window_init(&w, 0);
    first = window_add(&w, 1);
    for (int64_t i = 2; i <= WINDOW_CAP; i++) {
        window_settle(&w, window_add(&w, i));
    }
    cr_assert_eq(window_room(&w), 0);
    cr_assert_eq(w.position, 0);
    cr_assert(window_settle(&w, first));
    cr_assert_eq(w.position, WINDOW_CAP);
    cr_assert_eq(window_room(&w), WINDOW_CAP);
}

/* The naive model: all offsets ever added, and whether each is settled. */
struct model {
    int64_t offsets[20000];
    bool done[20000];
    size_t n;
};

static int64_t
model_position(const struct model *m)
{
    int64_t position = 0;

    for (size_t i = 0; i < m->n && m->done[i]; i++) {
        position = m->offsets[i];
    }
    return position;
}

Test(window, agrees_with_a_naive_model_over_random_sequences)
{
    struct model *m = calloc(1, sizeof(*m));
    struct window w;
    unsigned seed = 1;

    window_init(&w, 0);
    for (int64_t offset = 0; m->n < 20000;) {
        if (rand_r(&seed) % 5 < 3 && window_room(&w) > 0) {
            offset += 1 + rand_r(&seed) % 3;
            cr_assert_eq(window_add(&w, offset), m->n);
            m->offsets[m->n++] = offset;
        } else if (m->n > 0) {
            /* Near the base, so that it moves; anywhere, so that gaps are made. */
            uint64_t span = rand_r(&seed) % 2 ? 4 : w.next - w.base;
            uint64_t at = w.base + (span ? rand_r(&seed) % span : 0);
            int64_t before = w.position;
            if (at >= w.next) {
                continue;
            }
            m->done[at] = true;
            cr_assert_eq(window_settle(&w, at),
                         m->done[w.base == 0 ? 0 : w.base - 1] && w.position != before);
        }
        if (m->n % 97 == 0) {
            cr_assert_eq(w.position, model_position(m));
        }
    }
    cr_assert_eq(w.position, model_position(m));
    free(m);
}
