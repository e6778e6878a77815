#include "test/sim/world.h"

#include "proto/mem.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#define STACK (256 * 1024)

struct event {
    int64_t at_us;
    uint64_t number; /* of equal times the older goes first */
    struct proc *proc;
    event_fn *fn;
    void *arg;
    bool cancelled;
};

struct world world;

static struct {
    struct event **heap;
    size_t n, cap;
    uint64_t number;
    int pids;
    ucontext_t context;
} own;

/* --- the queue of events -------------------------------------------------------------------- */

static bool
before(const struct event *a, const struct event *b)
{
    return a->at_us != b->at_us ? a->at_us < b->at_us : a->number < b->number;
}

static void
push(struct event *e)
{
    size_t i = own.n;

    if (own.n == own.cap) {
        own.cap = own.cap ? 2 * own.cap : 1024;
        own.heap = xrealloc(own.heap, own.cap * sizeof(struct event *));
    }
    own.n++;
    while (i > 0 && before(e, own.heap[(i - 1) / 2])) {
        own.heap[i] = own.heap[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    own.heap[i] = e;
}

static struct event *
pop(void)
{
    struct event *top = own.heap[0], *last = own.heap[--own.n];
    size_t i = 0;

    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= own.n) {
            break;
        }
        if (child + 1 < own.n && before(own.heap[child + 1], own.heap[child])) {
            child++;
        }
        if (!before(own.heap[child], last)) {
            break;
        }
        own.heap[i] = own.heap[child];
        i = child;
    }
    own.heap[i] = last;
    return top;
}

struct event *
world_at(int64_t us, struct proc *p, event_fn *fn, void *arg)
{
    struct event *e = xmalloc(sizeof(*e));

    *e = (struct event){
        .at_us = world.now_us + us, .number = ++own.number, .proc = p, .fn = fn, .arg = arg};
    push(e);
    return e;
}

void
world_cancel(struct event *e)
{
    e->cancelled = true;
}

int64_t
world_delay(int64_t a_us, int64_t b_us)
{
    return a_us + (int64_t)random_below(&world.random, (uint32_t)(b_us - a_us + 1));
}

/* --- processes ------------------------------------------------------------------------------ */

/* Runs p's coroutine until it sleeps or returns. */
static void
resume(struct proc *p)
{
    struct proc *outer = world.current;

    world.current = p;
    swapcontext(&own.context, p->resume);
    world.current = outer;
}

static void
trampoline(void)
{
    struct proc *p = world.current;
    char name[] = "simulated", *argv[] = {name, NULL};

    p->main(1, argv);
    p->alive = false;
    p->loop = NULL;
    swapcontext(p->resume, &own.context);
}

void
world_sleep(void)
{
    swapcontext(world.current->resume, &own.context);
}

/* A socket's name of this run alone: the router locks a file beside it. */
static const char *
place(void)
{
    static char name[120];

    if (name[0] == '\0') {
        const char *dir = getenv("SIM_DIR");
        snprintf(name, sizeof(name), "ipc://%s/router.sock", dir != NULL ? dir : "/tmp");
    }
    return name;
}

/* Our own, which each process has blocked for itself. */
static void
hear_signals(void)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
}

struct proc *
world_start(const char *name, int number, int (*main_fn)(int, char **), void *data, bool remote)
{
    struct proc *p = xcalloc(1, sizeof(*p));
    ucontext_t *context = xcalloc(1, sizeof(*context));

    *p = (struct proc){.next = world.procs,
                       .name = name,
                       .number = number,
                       .pid = ++own.pids,
                       .alive = true,
                       .remote = remote,
                       .main = main_fn,
                       .data = data,
                       .resume = context,
                       .stack = xmalloc(STACK)};
    world.procs = p;
    getcontext(context);
    context->uc_stack.ss_sp = p->stack;
    context->uc_stack.ss_size = STACK;
    makecontext(context, trampoline, 0);
    report_event("%s.%d starts (pid %d)", name, number, p->pid);
    setenv("FTE_ROUTER", place(), 1);
    resume(p);
    hear_signals();
    return p;
}

/* Its main() has returned or is to: lets it free what it has. */
static void
bury(struct proc *p)
{
    if (p->loop != NULL) {
        resume(p);
    }
    REPORT_WANT(p->loop == NULL, "%s.%d does not end", p->name, p->number);
    p->alive = false;
    free(p->stack);
    free(p->resume);
    p->stack = p->resume = NULL;
    world_died(p);
}

void
world_kill(struct proc *p)
{
    report_event("kill -9 %s.%d (pid %d)", p->name, p->number, p->pid);
    p->killed = true;
    bury(p);
}

void
world_stop(struct proc *p, int64_t us)
{
    report_event("stop %s.%d for %d ms", p->name, p->number, (int)(us / 1000));
    p->stopped_us = world.now_us + us;
}

struct proc *
world_find(const char *name, int number)
{
    for (struct proc *p = world.procs; p != NULL; p = p->next) {
        if (p->alive && p->number == number && strcmp(p->name, name) == 0) {
            return p;
        }
    }
    return NULL;
}

/* --- time ----------------------------------------------------------------------------------- */

void
world_begin(uint64_t seed)
{
    /* Far from zero: what was never set must not look like a moment ago. */
    world = (struct world){.now_us = 1000000000, .random = {.state = seed}};
    own.number = 0;
    own.pids = 0;
}

void
world_end(void)
{
    for (struct proc *p = world.procs; p != NULL; p = p->next) {
        if (p->alive) {
            p->killed = true;
            bury(p);
        }
    }
    while (own.n > 0) {
        free(pop());
    }
    while (world.procs != NULL) {
        struct proc *p = world.procs;
        world.procs = p->next;
        free(p);
    }
}

/* As the process that it belongs to. */
static void
happen(struct event *e)
{
    struct proc *p = e->proc;

    if (p == NULL) {
        e->fn(e->arg);
        return;
    }
    world.current = p;
    e->fn(e->arg);
    if (world_turn(p)) {
        report_event("%s.%d ends", p->name, p->number);
        world.current = NULL;
        bury(p);
    }
    world.current = NULL;
}

bool
world_step(int64_t until_us)
{
    while (own.n > 0 && own.heap[0]->at_us <= until_us) {
        struct event *e = pop();
        world.now_us = e->at_us > world.now_us ? e->at_us : world.now_us;
        if (e->cancelled || (e->proc != NULL && !e->proc->alive)) {
            free(e);
            continue;
        }
        if (e->proc != NULL && e->proc->stopped_us > world.now_us) {
            e->at_us = e->proc->stopped_us;
            push(e);
            continue;
        }
        report_step();
        happen(e);
        free(e);
        return true;
    }
    world.now_us = until_us;
    return false;
}
