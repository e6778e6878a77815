#include "actors/ingress/desk.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

struct sum {
    struct errand errand;
    int a, b, result;
    bool lazy; /* never done by itself */
};

static atomic_int destroyed;
static struct sum *kept; /* a lazy one */

static void
begin(struct errand *e, void *context)
{
    struct sum *s = (struct sum *)e;

    (void)context;
    s->result = s->a + s->b;
    if (s->lazy) {
        kept = s;
    } else {
        errand_done(e, 0);
    }
}

static void
destroy(struct errand *e)
{
    atomic_fetch_add(&destroyed, 1);
    free(e);
}

static struct sum *
sum_new(int a, int b)
{
    struct sum *s = xcalloc(1, sizeof(*s));
    s->errand.begin = begin;
    s->errand.destroy = destroy;
    s->a = a;
    s->b = b;
    return s;
}

static void *
ask_a_hundred(void *arg)
{
    struct desk *d = arg;
    intptr_t right = 0;

    for (int i = 0; i < 100; i++) {
        struct sum *s = sum_new(i, 1);
        right += desk_ask(d, &s->errand, 5000) == 0 && s->result == i + 1;
        errand_release(&s->errand);
    }
    return (void *)right;
}

static void
turn_until(struct loop *l, atomic_int *count, int want)
{
    int64_t end = clock_ms() + 10000;

    while (atomic_load(count) < want && clock_ms() < end) {
        loop_turn(l, 10);
    }
}

Test(desk, serves_errands_of_many_threads)
{
    struct loop *l = loop_new();
    struct desk *d = desk_open(l, NULL, NULL, NULL);
    pthread_t threads[8];
    intptr_t right = 0;
    void *got;

    for (int i = 0; i < 8; i++) {
        pthread_create(&threads[i], NULL, ask_a_hundred, d);
    }
    turn_until(l, &destroyed, 800);
    for (int i = 0; i < 8; i++) {
        pthread_join(threads[i], &got);
        right += (intptr_t)got;
    }
    cr_expect_eq(right, 800);
    cr_expect(desk_idle(d));
    desk_close(d);
    desk_free(&d);
    loop_free(&l);
}

static void *
ask_in_vain(void *arg)
{
    struct sum *s = sum_new(1, 1);
    intptr_t err;

    s->lazy = true;
    err = desk_ask(arg, &s->errand, 50);
    errand_release(&s->errand);
    return (void *)err;
}

Test(desk, leaves_an_errand_to_the_loop_when_its_worker_gives_up)
{
    struct loop *l = loop_new();
    struct desk *d = desk_open(l, NULL, NULL, NULL);
    pthread_t thread;
    void *err;

    pthread_create(&thread, NULL, ask_in_vain, d);
    while (kept == NULL) {
        loop_turn(l, 10);
    }
    pthread_join(thread, &err);
    cr_expect_eq((intptr_t)err, ERR_TIMEOUT);
    cr_expect_eq(atomic_load(&destroyed), 0);
    errand_done(&kept->errand, 0);
    cr_expect_eq(atomic_load(&destroyed), 1);
    desk_close(d);
    desk_free(&d);
    loop_free(&l);
}

static void *
ask_long(void *arg)
{
    struct sum *s = sum_new(1, 1);
    intptr_t err;

    s->lazy = true;
    err = desk_ask(arg, &s->errand, 10000);
    errand_release(&s->errand);
    return (void *)err;
}

Test(desk, tells_those_who_wait_when_it_closes)
{
    struct loop *l = loop_new();
    struct desk *d = desk_open(l, NULL, NULL, NULL);
    int64_t start = clock_ms();
    pthread_t thread;
    void *err;

    pthread_create(&thread, NULL, ask_long, d);
    while (kept == NULL) {
        loop_turn(l, 10);
    }
    desk_close(d);
    pthread_join(thread, &err);
    cr_expect_eq((intptr_t)err, ERR_UNAVAILABLE);
    cr_expect_lt(clock_ms() - start, 5000);
    errand_done(&kept->errand, 0);
    desk_free(&d);
    loop_free(&l);
}

Test(desk, takes_nothing_in_while_it_drains)
{
    struct loop *l = loop_new();
    struct desk *d = desk_open(l, NULL, NULL, NULL);
    struct sum *s = sum_new(1, 2);

    desk_drain(d);
    cr_expect_eq(desk_ask(d, &s->errand, 1000), ERR_UNAVAILABLE);
    errand_release(&s->errand);
    cr_expect_eq(atomic_load(&destroyed), 1);
    desk_free(&d);
    loop_free(&l);
}
