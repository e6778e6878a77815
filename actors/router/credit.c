#include "actors/router/credit.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>

struct entry {
    struct holding held;
    UT_hash_handle hh; /* by held.id */
};

struct worker {
    uint8_t route[PROTO_MAX_ROUTE];
    size_t route_n;
    char service[PROTO_MAX_SERVICE + 1];
    size_t service_n;
    uint32_t pid;
    uint32_t free;
    uint32_t given;
    bool closed;
    uint64_t last_turn; /* when it was last chosen */
    struct entry *held;
    void *data;
    UT_hash_handle hh; /* by route */
};

struct credit {
    struct worker *workers;
    uint64_t turn;
};

struct credit *
credit_new(void)
{
    return xcalloc(1, sizeof(struct credit));
}

void
credit_free(struct credit **c_p)
{
    if (*c_p == NULL) {
        return;
    }
    while ((*c_p)->workers != NULL) {
        credit_remove(*c_p, (*c_p)->workers);
    }
    free(*c_p);
    *c_p = NULL;
}

struct worker *
credit_find(struct credit *c, struct str route)
{
    struct worker *w = NULL;
    if (route.n > 0) {
        HASH_FIND(hh, c->workers, route.p, (unsigned)route.n, w);
    }
    return w;
}

struct worker *
credit_ready(struct credit *c, struct str route, struct str service, uint32_t slots, uint32_t pid)
{
    struct worker *w = credit_find(c, route);

    if (w == NULL) {
        w = xcalloc(1, sizeof(*w));
        memcpy(w->route, route.p, route.n);
        w->route_n = route.n;
        w->given = 1;
        HASH_ADD_KEYPTR(hh, c->workers, w->route, (unsigned)w->route_n, w);
    }
    memcpy(w->service, service.p ? service.p : "", service.n);
    w->service_n = service.n;
    w->free = slots;
    w->pid = pid;
    w->closed = false;
    return w;
}

void
credit_add(struct worker *w, uint32_t slots)
{
    w->free = w->free > UINT32_MAX - slots ? UINT32_MAX : w->free + slots;
}

void
credit_close(struct worker *w)
{
    w->closed = true;
}

void
credit_remove(struct credit *c, struct worker *w)
{
    struct entry *e, *next;

    HASH_ITER(hh, w->held, e, next)
    {
        HASH_DEL(w->held, e);
        free(e);
    }
    HASH_DEL(c->workers, w);
    free(w);
}

struct worker *
credit_take(struct credit *c, struct str service)
{
    struct worker *best = NULL;

    for (struct worker *w = c->workers; w != NULL; w = w->hh.next) {
        if (w->closed || w->free == 0 || !str_eq(worker_service(w), service)) {
            continue;
        }
        if (best == NULL || w->free > best->free ||
            (w->free == best->free && w->last_turn < best->last_turn)) {
            best = w;
        }
    }
    if (best != NULL) {
        best->free--;
        best->given++;
        best->last_turn = ++c->turn;
    }
    return best;
}

bool
credit_serves(struct credit *c, struct str service)
{
    for (struct worker *w = c->workers; w != NULL; w = w->hh.next) {
        if (!w->closed && str_eq(worker_service(w), service)) {
            return true;
        }
    }
    return false;
}

void
credit_hold(struct worker *w, const struct head *h, bool is_call)
{
    struct entry *e;

    HASH_FIND(hh, w->held, h->id.b, sizeof(h->id.b), e);
    if (e == NULL) {
        e = xcalloc(1, sizeof(*e));
        e->held.id = h->id;
        HASH_ADD(hh, w->held, held.id.b, sizeof(e->held.id.b), e);
    }
    e->held.is_call = is_call;
    e->held.attempt = h->attempt;
    e->held.generation = h->generation;
    e->held.route_n = h->route.n;
    memcpy(e->held.route, h->route.p ? h->route.p : "", h->route.n);
}

bool
credit_drop(struct worker *w, struct id id)
{
    struct entry *e;

    HASH_FIND(hh, w->held, id.b, sizeof(id.b), e);
    if (e == NULL) {
        return false;
    }
    HASH_DEL(w->held, e);
    free(e);
    return true;
}

size_t
credit_held(const struct worker *w)
{
    return HASH_COUNT(w->held);
}

void
credit_each_held(struct worker *w, void (*fn)(void *, const struct holding *), void *arg)
{
    for (struct entry *e = w->held; e != NULL; e = e->hh.next) {
        fn(arg, &e->held);
    }
}

struct str
worker_route(const struct worker *w)
{
    return (struct str){.p = (const char *)w->route, .n = w->route_n};
}

struct str
worker_service(const struct worker *w)
{
    return (struct str){.p = w->service, .n = w->service_n};
}

uint32_t
worker_pid(const struct worker *w)
{
    return w->pid;
}

uint32_t
worker_free(const struct worker *w)
{
    return w->free;
}

uint32_t
worker_given(const struct worker *w)
{
    return w->given;
}

void **
worker_data(struct worker *w)
{
    return &w->data;
}

void
credit_each(struct credit *c, void (*fn)(void *, struct worker *), void *arg)
{
    struct worker *w, *next;

    HASH_ITER(hh, c->workers, w, next)
    {
        fn(arg, w);
    }
}
