/* pipeline - clients, ingress's questions, two edges with their log in a model of PostgreSQL, the
 * router, and two workers of each stage, for a quarter of an hour of their time, while everything
 * that can go wrong does. Edge, router and runtime are the real ones. */
#include "test/sim/sim.h"

#include "proto/head.h"
#include "test/sim/cast.h"
#include "test/sim/facts.h"
#include "test/sim/monitor.h"

#include <stdlib.h>
#include <string.h>

#define SETTLE_US 600000000 /* after the last fault everything is done in this time */
#define RESTART_MAX_US 300000
#define SETTLED_MIN 50 /* messages of a run */

enum kind {
    KIND_KILL,
    KIND_KILL_EDGE,
    KIND_KILL_ROUTER,
    KIND_STOP,
    KIND_STOP_EDGE, /* longer than its lease */
    KIND_CUT,
    KIND_CUT_DATABASE,
    KIND_DATABASE_AWAY,
    KIND_DRAIN,
    KIND_CLOCK,
    KINDS
};

static bool calm;      /* no more faults */
static uint32_t kinds; /* bits of those of this run */
static int64_t gap_us; /* between two faults, at most */
static int deaths, faults;

/* --- the supervisor's part ------------------------------------------------------------------ */

static void start(const char *name, int number);

struct restart {
    const char *name;
    int number;
};

static void
restart(void *arg)
{
    struct restart *r = arg;

    start(r->name, r->number);
    free(r);
}

static void
restart_later(const struct proc *p)
{
    struct restart *r = malloc(sizeof(*r));

    *r = (struct restart){p->name, p->number};
    world_at(world_delay(8000, random_once_in(&world.random, 4) ? RESTART_MAX_US : 20000), NULL,
             restart, r);
}

static void
start(const char *name, int number)
{
    const struct cast_role *role = cast_roles;
    bool remote = number == 2; /* the second of each can't be seen by the router */

    if (strcmp(name, "router") == 0) {
        monitor_router_started();
        world_start("router", number, router_main, NULL, false);
    } else if (strcmp(name, "edge") == 0) {
        world_start("edge", number, edge_main, NULL, remote);
    } else if (strcmp(name, "client") == 0) {
        world_start("client", number, cast_client_main, NULL, remote);
    } else {
        while (strcmp(role->name, name) != 0) {
            role++;
        }
        world_start(role->name, number, cast_stage_main, (void *)(uintptr_t)role, remote);
    }
}

static void
kill_and_restart(struct proc *p)
{
    deaths++;
    world_kill(p);
    restart_later(p);
}

/* Those that have ended by themselves. */
static void
revive(void)
{
    static const char *const names[] = {"router", "edge",   "client",   "identity",
                                        "agent",  "sender", "escalator"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        for (int n = 1; n <= (i == 0 ? 1 : 2); n++) {
            struct proc *last = NULL;
            for (struct proc *p = world.procs; p != NULL && last == NULL; p = p->next) {
                last = p->number == n && strcmp(p->name, names[i]) == 0 ? p : NULL;
            }
            if (last == NULL || (!last->alive && !last->killed)) {
                start(names[i], n);
            }
        }
    }
}

/* --- faults --------------------------------------------------------------------------------- */

static struct proc *
somebody(void)
{
    struct proc *p;
    uint32_t n = 0;

    for (p = world.procs; p != NULL; p = p->next) {
        n += p->alive;
    }
    n = n > 0 ? random_below(&world.random, n) : 0;
    for (p = world.procs; p != NULL; p = p->next) {
        if (p->alive && n-- == 0) {
            return p;
        }
    }
    return NULL;
}

static void
drain(struct proc *p)
{
    struct buf b = {0};

    if (strcmp(p->name, "router") == 0) {
        return;
    }
    report_event("drain %s.%d", p->name, p->number);
    head_encode(&(struct head){.type = HEAD_DRAIN}, &b);
    net_say(p, buf_str(&b));
    buf_fini(&b);
}

static void
stop(struct proc *p, int64_t us)
{
    world_stop(p, us);
    monitor_stopped(p, us);
}

static void
cut(struct proc *p)
{
    net_cut(p);
    monitor_stopped(p, 0);
}

static void
replay_one(void)
{
    int from = 1 + (int)random_below(&world.random, (uint32_t)facts.n + 1);

    for (int i = from; i <= facts.n; i++) {
        if (facts.messages[i].unit_outcome == OUTCOME_DEAD && !facts.messages[i].replayed) {
            monitor_replayed(i);
            facts_replay(i);
            return;
        }
    }
}

/* Of the kinds of faults some are missing in each run, so that the others come to their full
 * effect. */
static void
fault(struct proc *p, enum kind kind)
{
    switch (kind) {
    case KIND_KILL:
        kill_and_restart(p);
        break;
    case KIND_KILL_EDGE:
    case KIND_KILL_ROUTER:
        p = kind == KIND_KILL_ROUTER ? world_find("router", 1)
                                     : world_find("edge", 1 + (int)random_below(&world.random, 2));
        if (p != NULL) {
            kill_and_restart(p);
        }
        break;
    case KIND_STOP:
        stop(p, world_delay(1000, random_once_in(&world.random, 3) ? 15000000 : 2000000));
        break;
    case KIND_STOP_EDGE:
        p = world_find("edge", 1 + (int)random_below(&world.random, 2));
        if (p != NULL) {
            stop(p, world_delay(5000000, 12000000));
        }
        break;
    case KIND_CUT:
        cut(p);
        break;
    case KIND_CUT_DATABASE:
        store_cut(p);
        break;
    case KIND_DATABASE_AWAY:
        store_stop(world_delay(100000, 3000000));
        break;
    case KIND_DRAIN:
        drain(p);
        break;
    case KIND_CLOCK:
        p->clock_step_us += world_delay(-1800000000, 1800000000);
        break;
    case KINDS:
        break;
    }
}

static void
trouble(void *arg)
{
    enum kind kind = (enum kind)random_below(&world.random, KINDS);
    struct proc *p = somebody();

    (void)arg;
    revive();
    if (!calm && p != NULL && (kinds & 1U << kind)) {
        faults++;
        fault(p, kind);
    }
    world_at(world_delay(10000, calm ? 1000000 : gap_us), NULL, trouble, NULL);
}

/* What people do. */
static void
person(void *arg)
{
    (void)arg;
    facts.keys[random_below(&world.random, FACTS_KEYS)].human = false;
    if (!calm && random_once_in(&world.random, 20)) {
        replay_one();
    }
    world_at(world_delay(1000, 100000), NULL, person, NULL);
}

/* --- what the judge is told ----------------------------------------------------------------- */

static bool
bury(struct proc *edge, struct id unit, const struct id *messages, size_t n, unsigned attempts,
     bool *ret_has_outcome)
{
    int number = facts_number(unit), numbers[64];
    enum outcome is = facts.messages[number].unit_outcome;

    monitor_buried(edge, number, attempts);
    *ret_has_outcome = is == OUTCOME_REPLY || is == OUTCOME_ESCALATION;
    if (is != OUTCOME_NONE) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        numbers[i] = facts_number(messages[i]);
    }
    facts_outcome(OUTCOME_DEAD, number, numbers, n);
    return true;
}

static const struct store_eyes store_watch = {.appended = facts_appended,
                                              .position = facts_position,
                                              .claimed = monitor_claimed,
                                              .bury = bury};

/* --- a run ---------------------------------------------------------------------------------- */

static void
begin(uint64_t seed)
{
    report_begin("pipeline", seed);
    world_begin(seed);
    facts_begin();
    monitor_begin();
    net_begin(&monitor_eyes);
    store_begin();
    store_log_begin(&store_watch);
    cast_kill = kill_and_restart;
    cast_writing = true;
    calm = false;
    kinds = (uint32_t)random_u64(&world.random) | (uint32_t)random_u64(&world.random);
    gap_us = random_once_in(&world.random, 3) ? 100000 : 900000;
    deaths = faults = 0;
    revive();
    world_at(0, NULL, trouble, NULL);
    world_at(0, NULL, person, NULL);
}

static void
end(void)
{
    world_end();
    net_end();
    store_end();
    store_log_end();
    monitor_end();
    facts_end();
}

/* One worker of each stage is enough, whichever it is. */
static void
leave_one_of_each(void)
{
    int which = 1 + (int)random_below(&world.random, 2);

    for (const struct cast_role *role = cast_roles; role->name != NULL; role++) {
        struct proc *p = world_find(role->name, which);
        if (p != NULL && world_find(role->name, 3 - which) != NULL) {
            world_kill(p);
        }
    }
}

/* After the last fault all must be done; how it looks is asked now and then. */
static void
settle(void)
{
    int64_t until = world.now_us + SETTLE_US;
    const char *left = "";

    calm = true;
    for (struct proc *p = world.procs; p != NULL; p = p->next) {
        p->stopped_us = 0;
    }
    monitor_continued();
    leave_one_of_each();
    for (int64_t quiet = world.now_us + 3000000; world_step(quiet);) {
    }
    /* Where trouble without an end let nothing be written, now it must be possible. */
    while (facts.settled <= SETTLED_MIN && world.now_us < until) {
        world_step(until);
    }
    cast_writing = false;
    do {
        int64_t next = world.now_us + 1000000;
        while (world_step(next)) {
        }
        left = facts_unfinished();
    } while (left != NULL && world.now_us < until);
    REPORT_WANT(left == NULL, "no progress: %s", left);
}

uint64_t
pipeline_run(uint64_t seed, struct sim_counts *counts)
{
    uint64_t steps;

    begin(seed);
    while (report_steps() < SIM_RUN_STEPS && facts.n + 20 < FACTS_MESSAGES) {
        world_step(INT64_MAX);
    }
    settle();
    steps = report_steps();
    /* What does nothing does nothing wrong. */
    REPORT_WANT(facts.replies > 0 && facts.settled > SETTLED_MIN, "only %d messages were settled",
                facts.settled);
    counts->messages += (uint64_t)facts.settled;
    counts->replies += (uint64_t)facts.replies;
    counts->escalations += (uint64_t)facts.escalations;
    counts->dead += (uint64_t)facts.dead;
    counts->replays += (uint64_t)facts.replays;
    counts->deaths += (uint64_t)deaths;
    counts->faults += (uint64_t)faults;
    counts->redelivered += monitor_counted().redelivered;
    counts->busy += monitor_counted().busy;
    counts->lost += monitor_counted().lost;
    counts->deadlines += (uint64_t)monitor_deadlines();
    end();
    return steps;
}
