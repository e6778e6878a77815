#include "supervisor/intensity.h"

#include <string.h>

unsigned
intensity_count(const struct intensity *i, int64_t period_ms, int64_t now_ms)
{
    unsigned n = 0;

    for (unsigned k = 0; k < i->known; k++) {
        n += now_ms - i->crashes[k] < period_ms;
    }
    return n;
}

/* 0, then min, 2 min, 4 min ... max. */
static int64_t
nominal_wait(unsigned in_a_row, const struct spec_limits *limits)
{
    int64_t wait = limits->backoff_min_ms;

    if (in_a_row <= 1) {
        return 0;
    }
    for (unsigned k = 2; k < in_a_row && wait < limits->backoff_max_ms; k++) {
        wait *= 2;
    }
    return wait < limits->backoff_max_ms ? wait : limits->backoff_max_ms;
}

int64_t
intensity_crash(struct intensity *i, const struct spec_limits *limits, int64_t now_ms,
                int64_t worked_ms, double jitter)
{
    int64_t wait;

    if (worked_ms >= limits->reset_ms) {
        intensity_reset(i);
    }
    i->crashes[i->at] = now_ms;
    i->at = (i->at + 1) % INTENSITY_KEEP;
    if (i->known < INTENSITY_KEEP) {
        i->known++;
    }
    i->in_a_row++;
    if (limits->crashes < INTENSITY_KEEP &&
        intensity_count(i, limits->period_ms, now_ms) > limits->crashes) {
        i->degraded = true;
    }
    wait = i->degraded ? limits->retry_ms : nominal_wait(i->in_a_row, limits);
    return (int64_t)((double)wait * (0.75 + jitter / 2));
}

void
intensity_reset(struct intensity *i)
{
    memset(i, 0, sizeof(*i));
}
