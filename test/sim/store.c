/* The connection: db/pg.h once more. */
#include "test/sim/store.h"

#include "proto/err.h"
#include "proto/mem.h"

#include <stdlib.h>
#include <string.h>

#define OPS 8

struct pg_txn {
    struct pg_txn *next;
    struct pg *pg;
    struct store_op *ops[OPS];
    PGresult *results[OPS];
    int n;
    pg_done_fn *fn;
    void *arg;
    int err;
    bool executed;
    struct event *executing, *answering, *expiring;
};

struct pg {
    struct pg *next;
    struct proc *proc;
    struct pg_events events;
    bool up, listens;
    struct pg_txn *flight, *waiting;
    size_t pending;
    int32_t owner;
    int64_t last_us;
};

static struct {
    struct pg *all;
    int64_t away_until_us;
} store;

static void connect(void *arg);

/* --- transactions --------------------------------------------------------------------------- */

struct pg_txn *
pg_begin(struct pg *pg)
{
    struct pg_txn *t = xcalloc(1, sizeof(*t));

    t->pg = pg;
    return t;
}

struct store_op *
store_op(struct pg_txn *t, void (*exec)(struct store_op *), void (*free_data)(struct store_op *),
         void *data)
{
    struct store_op *op = xcalloc(1, sizeof(*op));

    REPORT_WANT(t->n < OPS, "too many statements");
    *op = (struct store_op){.exec = exec, .free = free_data, .pg = t->pg, .data = data};
    op->proc = t->pg->proc;
    t->ops[t->n++] = op;
    return op;
}

const struct store_op *
store_result(const PGresult *r)
{
    return (const struct store_op *)(const void *)r;
}

static void
txn_free(struct pg_txn *t)
{
    for (int i = 0; i < t->n; i++) {
        if (t->ops[i]->free != NULL) {
            t->ops[i]->free(t->ops[i]);
        }
        free(t->ops[i]->data);
        free(t->ops[i]);
    }
    free(t);
}

static void
unlist(struct pg_txn **list, struct pg_txn *t)
{
    while (*list != t) {
        list = &(*list)->next;
    }
    *list = t->next;
}

static void
append(struct pg_txn **list, struct pg_txn *t)
{
    while (*list != NULL) {
        list = &(*list)->next;
    }
    t->next = NULL;
    *list = t;
}

/* Tells the process; it is in no list any more. */
static void
answer(struct pg_txn *t, int err)
{
    struct pg_reply reply = {.err = err, .results = t->results, .n = err == 0 ? t->n : 0};

    for (int i = 0; i < t->n; i++) {
        t->results[i] = (PGresult *)(void *)t->ops[i];
    }
    t->pg->pending--;
    if (!t->pg->proc->killed) { /* a dead one hears nothing any more */
        t->fn(t->arg, &reply);
    }
    txn_free(t);
}

static void
answered(void *arg)
{
    struct pg_txn *t = arg;

    unlist(&t->pg->flight, t);
    answer(t, t->err);
}

static int64_t
in_order(struct pg *pg, int64_t a_us, int64_t b_us)
{
    int64_t at = world.now_us + world_delay(a_us, b_us);

    pg->last_us = at > pg->last_us ? at : pg->last_us;
    return pg->last_us - world.now_us;
}

static void
execute(struct pg_txn *t)
{
    t->executed = true;
    /* A deadlock, a serialization failure, a statement that was cancelled: nothing is done. */
    if (random_once_in(&world.random, 400)) {
        t->err = ERR_UNAVAILABLE;
        return;
    }
    for (int i = 0; i < t->n; i++) {
        t->ops[i]->owner = t->pg->owner;
        t->ops[i]->exec(t->ops[i]);
        if (t->ops[i]->owner != 0) {
            t->pg->owner = t->ops[i]->owner;
        }
    }
}

static void
executing(void *arg)
{
    struct pg_txn *t = arg;

    t->executing = NULL;
    execute(t);
    t->answering = world_at(in_order(t->pg, 50, 500), t->pg->proc, answered, t);
}

static void
send(struct pg *pg, struct pg_txn *t)
{
    append(&pg->flight, t);
    t->executing = world_at(in_order(pg, 50, random_once_in(&world.random, 100) ? 30000 : 600),
                            NULL, executing, t);
}

static void
expired(void *arg)
{
    struct pg_txn *t = arg;

    t->expiring = NULL;
    unlist(&t->pg->waiting, t);
    answer(t, ERR_UNAVAILABLE);
}

void
pg_commit_as(struct pg_txn **t_p, pg_done_fn *fn, void *arg, const char *name)
{
    struct pg_txn *t = *t_p;
    struct pg *pg = t->pg;

    (void)name;
    *t_p = NULL;
    t->fn = fn;
    t->arg = arg;
    pg->pending++;
    if (pg->up) {
        send(pg, t);
    } else {
        append(&pg->waiting, t);
        t->expiring = world_at(PG_WAIT_MS * 1000, pg->proc, expired, t);
    }
}

/* --- connections ---------------------------------------------------------------------------- */

static void
left(void *arg)
{
    store_log_left((int32_t)(intptr_t)arg);
}

/* The connection is gone: what the server has of it is done, of the rest nothing is. Which is
 * which, the process doesn't learn. */
static void
lose(struct pg *pg)
{
    bool reached = true;

    for (struct pg_txn *t = pg->flight; t != NULL; t = t->next) {
        reached = reached && !random_once_in(&world.random, 2);
        if (t->executing != NULL) {
            world_cancel(t->executing);
            t->executing = NULL;
            if (reached) {
                execute(t);
            }
        }
        if (t->answering != NULL) {
            world_cancel(t->answering);
            t->answering = NULL;
        }
    }
    if (pg->owner != 0) {
        world_at(world_delay(0, 20000), NULL, left, (void *)(intptr_t)pg->owner);
        pg->owner = 0;
    }
    pg->up = false;
}

static void
answer_lost(struct pg *pg)
{
    struct pg_txn *lost = pg->flight;

    pg->flight = NULL;
    while (lost != NULL) {
        struct pg_txn *t = lost;
        lost = t->next;
        answer(t, ERR_UNAVAILABLE);
    }
}

static void
notice_loss(void *arg)
{
    struct pg *pg = arg;

    answer_lost(pg);
    if (pg->events.down != NULL) {
        pg->events.down(pg->events.arg);
    }
    world_at(world_delay(1000, 250000), pg->proc, connect, pg);
}

static void
drop(struct pg *pg)
{
    if (pg->up) {
        lose(pg);
        world_at(0, pg->proc, notice_loss, pg);
    }
}

static void
connect(void *arg)
{
    struct pg *pg = arg;

    if (store.away_until_us > world.now_us) {
        world_at(world_delay(10000, 250000), pg->proc, connect, pg);
        return;
    }
    pg->up = true;
    if (pg->events.up != NULL) {
        pg->events.up(pg->events.arg);
    }
    while (pg->waiting != NULL) {
        struct pg_txn *t = pg->waiting;
        pg->waiting = t->next;
        world_cancel(t->expiring);
        t->expiring = NULL;
        send(pg, t);
    }
}

struct pg *
pg_open(struct loop *loop, const char *url, int schema_version, const struct pg_events *events)
{
    struct pg *pg = xcalloc(1, sizeof(*pg));

    (void)loop;
    (void)url;
    (void)schema_version;
    pg->proc = world.current;
    pg->events = events != NULL ? *events : (struct pg_events){0};
    pg->next = store.all;
    store.all = pg;
    world_at(world_delay(500, 5000), pg->proc, connect, pg);
    return pg;
}

void
pg_close(struct pg **pg_p)
{
    struct pg *pg = *pg_p, **at = &store.all;

    if (pg == NULL) {
        return;
    }
    *pg_p = NULL;
    pg->events = (struct pg_events){0};
    lose(pg);
    answer_lost(pg);
    while (pg->waiting != NULL) {
        struct pg_txn *t = pg->waiting;
        pg->waiting = t->next;
        world_cancel(t->expiring);
        answer(t, ERR_UNAVAILABLE);
    }
    while (*at != pg) {
        at = &(*at)->next;
    }
    *at = pg->next;
    free(pg);
}

bool
pg_is_up(const struct pg *pg)
{
    return pg->up;
}

size_t
pg_pending(const struct pg *pg)
{
    return pg->pending;
}

void
pg_listen(struct pg *pg, const char *channel)
{
    (void)channel;
    pg->listens = true;
}

static void
notified(void *arg)
{
    struct pg *pg = arg;

    if (pg->up && pg->events.notify != NULL) {
        pg->events.notify(pg->events.arg, "", "");
    }
}

void
store_notify(void)
{
    for (struct pg *pg = store.all; pg != NULL; pg = pg->next) {
        if (pg->listens && pg->up) {
            world_at(world_delay(50, 1000), pg->proc, notified, pg);
        }
    }
}

void
store_cut(struct proc *p)
{
    for (struct pg *pg = store.all; pg != NULL; pg = pg->next) {
        if (pg->proc == p) {
            report_event("database cuts %s.%d", p->name, p->number);
            drop(pg);
        }
    }
}

void
store_stop(int64_t us)
{
    report_event("database away for %d ms", (int)(us / 1000));
    store.away_until_us = world.now_us + us;
    for (struct pg *pg = store.all; pg != NULL; pg = pg->next) {
        drop(pg);
    }
}

void
store_begin(void)
{
    memset(&store, 0, sizeof(store));
}

void
store_end(void)
{
    REPORT_WANT(store.all == NULL, "a connection was left open");
}

/* --- results -------------------------------------------------------------------------------- */

int
PQntuples(const PGresult *r)
{
    return store_result(r)->rows;
}

int64_t
pg_int(const PGresult *r, int row, int col)
{
    (void)row;
    (void)col;
    return store_result(r)->number;
}
