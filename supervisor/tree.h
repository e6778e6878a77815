/* tree - all children and what is to be done with them next: starts in order, stops in reverse,
 * restarts by strategy and intensity, kills what is silent.
 *
 * Time is an argument everywhere (milliseconds on CLOCK_MONOTONIC); nothing here waits.
 */
#ifndef SUPERVISOR_TREE_H
#define SUPERVISOR_TREE_H

#include "supervisor/child.h"
#include "supervisor/relay.h"
#include "supervisor/spec.h"

/* While starting in order, a child waits so long for the READY of the one before it. */
#define TREE_TURN_MS 1000

/* A second wish to drain, so long after the first, means "at once". */
#define TREE_AGAIN_MS 1500

struct tree {
    const struct spec *spec;
    const char *bin_dir; /* where fte-xxx stands */
    struct relay *relay;
    struct child **children; /* by row, then instance */
    size_t n;
    unsigned workers[SPEC_CHILDREN_MAX]; /* wanted, by row */
    int64_t begun_ms;
    bool draining;
    int64_t drain_asked_ms, drain_until_ms;
    uint64_t orphans; /* reaped for others */
};

void tree_init(struct tree *t, const struct spec *spec, const char *bin_dir, struct relay *relay,
               int64_t now_ms);
void tree_fini(struct tree *t);

/* Does what is due. */
void tree_step(struct tree *t, int64_t now_ms);
/* Milliseconds until something is due; -1 if nothing is. */
int64_t tree_due(const struct tree *t, int64_t now_ms);
/* The process of `c` may have ended: sees, and decides what becomes of it. `c` may be freed. */
void tree_child_ended(struct tree *t, struct child *c, int64_t now_ms);
/* The child whose process this is, or NULL. */
struct child *tree_find(const struct tree *t, pid_t pid);
/* We ourselves have slept for `ms` (stopped, starved): nobody's silence counts. */
void tree_excuse(struct tree *t, int64_t ms);

/* Stops everything, last row first, within `budget_ms`; what is left then is killed. */
void tree_drain(struct tree *t, int64_t budget_ms, int64_t now_ms);
/* True when no child has a process. */
bool tree_is_empty(const struct tree *t);

/* Stops and starts `name`: a row (all its workers) or one worker ("triage.2"). How many; 0: no
 * such. */
unsigned tree_restart(struct tree *t, const char *name, int64_t now_ms);
/* True for a row that serves nothing: more than one worker of it would have nothing to share. */
bool tree_is_alone(const struct tree *t, const char *name);
/* Wants `workers` of row `name`. False: no such row. */
bool tree_scale(struct tree *t, const char *name, unsigned workers, int64_t now_ms);

/* The same by the row's number; makes and removes children, starts and stops nothing by itself. */
void tree_want(struct tree *t, size_t row, unsigned workers, int64_t now_ms);
/* Takes a child without a process out of the list and frees it. */
void tree_remove(struct tree *t, struct child *c);

/* Each row has a worker that is READY, and nothing is degraded or misconfigured. */
bool tree_is_ready(const struct tree *t);
/* Shown among the degraded: says so itself, crashes too often, or is misconfigured. */
bool tree_is_degraded(const struct child *c);

#endif
