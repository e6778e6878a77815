#include "proto/runtime/loop.h"

#include "proto/buf.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <zmq.h>

#define MAX_HOOKS 8

struct loop_watch {
    int fd;
    void *socket;
    int events;
    loop_watch_fn *fn;
    void *arg;
    bool dead; /* freed at the end of the turn: its callback may be running */
};

struct loop_timer {
    int64_t at_ms;
    int64_t every_ms;
    uint64_t order; /* equal times fire in the order of their making */
    size_t place;   /* in the heap */
    loop_timer_fn *fn;
    void *arg;
};

struct loop {
    struct loop_watch **watches;
    zmq_pollitem_t *items; /* as many as watches; rebuilt when `changed` */
    size_t n, cap;
    bool changed;
    struct loop_timer **heap;
    size_t timers, timer_cap;
    uint64_t order;
    struct loop_timer *firing; /* whose function runs now */
    struct {
        loop_timer_fn *fn;
        void *arg;
    } hooks[MAX_HOOKS];
    int hook_n;
    int wake_fd;
    bool stopped;
};

static void
drain_wake(void *arg, int events)
{
    struct loop *l = arg;
    uint64_t n;
    ssize_t got = read(l->wake_fd, &n, sizeof(n));
    (void)got;
    (void)events;
}

struct loop *
loop_new(void)
{
    struct loop *l = xcalloc(1, sizeof(*l));
    l->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    assert(l->wake_fd >= 0);
    loop_watch_fd(l, l->wake_fd, LOOP_IN, drain_wake, l);
    return l;
}

void
loop_free(struct loop **l_p)
{
    struct loop *l = *l_p;
    if (l == NULL) {
        return;
    }
    for (size_t i = 0; i < l->n; i++) {
        free(l->watches[i]);
    }
    for (size_t i = 0; i < l->timers; i++) {
        free(l->heap[i]);
    }
    close(l->wake_fd);
    free(l->watches);
    free(l->items);
    free(l->heap);
    free(l);
    *l_p = NULL;
}

/* --- watches -------------------------------------------------------------------------------- */

static struct loop_watch *
add_watch(struct loop *l, struct loop_watch w)
{
    struct loop_watch *copy = xmalloc(sizeof(*copy));

    *copy = w;
    if (l->n == l->cap) {
        l->cap = l->cap ? l->cap * 2 : 8;
        l->watches = xrealloc(l->watches, l->cap * sizeof(*l->watches));
        l->items = xrealloc(l->items, l->cap * sizeof(*l->items));
    }
    l->watches[l->n++] = copy;
    l->changed = true;
    return copy;
}

struct loop_watch *
loop_watch_fd(struct loop *l, int fd, int events, loop_watch_fn *fn, void *arg)
{
    return add_watch(l, (struct loop_watch){.fd = fd, .events = events, .fn = fn, .arg = arg});
}

struct loop_watch *
loop_watch_zmq(struct loop *l, void *socket, loop_watch_fn *fn, void *arg)
{
    return add_watch(
        l, (struct loop_watch){.socket = socket, .events = LOOP_IN, .fn = fn, .arg = arg});
}

void
loop_watch_events(struct loop_watch *w, int events)
{
    w->events = events;
}

void
loop_unwatch(struct loop *l, struct loop_watch **w_p)
{
    if (*w_p != NULL) {
        (*w_p)->dead = true;
        l->changed = true;
        *w_p = NULL;
    }
}

static void
sweep_watches(struct loop *l)
{
    size_t kept = 0;

    if (!l->changed) {
        return;
    }
    for (size_t i = 0; i < l->n; i++) {
        if (l->watches[i]->dead) {
            free(l->watches[i]);
        } else {
            l->watches[kept++] = l->watches[i];
        }
    }
    l->n = kept;
    l->changed = false;
}

/* --- timers: a binary heap ------------------------------------------------------------------ */

static bool
earlier(const struct loop_timer *a, const struct loop_timer *b)
{
    return a->at_ms != b->at_ms ? a->at_ms < b->at_ms : a->order < b->order;
}

static void
place(struct loop *l, size_t i, struct loop_timer *t)
{
    l->heap[i] = t;
    t->place = i;
}

static void
sift(struct loop *l, size_t i)
{
    struct loop_timer *t = l->heap[i];

    while (i > 0 && earlier(t, l->heap[(i - 1) / 2])) {
        place(l, i, l->heap[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
    for (;;) {
        size_t child = 2 * i + 1;
        if (child + 1 < l->timers && earlier(l->heap[child + 1], l->heap[child])) {
            child++;
        }
        if (child >= l->timers || !earlier(l->heap[child], t)) {
            break;
        }
        place(l, i, l->heap[child]);
        i = child;
    }
    place(l, i, t);
}

static void
push_timer(struct loop *l, struct loop_timer *t)
{
    if (l->timers == l->timer_cap) {
        l->timer_cap = l->timer_cap ? l->timer_cap * 2 : 16;
        l->heap = xrealloc(l->heap, l->timer_cap * sizeof(struct loop_timer *));
    }
    t->order = l->order++;
    place(l, l->timers++, t);
    sift(l, t->place);
}

static void
remove_timer(struct loop *l, struct loop_timer *t)
{
    size_t i = t->place;

    l->timers--;
    if (i != l->timers) {
        place(l, i, l->heap[l->timers]);
        sift(l, i);
    }
}

struct loop_timer *
loop_timer(struct loop *l, int64_t ms, int64_t every_ms, loop_timer_fn *fn, void *arg)
{
    struct loop_timer *t = xmalloc(sizeof(*t));

    *t = (struct loop_timer){
        .at_ms = clock_ms() + (ms > 0 ? ms : 0), .every_ms = every_ms, .fn = fn, .arg = arg};
    push_timer(l, t);
    return t;
}

void
loop_cancel(struct loop *l, struct loop_timer **t_p)
{
    struct loop_timer *t = *t_p;

    if (t == NULL) {
        return;
    }
    if (l->firing == t) {
        l->firing = NULL; /* a repeating timer cancels itself: fire_timers() frees it */
    } else {
        remove_timer(l, t);
        free(t);
    }
    *t_p = NULL;
}

static void
fire_timers(struct loop *l)
{
    int64_t now = clock_ms();
    uint64_t newest = l->order;

    /* Timers that are made while firing wait for the next turn. */
    while (l->timers > 0 && l->heap[0]->at_ms <= now && l->heap[0]->order < newest) {
        struct loop_timer *t = l->heap[0];
        remove_timer(l, t);
        if (t->every_ms <= 0) {
            loop_timer_fn *fn = t->fn;
            void *arg = t->arg;
            free(t);
            fn(arg);
            continue;
        }
        l->firing = t;
        t->fn(t->arg);
        if (l->firing == t) {
            t->at_ms = now + t->every_ms;
            push_timer(l, t);
        } else {
            free(t);
        }
        l->firing = NULL;
    }
}

/* --- turning -------------------------------------------------------------------------------- */

void
loop_at_turn_end(struct loop *l, loop_timer_fn *fn, void *arg)
{
    assert(l->hook_n < MAX_HOOKS);
    l->hooks[l->hook_n].fn = fn;
    l->hooks[l->hook_n++].arg = arg;
}

static long
sleep_ms(const struct loop *l, int64_t max_ms)
{
    int64_t ms = max_ms;

    if (l->timers > 0) {
        int64_t left = l->heap[0]->at_ms - clock_ms();
        left = left < 0 ? 0 : left;
        ms = ms < 0 || left < ms ? left : ms;
    }
    return (long)ms;
}

static void
call_watches(struct loop *l, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct loop_watch *w = l->watches[i];
        short got = l->items[i].revents;
        int events = 0;
        if (got & ZMQ_POLLIN) {
            events |= LOOP_IN;
        }
        if (got & ZMQ_POLLOUT) {
            events |= LOOP_OUT;
        }
        if (got & ZMQ_POLLERR) {
            events |= LOOP_IN | LOOP_OUT;
        }
        if (events != 0 && !w->dead) {
            w->fn(w->arg, events);
        }
    }
}

void
loop_turn(struct loop *l, int64_t max_ms)
{
    size_t n;
    int ready;

    sweep_watches(l);
    n = l->n;
    for (size_t i = 0; i < n; i++) {
        struct loop_watch *w = l->watches[i];
        l->items[i] = (zmq_pollitem_t){.socket = w->socket, .fd = w->fd};
        l->items[i].events = (short)((w->events & LOOP_IN ? ZMQ_POLLIN : 0) |
                                     (w->events & LOOP_OUT ? ZMQ_POLLOUT : 0));
    }
    ready = zmq_poll(l->items, (int)n, sleep_ms(l, max_ms));
    if (ready > 0) {
        call_watches(l, n);
    } else if (ready < 0) {
        assert(errno == EINTR);
    }
    fire_timers(l);
    for (int i = 0; i < l->hook_n; i++) {
        l->hooks[i].fn(l->hooks[i].arg);
    }
}

void
loop_run(struct loop *l)
{
    while (!l->stopped) {
        loop_turn(l, -1);
    }
}

void
loop_stop(struct loop *l)
{
    l->stopped = true;
}

void
loop_wake(struct loop *l)
{
    uint64_t one = 1;
    ssize_t put = write(l->wake_fd, &one, sizeof(one));
    (void)put;
}
