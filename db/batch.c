#include "db/batch.h"

#include "proto/runtime/fault.h"

#include <assert.h>
#include <endian.h>
#include <stdlib.h>
#include <string.h>

/* One transaction on its way. */
struct round {
    struct actor *self;
    struct pg *pg;
    const struct batch_stage *stage;
    size_t n;
    struct unit *units[ACTOR_BATCH_MAX];
};

static void commit_round(struct actor *self, struct pg *pg, const struct batch_stage *stage,
                         struct unit *const *units, size_t n);
static void committed(void *arg, const struct pg_reply *reply);
static void refused(struct round *r, const struct pg_reply *reply);

void
batch_commit(struct actor *self, struct pg *pg, const struct batch_stage *stage,
             struct unit *const *units, size_t n)
{
    struct unit *rest[ACTOR_BATCH_MAX];

    assert(n <= ACTOR_BATCH_MAX);
    memcpy(rest, units, n * sizeof(*units));
    for (size_t done = 0; done < n;) {
        size_t round = batch_round(rest + done, n - done, stage->key);
        commit_round(self, pg, stage, rest + done, round);
        done += round;
    }
}

struct unit *
batch_take(struct unit **units, size_t n, struct id id)
{
    for (size_t i = 0; i < n; i++) {
        struct unit *u = units[i];
        if (u != NULL && id_eq(u->head.id, id)) {
            units[i] = NULL;
            return u;
        }
    }
    return NULL;
}

size_t
batch_round(struct unit **units, size_t n, struct id (*key)(const struct unit *u))
{
    struct unit *first[ACTOR_BATCH_MAX], *again[ACTOR_BATCH_MAX];
    size_t first_n = 0, again_n = 0;

    /* Insertion sort: stable, and n is small. */
    for (size_t i = 1; i < n; i++) {
        struct unit *u = units[i];
        struct id k = key(u);
        size_t at = i;
        for (; at > 0; at--) {
            struct id before = key(units[at - 1]);
            if (memcmp(&before, &k, sizeof(k)) <= 0) {
                break;
            }
            units[at] = units[at - 1];
        }
        units[at] = u;
    }
    for (size_t i = 0; i < n; i++) {
        if (first_n > 0 && id_eq(key(first[first_n - 1]), key(units[i]))) {
            again[again_n++] = units[i];
        } else {
            first[first_n++] = units[i];
        }
    }
    memcpy(units, first, first_n * sizeof(*units));
    memcpy(units + first_n, again, again_n * sizeof(*units));
    return first_n;
}

/* A statement of its own: the next one's snapshot is made when the locks are held. */
static const struct pg_stmt lock = {
    "batch_lock",
    "select count(pg_advisory_xact_lock(k)) from unnest($1::bigint[]) as k",
};

void
batch_lock(struct pg_txn *t, struct unit *const *units, size_t n,
           struct id (*key)(const struct unit *u))
{
    pg_stmt(t, &lock);
    pg_array(t, PG_INT);
    for (size_t i = 0; i < n && SAFEGUARD("customer_lock"); i++) {
        struct id k = key(units[i]);
        uint64_t number; /* lock_key() of the schema */
        memcpy(&number, k.b, sizeof(number));
        pg_put_int(t, (int64_t)be64toh(number));
    }
    pg_array_end(t);
}

/* --- one transaction ------------------------------------------------------------------------ */

static void
commit_round(struct actor *self, struct pg *pg, const struct batch_stage *stage,
             struct unit *const *units, size_t n)
{
    struct round *r = xcalloc(1, sizeof(*r));
    struct pg_txn *t = pg_begin(pg);

    r->self = self;
    r->pg = pg;
    r->stage = stage;
    r->n = n;
    memcpy(r->units, units, n * sizeof(*units));
    stage->put(self, t, r->units, n);
    pg_commit_as(&t, committed, r, stage->name);
}

static void
committed(void *arg, const struct pg_reply *reply)
{
    struct round *r = arg;

    if (reply->err == 0) {
        r->stage->stored(r->self, reply, r->units, r->n);
    } else {
        refused(r, reply);
    }
    free(r);
}

static void
refused(struct round *r, const struct pg_reply *reply)
{
    bool temporary = err_is_patient(reply->err);

    if (!temporary && r->n > 1) {
        for (size_t i = 0; i < r->n; i++) {
            commit_round(r->self, r->pg, r->stage, &r->units[i], 1);
        }
        return;
    }
    if (!temporary) {
        log_error("refused", "unit=%s err=%s sqlstate=%s", log_id(r->units[0]->head.id),
                  err_str(reply->err), reply->sqlstate);
    }
    for (size_t i = 0; i < r->n; i++) {
        if (r->stage->drop != NULL) {
            r->stage->drop(r->units[i]);
        }
        if (temporary) {
            unit_retry(r->self, r->units[i], reply->err, "database");
        } else if (reply->err == ERR_INTERNAL) {
            unit_retry(r->self, r->units[i], reply->err, reply->sqlstate);
        } else {
            unit_reject(r->self, r->units[i], reply->err, reply->sqlstate);
        }
    }
}
