/* The supervisor's tree (tree.c, tree_workers.c, strategy.c, intensity.c) over processes that
 * start, say READY, hang, end and ignore signals as they like. A process here is a few numbers:
 * child.h is done once more below, without fork(). */
#include "test/sim/sim.h"

#include "supervisor/strategy.h"
#include "supervisor/tree.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#define STEPS 5000
#define ROWS 6
#define PROCESSES 100000

struct process {
    const struct child *child;
    size_t row;
    int64_t started_ms;
    int64_t ready_ms, end_ms; /* when it will; INT64_MAX: never */
    int status;
    bool alive, said, mute; /* mute: says nothing any more, hangs */
    bool stopping;          /* we were told that it has to go */
};

static struct {
    struct random random;
    struct tree tree;
    struct spec spec;
    struct child_spec rows[ROWS];
    char names[ROWS][8];
    struct process *all;
    int n; /* pids are 1.. */
    int64_t now;
    bool calm;
    int quick[ROWS * SPEC_WORKERS_MAX]; /* quick_of() */
    int dead_row;                       /* whose death may take others along; -1: none */
    bool wish;                          /* somebody wants to stop or to restart children */
} sim;

/* Deaths of this worker in a row, none of them after a second of work. */
static int *
quick_of(const struct child *c)
{
    return &sim.quick[c->row * SPEC_WORKERS_MAX + c->instance % SPEC_WORKERS_MAX];
}

/* --- child.h, without processes ------------------------------------------------------------- */

struct child *
child_new(const struct child_spec *spec, size_t row, unsigned instance)
{
    struct child *c = calloc(1, sizeof(*c));

    c->spec = spec;
    c->row = row;
    c->instance = instance;
    c->pidfd = c->lifeline = c->log.fd = -1;
    *quick_of(c) = 0;
    return c;
}

void
child_free(struct child **c_p)
{
    free(*c_p);
    *c_p = NULL;
}

static int64_t
in(int64_t ms)
{
    return sim.now + ms;
}

/* Nobody who comes before it and is to come with it is still on its way out. */
static void
want_in_turn(const struct child *c)
{
    for (size_t i = 0; c->in_turn && i < sim.tree.n; i++) {
        const struct child *other = sim.tree.children[i];
        REPORT_WANT(other->pid == 0 || !sim.all[other->pid].stopping,
                    "%s is started while %s has yet to end", c->name, other->name);
        REPORT_WANT(other->row >= c->row || other->state != CHILD_WAITING || !other->in_turn,
                    "%s is started before %s", c->name, other->name);
    }
}

static void
choose_life(struct process *p)
{
    uint32_t fate = random_below(&sim.random, 12);

    if (fate < 2) { /* soon */
        p->end_ms = in(random_below(&sim.random, 900));
    } else if (fate == 2) {
        p->end_ms = in(random_below(&sim.random, 60000));
    }
    p->mute = fate == 3;
    p->ready_ms += fate == 4 ? 3000 : 0;
    fate = random_below(&sim.random, 40);
    p->status = fate == 0 ? EX_CONFIG << 8 : fate < 14 ? 0 : SIGSEGV;
}

bool
child_start(struct child *c, const char *bin_dir, int64_t now_ms)
{
    struct process *p = &sim.all[++sim.n];

    (void)bin_dir;
    REPORT_WANT(sim.n < PROCESSES - 1, "too many starts");
    REPORT_WANT(c->pid == 0, "%s is started twice", c->name);
    REPORT_WANT(!sim.tree.draining, "%s is started while all is to end", c->name);
    want_in_turn(c);
    *p = (struct process){.child = c,
                          .row = c->row,
                          .started_ms = now_ms,
                          .ready_ms = in(5 + random_below(&sim.random, 40)),
                          .end_ms = INT64_MAX,
                          .alive = true};
    if (!sim.calm) {
        choose_life(p);
    }
    c->pid = sim.n;
    c->state = CHILD_STARTING;
    c->goal = GOAL_RUN;
    c->was_ready = false;
    c->started_ms = c->heard_ms = now_ms;
    c->restarts += c->starts > 0;
    c->starts++;
    report_event("%lld: %s starts (pid %d)", (long long)now_ms, c->name, sim.n);
    return true;
}

/* Why is it told to go? And is it its turn: those after it in the table first. */
static void
want_reason(const struct child *c)
{
    bool by_strategy = sim.dead_row >= 0 && (int)c->row != sim.dead_row &&
                       (sim.spec.strategy == STRATEGY_ONE_FOR_ALL ||
                        (sim.spec.strategy == STRATEGY_REST_FOR_ONE && (int)c->row > sim.dead_row));

    REPORT_WANT(sim.all[c->pid].stopping || by_strategy || sim.wish || sim.tree.draining,
                "%s is stopped, and nothing asks for it", c->name);
    for (size_t i = 0; i < sim.tree.n; i++) {
        const struct child *other = sim.tree.children[i];
        REPORT_WANT(other->row <= c->row || other->pid == 0 || !sim.all[other->pid].stopping,
                    "%s is stopped before %s, which comes later in the table", c->name,
                    other->name);
    }
}

void
child_signal(struct child *c, int sig)
{
    struct process *p = &sim.all[c->pid];

    report_event("%lld: signal %d to %s (pid %d)", (long long)sim.now, sig, c->name, (int)c->pid);
    REPORT_WANT(p->alive, "a signal for a process that is gone");
    if (sig == SIGKILL) {
        p->end_ms = in(1);
        p->status = SIGKILL;
    } else if (sig == SIGABRT) {
        REPORT_WANT(p->mute || sim.now - c->heard_ms >= CHILD_SILENCE_MS, "%s isn't hung", c->name);
        p->end_ms = random_once_in(&sim.random, 3) ? p->end_ms : in(100);
        p->status = SIGABRT;
    } else {
        want_reason(c);
        p->stopping = true;
        if (!random_once_in(&sim.random, 6)) { /* some don't listen */
            p->end_ms = in(random_below(&sim.random, 300));
            p->status = 0;
        }
    }
}

bool
child_reap(struct child *c, struct relay *relay, int64_t now_ms, int *ret_status)
{
    struct process *p = &sim.all[c->pid];

    (void)relay;
    (void)now_ms;
    REPORT_WANT(!p->alive, "reaped alive");
    *ret_status = p->status;
    c->pid = 0;
    return true;
}

const char *
child_state_str(const struct child *c)
{
    (void)c;
    return "";
}

void
relay_note(struct relay *r, const char *level, const char *event, const char *format, ...)
{
    (void)r;
    (void)level;
    (void)event;
    (void)format;
}

/* --- the table ------------------------------------------------------------------------------ */

static void
make_spec(void)
{
    sim.spec = (struct spec){.strategy = (enum spec_strategy)random_below(&sim.random, 3),
                             .limits = {.crashes = 5,
                                        .period_ms = 60000,
                                        .backoff_min_ms = 100,
                                        .backoff_max_ms = 5000,
                                        .reset_ms = 1000,
                                        .retry_ms = 30000},
                             .children = sim.rows,
                             .n = 2 + random_below(&sim.random, ROWS - 1)};
    for (size_t i = 0; i < sim.spec.n; i++) {
        snprintf(sim.names[i], sizeof(sim.names[i]), "c%zu", i);
        sim.rows[i] = (struct child_spec){
            .name = sim.names[i],
            .restart = random_once_in(&sim.random, 4)
                           ? (enum spec_restart)(1 + random_below(&sim.random, 2))
                           : RESTART_PERMANENT,
            .shutdown_ms =
                random_once_in(&sim.random, 6) ? 0 : 200 + random_below(&sim.random, 800),
            .workers = random_below(&sim.random, 4)};
    }
}

/* --- what OTP's rule says of an end --------------------------------------------------------- */

/* Who must have been told to go, or must wait, after this end by itself. */
static void
want_taken_along(size_t dead, int64_t died_ms)
{
    for (size_t i = 0; i < sim.tree.n; i++) {
        const struct child *c = sim.tree.children[i];
        bool along =
            c->row != dead && (sim.spec.strategy == STRATEGY_ONE_FOR_ALL ||
                               (sim.spec.strategy == STRATEGY_REST_FOR_ONE && c->row > dead));
        if (c->pid == 0 || sim.all[c->pid].started_ms > died_ms) {
            continue;
        }
        REPORT_WANT(!along || c->goal != GOAL_RUN, "%s stays, though row %zu is restarted", c->name,
                    dead);
    }
}

static void
want_after(const struct child *c, int status)
{
    bool config = status == EX_CONFIG << 8;
    enum spec_restart restart = c->spec->restart;

    if (config) {
        REPORT_WANT(c->state == CHILD_MISCONFIGURED, "%s exited 78 and is tried again", c->name);
    } else if (restart == RESTART_PERMANENT || (restart == RESTART_TRANSIENT && status != 0)) {
        REPORT_WANT(c->state == CHILD_WAITING, "%s isn't restarted", c->name);
        want_taken_along(c->row, sim.now);
    } else {
        REPORT_WANT(c->state == CHILD_ENDED, "%s is restarted", c->name);
    }
}

/* The sixth quick death within a minute is the last of its kind: it then waits half a minute. */
static void
want_no_busy_loop(const struct child *c, const struct process *p)
{
    int *quick = quick_of(c);
    bool worked = p->said && sim.now - p->ready_ms >= sim.spec.limits.reset_ms;

    *quick = worked ? 1 : *quick + 1;
    REPORT_WANT(c->state != CHILD_WAITING || *quick <= 1 || c->start_at_ms > sim.now,
                "%s is started again at once after %d quick deaths", c->name, *quick);
    REPORT_WANT(!c->intensity.degraded || c->start_at_ms - sim.now >= 22500 ||
                    c->state != CHILD_WAITING,
                "%s is degraded and tried again after %lld ms", c->name,
                (long long)(c->start_at_ms - sim.now));
}

/* --- time ----------------------------------------------------------------------------------- */

static void
end_of(struct process *p)
{
    struct child *c = tree_find(&sim.tree, (pid_t)(p - sim.all));
    bool asked, removed;
    int status = p->status;

    p->alive = false;
    REPORT_WANT(c != NULL, "nobody's process");
    asked = c->goal != GOAL_RUN;
    removed = c->goal == GOAL_REMOVE;
    report_event("%lld: %s ends with %x%s", (long long)sim.now, c->name, (unsigned)status,
                 asked ? ", as asked" : "");
    if (!asked && strategy_after(c->spec->restart, exit_kind_of(status)) == AFTER_RESTART) {
        sim.dead_row = (int)c->row;
    }
    tree_child_ended(&sim.tree, c, sim.now);
    if (!asked) {
        want_after(c, status);
        want_no_busy_loop(c, p);
    } else if (!removed) {
        REPORT_WANT(c->pid == 0 && (c->state == CHILD_WAITING || c->state == CHILD_ENDED),
                    "%s is neither ended nor started again", c->name);
    }
}

/* What the processes do by now. True if something happened. */
static bool
live(void)
{
    bool happened = false;

    for (size_t i = 0; i < sim.tree.n; i++) {
        struct child *c = sim.tree.children[i];
        struct process *p = c->pid > 0 ? &sim.all[c->pid] : NULL;
        if (p == NULL) {
            continue;
        }
        if (p->end_ms <= sim.now) {
            end_of(p);
            return true;
        }
        if (!p->said && !p->mute && p->ready_ms <= sim.now && c->state == CHILD_STARTING) {
            p->said = happened = true;
            p->ready_ms = sim.now;
            c->state = CHILD_READY;
            c->was_ready = true;
            c->ready_ms = sim.now;
        }
        if (!p->mute && sim.now - c->heard_ms >= 1000) {
            c->heard_ms = sim.now;
        }
    }
    return happened;
}

/* A person, or the machine. */
static void
interfere(void)
{
    size_t row = random_below(&sim.random, (uint32_t)sim.spec.n);
    struct child *c;

    switch (random_below(&sim.random, 12)) {
    case 0:
        report_event("%lld: restart %s", (long long)sim.now, sim.names[row]);
        sim.wish = true;
        tree_restart(&sim.tree, sim.names[row], sim.now);
        memset(sim.quick + row * SPEC_WORKERS_MAX, 0, SPEC_WORKERS_MAX * sizeof(sim.quick[0]));
        break;
    case 1:
        sim.wish = true;
        tree_scale(&sim.tree, sim.names[row], random_below(&sim.random, 4), sim.now);
        break;
    case 2:
        tree_excuse(&sim.tree, random_below(&sim.random, 20));
        break;
    default:
        if (sim.tree.n > 0) {
            c = sim.tree.children[random_below(&sim.random, (uint32_t)sim.tree.n)];
            if (c->pid > 0) {
                sim.all[c->pid].end_ms = sim.now;
                sim.all[c->pid].status = SIGKILL;
            }
        }
    }
}

/* Everybody who has to go is told so by the tree's goals: keep our own account of it. */
static void
note_goals(void)
{
    bool stopping = false;

    for (size_t i = 0; i < sim.tree.n; i++) {
        const struct child *c = sim.tree.children[i];
        if (c->pid > 0) {
            sim.all[c->pid].stopping = c->goal != GOAL_RUN;
            stopping |= c->goal != GOAL_RUN;
        }
    }
    if (!stopping) {
        sim.dead_row = -1;
        sim.wish = false;
    }
}

static void
turn(void)
{
    int quick = 0;
    int64_t due;

    while (live() && report_step() > 0) {
        note_goals();
    }
    do {
        note_goals();
        tree_step(&sim.tree, sim.now);
        due = tree_due(&sim.tree, sim.now);
        REPORT_WANT(quick++ < 5, "a busy loop: always something due at once");
    } while (due == 0);
}

/* The next moment at which anything can happen. */
static void
pass_time(int64_t at_most)
{
    int64_t due = tree_due(&sim.tree, sim.now);
    int64_t next = sim.now + (due >= 0 && due < at_most ? due : at_most);

    for (size_t i = 0; i < sim.tree.n; i++) {
        const struct child *c = sim.tree.children[i];
        if (c->pid > 0) {
            const struct process *p = &sim.all[c->pid];
            next = p->end_ms < next ? p->end_ms : next;
            next = !p->said && !p->mute && p->ready_ms < next ? p->ready_ms : next;
            next = !p->mute && c->heard_ms + 1000 < next ? c->heard_ms + 1000 : next;
        }
    }
    sim.now = next > sim.now ? next : sim.now + 1;
    report_step();
}

/* Left alone, everybody that is wanted runs. */
static void
want_recovery(void)
{
    int64_t until = sim.now + 200000;

    sim.calm = true;
    for (size_t i = 0; i < sim.tree.n; i++) {
        struct child *c = sim.tree.children[i];
        if (c->pid > 0 && !sim.all[c->pid].mute && c->goal == GOAL_RUN) {
            sim.all[c->pid].end_ms = INT64_MAX;
        }
    }
    while (sim.now < until) {
        turn();
        pass_time(1000);
    }
    for (size_t i = 0; i < sim.tree.n; i++) {
        const struct child *c = sim.tree.children[i];
        REPORT_WANT(c->state == CHILD_READY || c->state == CHILD_MISCONFIGURED ||
                        c->state == CHILD_ENDED,
                    "%s doesn't come back: state %d", c->name, (int)c->state);
        REPORT_WANT(c->state != CHILD_ENDED || c->spec->restart != RESTART_PERMANENT,
                    "%s is permanent and has ended", c->name);
    }
}

static void
want_drained(void)
{
    int64_t budget = 500 + random_below(&sim.random, 3000), until = sim.now + budget + 50;

    report_event("%lld: drain", (long long)sim.now);
    tree_drain(&sim.tree, budget, sim.now);
    while (!tree_is_empty(&sim.tree)) {
        turn();
        pass_time(100);
        REPORT_WANT(sim.now < until || tree_is_empty(&sim.tree),
                    "not drained within its budget of %lld ms", (long long)budget);
    }
}

uint64_t
tree_run(uint64_t seed, struct sim_counts *counts)
{
    (void)counts;
    report_begin("tree", seed);
    memset(&sim, 0, sizeof(sim));
    sim.random.state = seed;
    srandom((unsigned)seed); /* the jitter of tree.c */
    sim.now = 1000;
    sim.dead_row = -1;
    sim.all = calloc(PROCESSES, sizeof(*sim.all));
    make_spec();
    tree_init(&sim.tree, &sim.spec, "", NULL, sim.now);
    while (report_steps() < STEPS) {
        turn();
        pass_time(2000);
        if (random_once_in(&sim.random, 30)) {
            interfere();
        }
    }
    want_recovery();
    want_drained();
    tree_fini(&sim.tree);
    free(sim.all);
    return report_steps();
}
