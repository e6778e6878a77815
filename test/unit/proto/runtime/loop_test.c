#include "proto/runtime/loop.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <unistd.h>

struct seen {
    struct loop *loop;
    char order[16];
    int n;
    struct loop_timer *timer;
    struct loop_watch *watch;
};

static void
add_a(void *arg)
{
    struct seen *s = arg;
    s->order[s->n++] = 'a';
}

static void
add_b(void *arg)
{
    struct seen *s = arg;
    s->order[s->n++] = 'b';
}

Test(loop, fires_timers_in_the_order_of_their_times_and_then_of_their_making)
{
    struct seen s = {.loop = loop_new()};
    loop_timer(s.loop, 5, 0, add_b, &s);
    loop_timer(s.loop, 0, 0, add_a, &s);
    loop_timer(s.loop, 0, 0, add_b, &s);
    for (int64_t end = clock_ms() + 2000; s.n < 3 && clock_ms() < end;) {
        loop_turn(s.loop, 100);
    }
    cr_assert_str_eq(s.order, "abb");
    loop_free(&s.loop);
}

static void
cancel_itself(void *arg)
{
    struct seen *s = arg;
    s->n++;
    loop_cancel(s->loop, &s->timer);
}

Test(loop, lets_a_repeating_timer_cancel_itself)
{
    struct seen s = {.loop = loop_new()};
    s.timer = loop_timer(s.loop, 0, 1, cancel_itself, &s);
    for (int i = 0; i < 5; i++) {
        loop_turn(s.loop, 3);
    }
    cr_assert_eq(s.n, 1);
    cr_assert_null(s.timer);
    loop_free(&s.loop);
}

static void
unwatch_itself(void *arg, int events)
{
    struct seen *s = arg;
    cr_assert(events & LOOP_IN);
    s->n++;
    loop_unwatch(s->loop, &s->watch);
}

Test(loop, calls_a_watch_when_there_is_something_to_read_and_never_after_it_was_taken_away)
{
    struct seen s = {.loop = loop_new()};
    int fds[2];
    cr_assert_eq(pipe(fds), 0);
    s.watch = loop_watch_fd(s.loop, fds[0], LOOP_IN, unwatch_itself, &s);
    loop_turn(s.loop, 0);
    cr_assert_eq(s.n, 0);
    cr_assert_eq(write(fds[1], "xx", 2), 2);
    loop_turn(s.loop, 1000);
    loop_turn(s.loop, 0);
    cr_assert_eq(s.n, 1);
    loop_free(&s.loop);
    close(fds[0]);
    close(fds[1]);
}

static void *
wake(void *arg)
{
    loop_wake(arg);
    return NULL;
}

Test(loop, is_woken_by_another_thread)
{
    struct loop *l = loop_new();
    pthread_t thread;
    int64_t start = clock_ms();

    pthread_create(&thread, NULL, wake, l);
    loop_turn(l, 10000);
    cr_assert_lt(clock_ms() - start, 9000);
    pthread_join(thread, NULL);
    loop_free(&l);
}
