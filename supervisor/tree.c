#include "supervisor/tree.h"

#include "supervisor/strategy.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <sysexits.h>

void
tree_init(struct tree *t, const struct spec *spec, const char *bin_dir, struct relay *relay,
          int64_t now_ms)
{
    *t = (struct tree){.spec = spec, .bin_dir = bin_dir, .relay = relay, .begun_ms = now_ms};
    for (size_t row = 0; row < spec->n; row++) {
        tree_want(t, row, spec->children[row].workers, now_ms);
    }
    for (size_t i = 0; i < t->n; i++) {
        t->children[i]->in_turn = true;
    }
}

void
tree_fini(struct tree *t)
{
    for (size_t i = 0; i < t->n; i++) {
        child_free(&t->children[i]);
    }
    free(t->children);
    t->children = NULL;
    t->n = 0;
}

struct child *
tree_find(const struct tree *t, pid_t pid)
{
    for (size_t i = 0; i < t->n; i++) {
        if (t->children[i]->pid == pid) {
            return t->children[i];
        }
    }
    return NULL;
}

/* --- starting ------------------------------------------------------------------------------- */

/* In turn: nobody who is being stopped is left, and those before are ready or have had their time.
 */
static bool
may_start(const struct tree *t, const struct child *c, int64_t now_ms)
{
    if (!c->in_turn) {
        return true;
    }
    for (size_t i = 0; i < t->n; i++) {
        const struct child *other = t->children[i];
        if (other->pid != 0 && other->goal != GOAL_RUN) {
            return false;
        }
        if (other->row >= c->row || !other->in_turn) {
            continue;
        }
        if (other->state == CHILD_WAITING ||
            (other->state == CHILD_STARTING && now_ms < other->started_ms + TREE_TURN_MS)) {
            return false;
        }
    }
    return true;
}

static void
start(struct tree *t, struct child *c, int64_t now_ms)
{
    if (child_start(c, t->bin_dir, now_ms)) {
        c->kill_at_ms = 0; /* what was done to the one before it counts no more */
        relay_note(t->relay, "info", "started", "name=%s child=%d", c->name, (int)c->pid);
        return;
    }
    /* No process to be had: the machine's trouble, not the child's. */
    c->start_at_ms = now_ms + 1000;
    relay_note(t->relay, "error", "not_started", "name=%s why=\"%s\"", c->name, c->why);
}

static void
start_what_is_due(struct tree *t, int64_t now_ms)
{
    for (size_t i = 0; i < t->n; i++) {
        struct child *c = t->children[i];
        if (c->state == CHILD_WAITING && c->start_at_ms <= now_ms && may_start(t, c, now_ms)) {
            start(t, c, now_ms);
        }
    }
}

/* --- stopping ------------------------------------------------------------------------------- */

/* Later rows go first. */
static bool
may_stop(const struct tree *t, const struct child *c)
{
    for (size_t i = 0; i < t->n; i++) {
        const struct child *other = t->children[i];
        if (other->row > c->row && other->pid != 0 && other->goal != GOAL_RUN) {
            return false;
        }
    }
    return true;
}

static void
stop_what_is_due(struct tree *t, int64_t now_ms)
{
    for (size_t i = t->n; i-- > 0;) {
        struct child *c = t->children[i];
        if (c->pid == 0 || c->goal == GOAL_RUN || c->state == CHILD_STOPPING ||
            c->state == CHILD_ABORTING || !may_stop(t, c)) {
            continue;
        }
        c->state = CHILD_STOPPING;
        c->kill_at_ms = now_ms + c->spec->shutdown_ms;
        if (c->spec->shutdown_ms > 0) {
            child_signal(c, SIGTERM);
        }
    }
}

/* Hung children, and those whose time to stop is over. */
static void
kill_what_is_due(struct tree *t, int64_t now_ms)
{
    for (size_t i = 0; i < t->n; i++) {
        struct child *c = t->children[i];
        bool stopping = c->state == CHILD_STOPPING || c->state == CHILD_ABORTING;
        if (c->pid == 0) {
            continue;
        }
        if (!stopping && now_ms - c->heard_ms >= CHILD_SILENCE_MS) {
            c->state = CHILD_ABORTING;
            c->kill_at_ms = now_ms + CHILD_ABORT_MS;
            snprintf(c->why, sizeof(c->why), "silent for %d s", CHILD_SILENCE_MS / 1000);
            relay_note(t->relay, "error", "hung", "name=%s child=%d silent_ms=%lld", c->name,
                       (int)c->pid, (long long)(now_ms - c->heard_ms));
            child_signal(c, SIGABRT);
        } else if (stopping && now_ms >= c->kill_at_ms) {
            if (c->spec->shutdown_ms > 0) {
                relay_note(t->relay, "warn", "killed", "name=%s child=%d state=%s", c->name,
                           (int)c->pid, child_state_str(c));
            }
            child_signal(c, SIGKILL);
            c->kill_at_ms = INT64_MAX; /* once is enough */
        }
    }
}

void
tree_drain(struct tree *t, int64_t budget_ms, int64_t now_ms)
{
    if (t->draining) {
        /* Asked again by somebody who is tired of waiting, so at once; but not where one wish came
         * twice, as from timeout(1), or from make and the terminal. */
        if (now_ms - t->drain_asked_ms >= TREE_AGAIN_MS) {
            t->drain_until_ms = now_ms;
        }
        return;
    }
    t->draining = true;
    t->drain_asked_ms = now_ms;
    t->drain_until_ms = now_ms + budget_ms;
    for (size_t i = 0; i < t->n; i++) {
        struct child *c = t->children[i];
        c->goal = GOAL_END;
        if (c->state == CHILD_WAITING) {
            c->state = CHILD_ENDED;
        }
    }
}

bool
tree_is_empty(const struct tree *t)
{
    for (size_t i = 0; i < t->n; i++) {
        if (t->children[i]->pid != 0) {
            return false;
        }
    }
    return true;
}

/* --- time ----------------------------------------------------------------------------------- */

void
tree_step(struct tree *t, int64_t now_ms)
{
    if (t->draining && now_ms >= t->drain_until_ms) {
        for (size_t i = 0; i < t->n; i++) {
            t->children[i]->state = t->children[i]->pid ? CHILD_STOPPING : t->children[i]->state;
            if (t->children[i]->kill_at_ms != INT64_MAX) {
                t->children[i]->kill_at_ms = now_ms;
            }
        }
    }
    stop_what_is_due(t, now_ms);
    kill_what_is_due(t, now_ms);
    start_what_is_due(t, now_ms);
}

static int64_t
sooner(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

int64_t
tree_due(const struct tree *t, int64_t now_ms)
{
    int64_t due = t->draining && t->drain_until_ms > now_ms ? t->drain_until_ms : INT64_MAX;

    for (size_t i = 0; i < t->n; i++) {
        const struct child *c = t->children[i];
        switch (c->state) {
        case CHILD_WAITING:
            /* Its time, or, while it waits for others, their next. */
            due =
                sooner(due, c->start_at_ms > now_ms ? c->start_at_ms : now_ms + TREE_TURN_MS / 10);
            break;
        case CHILD_STARTING:
        case CHILD_READY:
        case CHILD_DEGRADED:
            due = sooner(due, c->heard_ms + CHILD_SILENCE_MS);
            break;
        case CHILD_STOPPING:
        case CHILD_ABORTING:
            due = sooner(due, c->kill_at_ms);
            break;
        case CHILD_ENDED:
        case CHILD_MISCONFIGURED:
            break;
        }
    }
    if (due == INT64_MAX) {
        return -1;
    }
    return due > now_ms ? due - now_ms : 0;
}

void
tree_excuse(struct tree *t, int64_t ms)
{
    for (size_t i = 0; i < t->n; i++) {
        t->children[i]->heard_ms += ms;
    }
}

/* --- ends ----------------------------------------------------------------------------------- */

static void
describe_end(struct child *c, int status, bool hung)
{
    const char *note = hung ? " (hung)" : "";

    if (WIFSIGNALED(status)) {
        snprintf(c->why, sizeof(c->why), "killed by signal %d%s", WTERMSIG(status), note);
    } else {
        snprintf(c->why, sizeof(c->why), "exit code %d%s", WEXITSTATUS(status), note);
    }
}

/* By strategy: whoever goes down with `dead`, and comes back with it. */
static void
take_along(struct tree *t, struct child *dead)
{
    enum spec_strategy strategy = t->spec->strategy;

    dead->in_turn = strategy != STRATEGY_ONE_FOR_ONE;
    for (size_t i = 0; i < t->n; i++) {
        struct child *c = t->children[i];
        if (c->row == dead->row || !strategy_takes_along(strategy, dead->row, c->row) ||
            c->goal != GOAL_RUN) {
            continue;
        }
        if (c->pid != 0) {
            c->goal = c->spec->restart == RESTART_TEMPORARY ? GOAL_END : GOAL_RESTART;
        } else if (c->state != CHILD_WAITING) {
            continue;
        }
        c->in_turn = true;
        c->start_at_ms = dead->start_at_ms;
    }
}

static void
restart_by_itself(struct tree *t, struct child *c, int64_t now_ms)
{
    bool was_degraded = c->intensity.degraded;
    int64_t worked = c->was_ready ? now_ms - c->ready_ms : 0;
    int64_t wait = intensity_crash(&c->intensity, &t->spec->limits, now_ms, worked,
                                   (double)random() / (1U << 31));

    c->state = CHILD_WAITING;
    c->start_at_ms = now_ms + wait;
    if (c->intensity.degraded) {
        char end[48];
        snprintf(end, sizeof(end), "%.40s", c->why);
        snprintf(c->why, sizeof(c->why), "%u crashes in %lld s, the last: %s",
                 intensity_count(&c->intensity, t->spec->limits.period_ms, now_ms),
                 (long long)t->spec->limits.period_ms / 1000, end);
        relay_note(t->relay, was_degraded ? "warn" : "error", "degraded",
                   "name=%s why=\"%s\" retry_ms=%lld", c->name, c->why, (long long)wait);
    }
    take_along(t, c);
}

/* What it said last is the line that says which setting is wrong (proto/runtime/option.h): of a log
 * line, what stands behind the event. */
static void
describe_misconfigured(struct child *c)
{
    const char *last = c->log.last, *event;

    if (strncmp(last, "time=", 5) == 0 && (event = strstr(last, " event=")) != NULL) {
        last = event + 1;
    }
    snprintf(c->why, sizeof(c->why), "its configuration is wrong (exit code 78): %s",
             last[0] ? last : "it said nothing");
    for (char *at = c->why; *at; at++) {
        *at = (unsigned char)*at < 0x20 ? ' ' : *at; /* one word of the control socket's grammar */
    }
}

/* It went by itself, or because it was hung. */
static void
ended_by_itself(struct tree *t, struct child *c, int status, int64_t now_ms)
{
    enum exit_kind kind = exit_kind_of(status);

    switch (strategy_after(c->spec->restart, kind)) {
    case AFTER_RESTART:
        restart_by_itself(t, c, now_ms);
        break;
    case AFTER_END:
        c->state = CHILD_ENDED;
        break;
    case AFTER_MISCONFIGURED:
        c->state = CHILD_MISCONFIGURED;
        describe_misconfigured(c);
        relay_note(t->relay, "error", "misconfigured", "name=%s", c->name);
        break;
    }
}

void
tree_child_ended(struct tree *t, struct child *c, int64_t now_ms)
{
    bool asked = c->goal != GOAL_RUN;
    bool hung = c->state == CHILD_ABORTING;
    int64_t lived = now_ms - c->started_ms;
    pid_t pid = c->pid;
    int status;

    if (!child_reap(c, t->relay, now_ms, &status)) {
        return;
    }
    describe_end(c, status, hung);
    relay_note(t->relay, asked || status == 0 ? "info" : "warn", "ended",
               "name=%s child=%d how=\"%s\" asked=%s lived_ms=%lld", c->name, (int)pid, c->why,
               asked ? "yes" : "no", (long long)lived);
    c->in_turn = c->in_turn && asked;
    switch (c->goal) {
    case GOAL_RUN:
        ended_by_itself(t, c, status, now_ms);
        break;
    case GOAL_RESTART:
        c->state = CHILD_WAITING;
        c->goal = GOAL_RUN;
        break;
    case GOAL_END:
        c->state = CHILD_ENDED;
        break;
    case GOAL_REMOVE:
        tree_remove(t, c);
        break;
    }
}

/* --- answers -------------------------------------------------------------------------------- */

bool
tree_is_degraded(const struct child *c)
{
    return c->state == CHILD_DEGRADED || c->state == CHILD_MISCONFIGURED ||
           (c->state == CHILD_WAITING && c->intensity.degraded);
}

bool
tree_is_ready(const struct tree *t)
{
    bool wanted[SPEC_CHILDREN_MAX] = {false}, ready[SPEC_CHILDREN_MAX] = {false};

    for (size_t i = 0; i < t->n; i++) {
        const struct child *c = t->children[i];
        if (tree_is_degraded(c)) {
            return false;
        }
        wanted[c->row] |= c->state != CHILD_ENDED;
        ready[c->row] |= c->state == CHILD_READY;
    }
    for (size_t row = 0; row < t->spec->n; row++) {
        if (wanted[row] && !ready[row]) {
            return false;
        }
    }
    return !t->draining;
}
