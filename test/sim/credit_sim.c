/* Credit against a table of numbers. */
#include "test/sim/sim.h"

#include "actors/router/credit.h"

#include <stdio.h>
#include <string.h>

#define STEPS 20000
#define WORKERS 12
#define SERVICES 3
#define HOLD_MAX 40

struct account {
    struct worker *w; /* NULL: not there */
    int service;      /* -1: only asks */
    uint64_t free;
    uint64_t turn;
    bool closed;
    uint8_t held[256]; /* by the first byte of the unit's id */
    uint32_t generation[256];
    size_t n;
};

static struct {
    struct credit *credit;
    struct account all[WORKERS];
    struct random random;
    uint64_t turn;
} c;

static const char *const services[SERVICES] = {"triage", "agent", "send_response.webform"};

static struct str
route_of(int i, char room[8])
{
    snprintf(room, 8, "r%d", i);
    return str_of(room);
}

static void
ready(int i)
{
    struct account *a = &c.all[i];
    uint32_t slots = random_once_in(&c.random, 50) ? UINT32_MAX : random_below(&c.random, 5);
    char room[8];

    a->service = (int)random_below(&c.random, SERVICES + 1) - 1;
    a->w = credit_ready(c.credit, route_of(i, room),
                        a->service < 0 ? STR("") : str_of(services[a->service]), slots, 7);
    a->free = slots;
    a->closed = false;
    report_event("ready %d: %u slots of service %d", i, slots, a->service);
}

static void
forget(int i)
{
    report_event("remove %d", i);
    credit_remove(c.credit, c.all[i].w);
    c.all[i] = (struct account){0};
}

/* Who has most; of equals, who was chosen longest ago. */
static int
best_of(int service, bool *ret_served)
{
    int best = -1;

    *ret_served = false;
    for (int i = 0; i < WORKERS; i++) {
        const struct account *a = &c.all[i];
        if (a->w == NULL || a->closed || a->service != service) {
            continue;
        }
        *ret_served = true;
        if (a->free > 0 && (best < 0 || a->free > c.all[best].free ||
                            (a->free == c.all[best].free && a->turn < c.all[best].turn))) {
            best = i;
        }
    }
    return best;
}

static void
take(void)
{
    int service = (int)random_below(&c.random, SERVICES);
    bool served;
    int best = best_of(service, &served);
    struct worker *w = credit_take(c.credit, str_of(services[service]));

    report_event("take of service %d: %d", service, best);
    REPORT_WANT(credit_serves(c.credit, str_of(services[service])) == served, "serves: %d", served);
    if (best < 0) {
        REPORT_WANT(w == NULL, "a worker without a free slot was chosen");
        return;
    }
    REPORT_WANT(w != NULL, "BUSY, though worker %d has %llu slots free", best,
                (unsigned long long)c.all[best].free);
    if (c.all[best].turn > 0) { /* two that were never chosen are equal in everything */
        REPORT_WANT(w == c.all[best].w, "not the one whose turn it is");
    }
    for (int i = 0; i < WORKERS; i++) {
        if (c.all[i].w == w) {
            REPORT_WANT(c.all[i].free == c.all[best].free, "not the one with most free slots");
            c.all[i].free--;
            c.all[i].turn = ++c.turn;
        }
    }
}

static void
hold(struct account *a)
{
    struct id id = {{(uint8_t)random_below(&c.random, HOLD_MAX)}};
    uint32_t generation = random_below(&c.random, 1000);

    credit_hold(a->w, &(struct head){.id = id, .generation = generation, .route = STR("edge")},
                false);
    a->n += !a->held[id.b[0]];
    a->held[id.b[0]] = 1;
    a->generation[id.b[0]] = generation;
}

static void
drop(struct account *a)
{
    struct id id = {{(uint8_t)random_below(&c.random, HOLD_MAX)}};

    REPORT_WANT(credit_drop(a->w, id) == a->held[id.b[0]], "held unit %d: %d", id.b[0],
                a->held[id.b[0]]);
    a->n -= a->held[id.b[0]];
    a->held[id.b[0]] = 0;
}

static void
look(void *arg, const struct holding *h)
{
    struct account *a = arg;

    REPORT_WANT(a->held[h->id.b[0]] == 1, "unit %d is told of and not held, or told twice",
                h->id.b[0]);
    REPORT_WANT(h->generation == a->generation[h->id.b[0]], "an old generation of unit %d",
                h->id.b[0]);
    a->held[h->id.b[0]] = 2;
}

static void
look_at(struct account *a)
{
    size_t n = 0;

    REPORT_WANT(worker_free(a->w) == a->free, "%u slots free, announced were %llu",
                worker_free(a->w), (unsigned long long)a->free);
    REPORT_WANT(credit_held(a->w) == a->n, "holds %zu units, not %zu", credit_held(a->w), a->n);
    credit_each_held(a->w, look, a);
    for (int i = 0; i < 256; i++) {
        n += a->held[i] == 2;
        a->held[i] = a->held[i] != 0;
    }
    REPORT_WANT(n == a->n, "told of %zu units, not of %zu", n, a->n);
}

static void
step(void)
{
    int i = (int)random_below(&c.random, WORKERS);
    struct account *a = &c.all[i];
    uint32_t slots = random_once_in(&c.random, 100) ? UINT32_MAX : random_below(&c.random, 3);

    if (a->w == NULL) {
        ready(i);
        return;
    }
    switch (random_below(&c.random, 16)) {
    case 0:
        ready(i);
        break;
    case 1:
        random_once_in(&c.random, 4) ? forget(i) : look_at(a);
        break;
    case 2:
        report_event("close %d", i);
        credit_close(a->w);
        a->closed = true;
        break;
    case 3:
    case 4:
    case 5:
        report_event("%u more for %d", slots, i);
        credit_add(a->w, slots);
        a->free = a->free + slots > UINT32_MAX ? UINT32_MAX : a->free + slots;
        break;
    case 6:
    case 7:
        hold(a);
        break;
    case 8:
    case 9:
        drop(a);
        break;
    default:
        take();
    }
}

uint64_t
credit_run(uint64_t seed, struct sim_counts *counts)
{
    char room[8];

    (void)counts;
    report_begin("credit", seed);
    memset(&c, 0, sizeof(c));
    c.random.state = seed;
    c.credit = credit_new();
    while (report_step() < STEPS) {
        step();
        for (int i = 0; i < WORKERS; i++) {
            REPORT_WANT(credit_find(c.credit, route_of(i, room)) == c.all[i].w, "worker %d", i);
            REPORT_WANT(c.all[i].w == NULL || worker_free(c.all[i].w) == c.all[i].free,
                        "worker %d has %u slots free, announced were %llu", i,
                        worker_free(c.all[i].w), (unsigned long long)c.all[i].free);
        }
    }
    credit_free(&c.credit);
    return STEPS;
}
