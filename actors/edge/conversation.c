/* conversation - order: at most one unit of a key is under way, and what comes meanwhile waits. */
#include "actors/edge/edge.h"
#include "actors/edge/unit.h"

#include "proto/err.h"
#include "proto/runtime/fault.h"

#include <assert.h>
#include <stdlib.h>

static void go_on(struct edge *edge, struct conversation *c, bool waited);

#define NAME_MAX_BYTES (sizeof(int32_t) + 256)

static struct conversation *
find_or_new(struct edge *edge, struct str key, int32_t partition)
{
    size_t name_n = sizeof(partition) + key.n;
    char name[NAME_MAX_BYTES];
    struct conversation *c;

    assert(name_n <= sizeof(name));
    memcpy(name, &partition, sizeof(partition));
    memcpy(name + sizeof(partition), key.p, key.n);
    HASH_FIND(hh, edge->conversations, name, name_n, c);
    if (c != NULL && SAFEGUARD("one_in_flight")) {
        return c;
    }
    c = xcalloc(1, sizeof(*c) + name_n);
    c->partition = partition;
    c->last = &c->first;
    memcpy(c->name, name, name_n);
    c->name_n = name_n;
    c->key = (struct str){c->name + sizeof(partition), key.n};
    HASH_ADD_KEYPTR(hh, edge->conversations, c->name, c->name_n, c);
    return c;
}

static void
forget(struct edge *edge, struct conversation *c)
{
    HASH_DEL(edge->conversations, c);
    free(c);
}

static struct record *
record_new(struct edge *edge, const struct rlog_record *r)
{
    struct record *rec = xmalloc(sizeof(*rec) + r->body.n + r->trace.n);

    *rec = (struct record){.offset = r->offset,
                           .id = r->id,
                           .unit = r->unit,
                           .unit_at = r->unit_at,
                           .unit_size = r->unit_size,
                           .recovered = r->recovered && SAFEGUARD("recovered"),
                           .received_us = r->received_us,
                           .err = r->err,
                           .why = r->why};
    memcpy(rec->bytes, r->body.p, r->body.n);
    rec->body = (struct str){rec->bytes, r->body.n};
    if (r->trace.n > 0) {
        memcpy(rec->bytes + r->body.n, r->trace.p, r->trace.n);
        rec->trace = (struct str){rec->bytes + r->body.n, r->trace.n};
    }
    rec->number = window_add(&edge->partitions[r->partition]->window, r->offset);
    edge->held++;
    edge->held_bytes += r->body.n;
    return rec;
}

/* Settled in the window, and forgotten. */
static void
settle_record(struct edge *edge, int32_t partition, struct record *rec)
{
    struct window *w = &edge->partitions[partition]->window;

    edge->held--;
    edge->held_bytes -= rec->body.n;
    if (window_settle(w, rec->number)) {
        rlog_settled(edge->rlog, partition, w->position);
    }
    free(rec);
}

static struct record *
last_waiting(const struct conversation *c)
{
    struct record *r = c->first;

    while (r != NULL && r->next != NULL) {
        r = r->next;
    }
    return r;
}

/* The rest of a composition whose beginning is settled: a unit is settled as a whole, so it is,
 * too. */
static bool
is_remainder(const struct conversation *c, const struct record *rec)
{
    const struct record *before;

    if (id_is_nil(rec->unit) || rec->unit_at == 0 || !SAFEGUARD("remainder")) {
        return false;
    }
    before = last_waiting(c);
    return before == NULL || !id_eq(before->unit, rec->unit) || before->unit_at != rec->unit_at - 1;
}

void
conversation_take(struct edge *edge, const struct rlog_record *r)
{
    struct conversation *c = find_or_new(edge, r->key, r->partition);
    struct record *rec = record_new(edge, r);
    bool waited = c->out != NULL || c->first != NULL;

    if (is_remainder(c, rec)) {
        settle_record(edge, r->partition, rec);
        if (c->out == NULL && c->first == NULL) {
            forget(edge, c);
        }
        return;
    }
    *c->last = rec;
    c->last = &rec->next;
    if (c->out == NULL) {
        go_on(edge, c, waited);
    }
}

void
conversation_skip(struct edge *edge, int32_t partition, int64_t offset)
{
    struct window *w = &edge->partitions[partition]->window;

    if (window_settle(w, window_add(w, offset))) {
        rlog_settled(edge->rlog, partition, w->position);
    }
}

/* Makes the next unit of what waits. */
static void
go_on(struct edge *edge, struct conversation *c, bool waited)
{
    struct record *records = c->first, **end = &c->first;
    struct delivery *d;
    bool durable;
    size_t n;

    unit_count(records, waited, &n, &durable);
    if (n == 0) {
        return; /* the rest of the composition is still to be read */
    }
    for (size_t i = 0; i < n; i++) {
        end = &(*end)->next;
    }
    c->first = *end;
    *end = NULL;
    if (c->first == NULL) {
        c->last = &c->first;
    }
    d = delivery_new(edge, c, records, id_is_nil(records->unit) ? records->id : records->unit);
    c->out = d;
    if (records->err != 0) {
        delivery_refuse(d, records->err, records->why);
    } else if (durable) {
        edge->count.merged += n - 1;
        delivery_compose(d);
    } else {
        delivery_ready(d);
    }
}

void
conversation_settled(struct edge *edge, struct delivery *d)
{
    struct conversation *c = d->conversation;
    int32_t partition = c->partition;

    assert(c->out == d);
    c->out = NULL;
    while (d->records != NULL) {
        struct record *rec = d->records;
        d->records = rec->next;
        settle_record(edge, partition, rec);
    }
    delivery_free(d);
    if (c->first != NULL) {
        go_on(edge, c, true);
    } else {
        forget(edge, c);
    }
    if (edge->partitions[partition]->leaving &&
        window_is_empty(&edge->partitions[partition]->window)) {
        edge->partitions[partition]->held = false;
        rlog_release(edge->rlog, partition);
    }
}

void
conversation_drop(struct edge *edge, int32_t partition)
{
    struct conversation *c, *next;

    HASH_ITER(hh, edge->conversations, c, next)
    {
        if (c->partition != partition) {
            continue;
        }
        if (c->out != NULL) {
            c->out->conversation = NULL;
            delivery_free(c->out);
        }
        while (c->first != NULL) {
            struct record *rec = c->first;
            c->first = rec->next;
            edge->held--;
            edge->held_bytes -= rec->body.n;
            free(rec);
        }
        forget(edge, c);
    }
}

size_t
conversation_room(const struct edge *edge, int32_t partition)
{
    const struct partition *p = edge->partitions[partition];

    if (p == NULL || !p->held || p->leaving || edge->draining || edge->active >= edge->cap ||
        edge->held_bytes >= EDGE_HELD_BYTES) {
        return 0;
    }
    return window_room(&p->window);
}
