#include "actors/ingress/crowd.h"

#include "proto/mem.h"

#include <assert.h>
#include <limits.h>
#include <stdlib.h>
#include <uthash.h>
#include <utlist.h>

struct crowd_home {
    uint32_t address;
    unsigned size;
    struct crowd_member *members;
    UT_hash_handle hh;
};

struct crowd {
    unsigned max, max_of_home;
    size_t bytes_max;
    unsigned size;
    size_t bytes;
    struct crowd_home *homes;
    struct crowd_member *phases[CROWD_PHASES];
};

struct crowd *
crowd_new(unsigned members, unsigned per_address, size_t bytes)
{
    struct crowd *c = xcalloc(1, sizeof(*c));

    c->max = members;
    c->max_of_home = per_address > 0 ? per_address : UINT_MAX;
    c->bytes_max = bytes;
    return c;
}

void
crowd_free(struct crowd **c_p)
{
    assert(*c_p == NULL || (*c_p)->size == 0);
    free(*c_p);
    *c_p = NULL;
}

int64_t
crowd_limit(enum crowd_phase phase)
{
    switch (phase) {
    case CROWD_IDLE:
        return 15000;
    case CROWD_HEAD:
    case CROWD_BODY:
        return 5000;
    case CROWD_WRITE:
        return 10000;
    case CROWD_LINGER:
        return 2000;
    case CROWD_PENANCE:
        return 1000;
    case CROWD_WORK:
    case CROWD_PHASES:
        break;
    }
    return INT64_MAX;
}

/* --- who has to leave ------------------------------------------------------------------------ */

/* An answer is taken from nobody. */
#define AWAITED (1U << CROWD_IDLE | 1U << CROWD_HEAD | 1U << CROWD_BODY)
/* But where memory is short, from who doesn't read it. */
#define KEEPING (1U << CROWD_HEAD | 1U << CROWD_BODY | 1U << CROWD_WRITE)

/* Of these phases, whoever is nearest to the deadline. */
static struct crowd_member *
nearest(const struct crowd *c, unsigned phases)
{
    struct crowd_member *found = NULL;

    for (enum crowd_phase i = 0; i < CROWD_PHASES; i++) {
        struct crowd_member *m = c->phases[i];
        if (m != NULL && (phases & 1U << i) != 0 &&
            (found == NULL || m->until_ms < found->until_ms)) {
            found = m;
        }
    }
    return found;
}

struct crowd_member *
crowd_leaver(const struct crowd *c)
{
    return nearest(c, AWAITED);
}

static struct crowd_member *
leaver_of(const struct crowd_home *home)
{
    struct crowd_member *m = home->members;

    while (m != NULL && (AWAITED & 1U << m->phase) == 0) {
        m = m->home_next;
    }
    return m;
}

bool
crowd_make_room(struct crowd *c, uint32_t address, struct crowd_member **ret_leaver)
{
    struct crowd_home *home;
    struct crowd_member *leaver = NULL;

    HASH_FIND(hh, c->homes, &address, sizeof(address), home);
    if (home != NULL && home->size >= c->max_of_home) {
        leaver = leaver_of(home);
    } else if (c->size >= c->max) {
        leaver = crowd_leaver(c);
    } else {
        *ret_leaver = NULL;
        return true;
    }
    *ret_leaver = leaver;
    return leaver != NULL;
}

/* --- coming and going ------------------------------------------------------------------------ */

static struct crowd_home *
home_of(struct crowd *c, uint32_t address)
{
    struct crowd_home *home;

    HASH_FIND(hh, c->homes, &address, sizeof(address), home);
    if (home == NULL) {
        home = xcalloc(1, sizeof(*home));
        home->address = address;
        HASH_ADD(hh, c->homes, address, sizeof(address), home);
    }
    return home;
}

static void
place(struct crowd *c, struct crowd_member *m, enum crowd_phase phase, int64_t now_ms)
{
    int64_t limit = crowd_limit(phase);

    m->phase = phase;
    m->until_ms = limit == INT64_MAX ? INT64_MAX : now_ms + limit;
    /* All of a phase have the same time, so that the list is in the order of their deadlines. */
    DL_APPEND(c->phases[phase], m);
    DL_APPEND2(m->home->members, m, home_prev, home_next);
}

static void
displace(struct crowd *c, struct crowd_member *m)
{
    DL_DELETE(c->phases[m->phase], m);
    DL_DELETE2(m->home->members, m, home_prev, home_next);
}

void
crowd_enter(struct crowd *c, struct crowd_member *m, uint32_t address, int64_t now_ms)
{
    *m = (struct crowd_member){.address = address, .home = home_of(c, address)};
    m->home->size++;
    c->size++;
    place(c, m, CROWD_HEAD, now_ms);
}

void
crowd_leave(struct crowd *c, struct crowd_member *m)
{
    struct crowd_home *home = m->home;

    displace(c, m);
    c->bytes -= m->bytes;
    c->size--;
    if (--home->size == 0) {
        HASH_DEL(c->homes, home);
        free(home);
    }
    m->home = NULL;
}

void
crowd_phase(struct crowd *c, struct crowd_member *m, enum crowd_phase phase, int64_t now_ms)
{
    displace(c, m);
    place(c, m, phase, now_ms);
}

struct crowd_member *
crowd_weigh(struct crowd *c, struct crowd_member *m, size_t bytes)
{
    struct crowd_member *leaver;

    c->bytes += bytes - m->bytes;
    m->bytes = bytes;
    if (c->bytes <= c->bytes_max) {
        return NULL;
    }
    leaver = nearest(c, KEEPING);
    return leaver != NULL ? leaver : m;
}

bool
crowd_is_full(const struct crowd *c)
{
    return c->bytes >= c->bytes_max - c->bytes_max / 16;
}

struct crowd_member *
crowd_first(const struct crowd *c, enum crowd_phase phase)
{
    return c->phases[phase];
}

/* --- deadlines ------------------------------------------------------------------------------- */

struct crowd_member *
crowd_late(const struct crowd *c, int64_t now_ms)
{
    struct crowd_member *m = nearest(c, ~(1U << CROWD_WORK));

    return m != NULL && m->until_ms <= now_ms ? m : NULL;
}

int
crowd_wait_ms(const struct crowd *c, int64_t now_ms)
{
    const struct crowd_member *m = nearest(c, ~(1U << CROWD_WORK));

    if (m == NULL) {
        return -1;
    }
    return m->until_ms > now_ms ? (int)(m->until_ms - now_ms) : 0;
}

unsigned
crowd_size(const struct crowd *c)
{
    return c->size;
}
