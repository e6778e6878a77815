/* world - processes under virtual time, in one thread: the real main() of each runs as a coroutine
 * until its loop sleeps; then the world chooses what happens next. Nothing depends on anything but
 * the seed.
 *
 * What a program of ours gets from outside is made here: its loop (world_loop.c), both clocks, its
 * log, ZeroMQ (net.c), PostgreSQL (store.c).
 */
#ifndef SIM_WORLD_H
#define SIM_WORLD_H

#include "test/sim/random.h"
#include "test/sim/report.h"

#include <stdbool.h>
#include <stdint.h>

struct proc;
struct event;
struct loop;
typedef void event_fn(void *arg);

struct world {
    int64_t now_us;
    struct random random;
    struct proc *procs;     /* all, alive or not */
    struct proc *current;   /* who runs; NULL: the world itself */
    struct proc *last_died; /* for the tests' own eyes */
};
extern struct world world;

/* A process. Kept until the end of the run, so that what is late finds that it is dead. */
struct proc {
    struct proc *next;
    const char *name; /* "edge", "agent" ... */
    int number;       /* 1.. of that name */
    int pid;          /* unique in the run */
    bool alive;
    bool killed;           /* dead by kill -9: nothing that it still does counts */
    int64_t stopped_us;    /* SIGSTOP until then; 0: it runs */
    int64_t clock_step_us; /* what was done to its wall clock */
    bool remote;           /* in another PID namespace: the router can't see whether it lives */
    struct loop *loop;
    void *context; /* of its sockets (net.c) */
    void *stores;  /* its connections (store.c) */
    int (*main)(int argc, char **argv);
    void *data; /* the simulation's own */
    void *stack;
    void *resume; /* ucontext_t */
};

void world_begin(uint64_t seed);
void world_end(void);
/* The next event. False if there is none before `until_us`; then that is the time. */
bool world_step(int64_t until_us);

/* Calls fn after `us`. With `p`: only while p lives, and as p (not while it is stopped). The result
 * is valid until fn is called. */
struct event *world_at(int64_t us, struct proc *p, event_fn *fn, void *arg);
/* Not called any more. */
void world_cancel(struct event *e);
/* Between a and b microseconds. */
int64_t world_delay(int64_t a_us, int64_t b_us);

/* Starts main() as a process, at once, up to its first sleep. */
struct proc *world_start(const char *name, int number, int (*main_fn)(int, char **), void *data,
                         bool remote);
/* kill -9. */
void world_kill(struct proc *p);
void world_stop(struct proc *p, int64_t us);
/* The living process, or NULL. */
struct proc *world_find(const char *name, int number);
/* Something for p's loop: it turns soon. */
void world_wake(struct proc *p);

/* --- world_loop.c, for world.c and net.c --- */
/* What a turn of p's loop does: sockets with something in them, then the ends of the turn. True if
 * the loop was told to stop. */
bool world_turn(struct proc *p);
/* A descriptor that stands for the process `pid`, as pidfd_open(2). */
#define WORLD_PIDFD 100000
/* Tells all loops that watch it. */
void world_died(struct proc *p);
/* Back to the world until there is something to do. False: the loop is over. */
void world_sleep(void);
/* Is it readable (net.c)? */
bool world_readable(void *socket);

#endif
