/* The list of workers: which there are, and what people change about it. */
#include "supervisor/tree.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

static void
add_worker(struct tree *t, size_t row, unsigned instance, int64_t now_ms)
{
    struct child *c = child_new(&t->spec->children[row], row, instance);
    size_t at = t->n;

    t->children = realloc(t->children, (t->n + 1) * sizeof(struct child *));
    if (!t->children) {
        exit(EX_TEMPFAIL);
    }
    while (at > 0 &&
           (t->children[at - 1]->row > row ||
            (t->children[at - 1]->row == row && t->children[at - 1]->instance > instance))) {
        t->children[at] = t->children[at - 1];
        at--;
    }
    t->children[at] = c;
    t->n++;
    c->start_at_ms = now_ms;
}

void
tree_remove(struct tree *t, struct child *c)
{
    for (size_t i = 0; i < t->n; i++) {
        if (t->children[i] == c) {
            memmove(&t->children[i], &t->children[i + 1], (t->n - i - 1) * sizeof(struct child *));
            t->n--;
            child_free(&c);
            return;
        }
    }
}

/* "triage" while there is one of it, "triage.1", "triage.2" where there are more. */
static void
name_workers(struct tree *t, size_t row)
{
    for (size_t i = 0; i < t->n; i++) {
        struct child *c = t->children[i];
        if (c->row != row) {
            continue;
        }
        if (t->workers[row] <= 1 && c->instance == 1) {
            snprintf(c->name, sizeof(c->name), "%s", c->spec->name);
        } else {
            snprintf(c->name, sizeof(c->name), "%s.%u", c->spec->name, c->instance);
        }
    }
}

static struct child *
find_worker(const struct tree *t, size_t row, unsigned instance)
{
    for (size_t i = 0; i < t->n; i++) {
        if (t->children[i]->row == row && t->children[i]->instance == instance) {
            return t->children[i];
        }
    }
    return NULL;
}

/* Takes away the workers above the number that is wanted. */
static void
remove_workers(struct tree *t, size_t row)
{
    for (size_t i = t->n; i-- > 0;) {
        struct child *c = t->children[i];
        if (c->row != row || c->instance <= t->workers[row]) {
            continue;
        }
        if (c->pid != 0) {
            c->goal = GOAL_REMOVE;
        } else {
            tree_remove(t, c);
        }
    }
}

void
tree_want(struct tree *t, size_t row, unsigned workers, int64_t now_ms)
{
    t->workers[row] = workers;
    remove_workers(t, row);
    for (unsigned i = 1; i <= workers; i++) {
        struct child *c = find_worker(t, row, i);
        if (!c) {
            add_worker(t, row, i, now_ms);
        } else if (c->goal == GOAL_REMOVE) {
            /* On its way out and wanted again. */
            c->goal = GOAL_RESTART;
            c->start_at_ms = now_ms;
        }
    }
    name_workers(t, row);
}

static size_t
find_row(const struct tree *t, const char *name)
{
    size_t row = 0;

    while (row < t->spec->n && strcmp(t->spec->children[row].name, name) != 0) {
        row++;
    }
    return row;
}

bool
tree_is_alone(const struct tree *t, const char *name)
{
    size_t row = find_row(t, name);

    return row < t->spec->n && t->spec->children[row].service[0] == '\0';
}

bool
tree_scale(struct tree *t, const char *name, unsigned workers, int64_t now_ms)
{
    size_t row = find_row(t, name);

    if (row == t->spec->n) {
        return false;
    }
    relay_note(t->relay, "info", "scaled", "name=%s from=%u to=%u", name, t->workers[row], workers);
    tree_want(t, row, workers, now_ms);
    return true;
}

static bool
is_called(const struct child *c, const char *name)
{
    char full[64];

    snprintf(full, sizeof(full), "%s.%u", c->spec->name, c->instance);
    return strcmp(c->spec->name, name) == 0 || strcmp(full, name) == 0;
}

unsigned
tree_restart(struct tree *t, const char *name, int64_t now_ms)
{
    unsigned found = 0;

    for (size_t i = 0; i < t->n; i++) {
        struct child *c = t->children[i];
        if (!is_called(c, name) || c->goal == GOAL_REMOVE) {
            continue;
        }
        found++;
        intensity_reset(&c->intensity);
        c->start_at_ms = now_ms;
        if (c->pid != 0) {
            c->goal = GOAL_RESTART;
        } else {
            c->state = CHILD_WAITING;
            c->goal = GOAL_RUN;
        }
    }
    return found;
}
