#include "actors/ingress/rate.h"

#include "proto/buf.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { SETS = 1024, WAYS = 8 };

struct bucket {
    uint64_t address; /* 0 = free */
    int64_t at_ms;    /* when `level` was right */
    int64_t level;    /* in thousandths of RATE_LOOK; a full bucket has r->full */
};

struct rate {
    pthread_mutex_t mutex;
    uint64_t seed;
    int64_t full;
    int64_t window_ms; /* in which a bucket fills */
    struct bucket sets[SETS][WAYS];
};

struct rate *
rate_new(unsigned posts, int64_t window_ms, uint64_t seed)
{
    struct rate *r = xcalloc(1, sizeof(*r));

    pthread_mutex_init(&r->mutex, NULL);
    r->seed = seed;
    r->full = (int64_t)posts * RATE_POST * 1000;
    r->window_ms = window_ms;
    return r;
}

void
rate_free(struct rate **r_p)
{
    if (*r_p != NULL) {
        pthread_mutex_destroy(&(*r_p)->mutex);
        free(*r_p);
        *r_p = NULL;
    }
}

/* The 64 bits that stand for an address; never 0. */
static uint64_t
address_bits(const char *address)
{
    struct in6_addr six;
    struct in_addr four;
    uint64_t bits = 0;

    if (inet_pton(AF_INET, address, &four) == 1) {
        bits = UINT64_C(1) << 32 | four.s_addr;
    } else if (inet_pton(AF_INET6, address, &six) == 1) {
        if (IN6_IS_ADDR_V4MAPPED(&six)) {
            memcpy(&four.s_addr, six.s6_addr + 12, sizeof(four.s_addr));
            return UINT64_C(1) << 32 | four.s_addr;
        }
        memcpy(&bits, six.s6_addr, sizeof(bits));
    }
    return bits != 0 ? bits : 1;
}

/* Mixes so that an attacker who doesn't know the seed can't choose the set (splitmix64). */
static size_t
set_of(const struct rate *r, uint64_t bits)
{
    uint64_t x = bits ^ r->seed;

    for (int i = 0; i < 2; i++) {
        x += UINT64_C(0x9e3779b97f4a7c15) + r->seed;
        x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
        x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
        x ^= x >> 31;
    }
    return (size_t)(x % SETS);
}

static int64_t
level_at(const struct rate *r, const struct bucket *b, int64_t now_ms)
{
    int64_t since = now_ms > b->at_ms ? now_ms - b->at_ms : 0;

    if (since >= r->window_ms) {
        return r->full;
    }
    int64_t level = b->level + r->full * since / r->window_ms;
    return level < r->full ? level : r->full;
}

static struct bucket *
bucket_of(struct rate *r, uint64_t bits, int64_t now_ms)
{
    struct bucket *set = r->sets[set_of(r, bits)];
    struct bucket *best = NULL;
    int64_t most = -1;

    for (int i = 0; i < WAYS; i++) {
        if (set[i].address == bits) {
            return &set[i];
        }
        int64_t left = set[i].address == 0 ? r->full + 1 : level_at(r, &set[i], now_ms);
        if (left > most) {
            most = left;
            best = &set[i];
        }
    }
    *best = (struct bucket){.address = bits, .at_ms = now_ms, .level = r->full};
    return best;
}

unsigned
rate_take(struct rate *r, const char *address, enum rate_cost cost, int64_t now_ms)
{
    uint64_t bits = address_bits(address);
    int64_t price = (int64_t)cost * 1000;
    int64_t level;
    unsigned wait = 0;
    struct bucket *b;

    if (r->full == 0) {
        return 0;
    }
    pthread_mutex_lock(&r->mutex);
    b = bucket_of(r, bits, now_ms);
    level = level_at(r, b, now_ms);
    if (level >= price) {
        b->level = level - price;
        b->at_ms = now_ms;
    } else {
        /* Left as it is, so that no rounding is lost by asking often. */
        int64_t ms = ((price - level) * r->window_ms + r->full - 1) / r->full;
        wait = (unsigned)((ms + 999) / 1000);
    }
    pthread_mutex_unlock(&r->mutex);
    return wait;
}
