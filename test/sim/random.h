/* random - the one source of chance of a simulation: the same seed, the same run. splitmix64
 * (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014). */
#ifndef SIM_RANDOM_H
#define SIM_RANDOM_H

#include <stdbool.h>
#include <stdint.h>

struct random {
    uint64_t state;
};

static inline uint64_t
random_u64(struct random *r)
{
    uint64_t z = (r->state += 0x9e3779b97f4a7c15ULL);

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
}

/* 0 .. n-1. */
static inline uint32_t
random_below(struct random *r, uint32_t n)
{
    return (uint32_t)(((random_u64(r) >> 32) * n) >> 32);
}

/* One time in n. */
static inline bool
random_once_in(struct random *r, uint32_t n)
{
    return random_below(r, n) == 0;
}

#endif
