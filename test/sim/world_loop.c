/* What a process asks of its surroundings besides the network and the database: its loop, the
 * clocks, its log, the kernel's word of a process, chance. Each has the name of the
 * real one, which is therefore not linked. */
#include "test/sim/world.h"

#include "proto/clock.h"
#include "proto/mem.h"
#include "proto/runtime/log.h"
#include "proto/runtime/loop.h"

#include <dlfcn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <uuid/uuid.h>

#define HOOKS 8
#define WATCHES 512

struct loop_watch {
    void *socket; /* of net.c, or NULL */
    int fd;
    loop_watch_fn *fn;
    void *arg;
    bool gone;
};

struct loop {
    struct proc *proc;
    struct loop_watch *watches[WATCHES];
    size_t watch_n;
    struct {
        loop_timer_fn *fn;
        void *arg;
    } hooks[HOOKS];
    size_t hook_n;
    bool stopped;
    struct event *waking;
};

struct loop_timer {
    struct loop *loop;
    struct event *event;
    int64_t every_us;
    loop_timer_fn *fn;
    void *arg;
    bool running, cancelled;
    struct loop_timer *next, **self;
};

/* All timers of the run, so that the ones of the dead can be freed. */
static struct loop_timer *timers;

/* --- loop.h --------------------------------------------------------------------------------- */

struct loop *
loop_new(void)
{
    struct loop *l = xcalloc(1, sizeof(*l));

    l->proc = world.current;
    world.current->loop = l;
    return l;
}

static void
timer_free(struct loop_timer *t)
{
    if (t->event != NULL) {
        world_cancel(t->event);
    }
    *t->self = t->next;
    if (t->next != NULL) {
        t->next->self = t->self;
    }
    free(t);
}

void
loop_free(struct loop **l_p)
{
    struct loop *l = *l_p;
    struct loop_timer *t = timers;

    if (l == NULL) {
        return;
    }
    while (t != NULL) {
        struct loop_timer *next = t->next;
        if (t->loop == l) {
            timer_free(t);
        }
        t = next;
    }
    for (size_t i = 0; i < l->watch_n; i++) {
        free(l->watches[i]);
    }
    l->proc->loop = NULL;
    free(l);
    *l_p = NULL;
}

static struct loop_watch *
watch(struct loop *l, void *socket, int fd, loop_watch_fn *fn, void *arg)
{
    struct loop_watch *w = xmalloc(sizeof(*w));

    REPORT_WANT(l->watch_n < WATCHES, "too many watches");
    *w = (struct loop_watch){.socket = socket, .fd = fd, .fn = fn, .arg = arg};
    l->watches[l->watch_n++] = w;
    return w;
}

struct loop_watch *
loop_watch_fd(struct loop *l, int fd, int events, loop_watch_fn *fn, void *arg)
{
    (void)events;
    return watch(l, NULL, fd, fn, arg);
}

struct loop_watch *
loop_watch_zmq(struct loop *l, void *socket, loop_watch_fn *fn, void *arg)
{
    return watch(l, socket, -1, fn, arg);
}

void
loop_unwatch(struct loop *l, struct loop_watch **w_p)
{
    (void)l;
    if (*w_p != NULL) {
        (*w_p)->gone = true;
        *w_p = NULL;
    }
}

static void
timer_over(void *arg)
{
    struct loop_timer *t = arg;

    if (t->every_us == 0) {
        loop_timer_fn *fn = t->fn;
        void *fn_arg = t->arg;
        t->event = NULL;
        timer_free(t);
        fn(fn_arg);
        return;
    }
    t->running = true;
    t->event = world_at(t->every_us, t->loop->proc, timer_over, t);
    t->fn(t->arg);
    t->running = false;
    if (t->cancelled) {
        timer_free(t);
    }
}

struct loop_timer *
loop_timer(struct loop *l, int64_t ms, int64_t every_ms, loop_timer_fn *fn, void *arg)
{
    struct loop_timer *t = xcalloc(1, sizeof(*t));

    *t = (struct loop_timer){.loop = l,
                             .every_us = every_ms * 1000,
                             .fn = fn,
                             .arg = arg,
                             .next = timers,
                             .self = &timers};
    if (timers != NULL) {
        timers->self = &t->next;
    }
    timers = t;
    /* A timer is late by what the machine is busy with, never early. */
    t->event = world_at(ms * 1000 + world_delay(0, 300), l->proc, timer_over, t);
    return t;
}

void
loop_cancel(struct loop *l, struct loop_timer **t_p)
{
    (void)l;
    if (*t_p == NULL) {
        return;
    }
    if ((*t_p)->running) {
        (*t_p)->cancelled = true;
    } else {
        timer_free(*t_p);
    }
    *t_p = NULL;
}

void
loop_at_turn_end(struct loop *l, loop_timer_fn *fn, void *arg)
{
    REPORT_WANT(l->hook_n < HOOKS, "too many hooks");
    l->hooks[l->hook_n].fn = fn;
    l->hooks[l->hook_n++].arg = arg;
}

void
loop_run(struct loop *l)
{
    while (!l->stopped && !l->proc->killed) {
        world_sleep();
    }
}

void
loop_stop(struct loop *l)
{
    l->stopped = true;
}

/* --- turns ---------------------------------------------------------------------------------- */

static void
sweep(struct loop *l)
{
    size_t n = 0;

    for (size_t i = 0; i < l->watch_n; i++) {
        if (l->watches[i]->gone) {
            free(l->watches[i]);
        } else {
            l->watches[n++] = l->watches[i];
        }
    }
    l->watch_n = n;
}

bool
world_turn(struct proc *p)
{
    struct loop *l = p->loop;

    for (size_t i = 0; i < l->watch_n; i++) {
        struct loop_watch *w = l->watches[i];
        if (!w->gone && w->socket != NULL && world_readable(w->socket)) {
            w->fn(w->arg, LOOP_IN);
        }
    }
    for (size_t i = 0; i < l->hook_n; i++) {
        l->hooks[i].fn(l->hooks[i].arg);
    }
    sweep(l);
    for (size_t i = 0; i < l->watch_n; i++) {
        if (l->watches[i]->socket != NULL && world_readable(l->watches[i]->socket)) {
            world_wake(p);
        }
    }
    return l->stopped;
}

static void
woken(void *arg)
{
    struct loop *l = arg;

    l->waking = NULL;
}

/* Not at once: what comes meanwhile is found by the same turn, as a batch. */
void
world_wake(struct proc *p)
{
    if (p->alive && p->loop != NULL && p->loop->waking == NULL) {
        p->loop->waking = world_at(world_delay(20, random_once_in(&world.random, 20) ? 5000 : 300),
                                   p, woken, p->loop);
    }
}

/* --- the kernel ----------------------------------------------------------------------------- */

struct death {
    struct loop *loop;
    int fd;
};

static void
tell_death(void *arg)
{
    struct death *d = arg;

    for (size_t i = 0; i < d->loop->watch_n; i++) {
        struct loop_watch *w = d->loop->watches[i];
        if (!w->gone && w->fd == d->fd) {
            w->fn(w->arg, LOOP_IN);
        }
    }
    free(d);
}

void
world_died(struct proc *p)
{
    for (struct proc *q = world.procs; q != NULL; q = q->next) {
        if (q->alive && q->loop != NULL && q != p) {
            struct death *d = xmalloc(sizeof(*d));
            *d = (struct death){.loop = q->loop, .fd = WORLD_PIDFD + p->pid};
            world_at(world_delay(10, 2000), q, tell_death, d);
        }
    }
}

long
syscall(long number, ...)
{
    static long (*real)(long, ...);
    long a[6];
    va_list args;

    va_start(args, number);
    for (int i = 0; i < 6; i++) {
        a[i] = va_arg(args, long);
    }
    va_end(args);
    if (number == SYS_pidfd_open) {
        for (struct proc *p = world.procs; p != NULL; p = p->next) {
            if (p->pid == (int)a[0] && p->alive) {
                return WORLD_PIDFD + p->pid;
            }
        }
        return -1;
    }
    if (real == NULL) {
        *(void **)&real = dlsym(RTLD_NEXT, "syscall");
    }
    return real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

int64_t
clock_ms(void)
{
    return world.now_us / 1000;
}

int64_t
clock_unix_us(void)
{
    return 1700000000000000 + world.now_us + (world.current ? world.current->clock_step_us : 0);
}

void
uuid_generate_random(uuid_t out)
{
    for (int i = 0; i < 16; i++) {
        out[i] = (unsigned char)random_below(&world.random, 256);
    }
}

/* --- log ------------------------------------------------------------------------------------ */

void
log_init(const char *actor)
{
    (void)actor;
}

static void note(const char *event, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));

static void
note(const char *event, const char *format, va_list args)
{
    char line[120];

    vsnprintf(line, sizeof(line), format, args);
    report_event("%s.%d: %s %s", world.current ? world.current->name : "-",
                 world.current ? world.current->number : 0, event, line);
}

#define LOG(name)                                                                                  \
    void name(const char *event, const char *format, ...)                                          \
    {                                                                                              \
        va_list args;                                                                              \
        va_start(args, format);                                                                    \
        if (world.current == NULL || !world.current->killed) {                                     \
            note(event, format, args);                                                             \
        }                                                                                          \
        va_end(args);                                                                              \
    }
LOG(log_debug)
LOG(log_info)
LOG(log_warn)
LOG(log_error)

void
log_fatal(int exit_code, const char *event, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    note(event, format, args);
    va_end(args);
    report_fail("%s.%d ended itself with %d: %s", world.current ? world.current->name : "-",
                world.current ? world.current->number : 0, exit_code, event);
}

const char *
log_quote(const char *value)
{
    return value;
}

const char *
log_id(struct id id)
{
    static char ring[8][9];
    static int at;
    char *text = ring[at++ % 8];

    for (int i = 0; i < 4; i++) {
        static const char hex[] = "0123456789abcdef";
        text[2 * i] = hex[id.b[i] >> 4];
        text[2 * i + 1] = hex[id.b[i] & 15];
    }
    return text;
}
