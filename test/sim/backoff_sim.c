/* How long a unit waits after failures, and how soon a dead child is started again, against the
 * sentences of proto/README.md 13 and of docs/adr/0015. */
#include "test/sim/sim.h"

#include "actors/edge/backoff.h"
#include "supervisor/intensity.h"

#include <string.h>

#define STEPS 5000

uint64_t
backoff_run(uint64_t seed, struct sim_counts *counts)
{
    struct random r = {seed};

    (void)counts;
    report_begin("backoff", seed);
    while (report_step() < STEPS) {
        uint32_t n = random_once_in(&r, 4) ? (uint32_t)random_u64(&r) : random_below(&r, 20);
        double counted = 1000, patient = 20;
        for (uint32_t i = 3; i <= n && counted < 60000; i++) {
            counted *= 2;
        }
        for (uint32_t i = 2; i <= n && patient < 1000; i++) {
            patient *= 2;
        }
        counted = n <= 1 ? 0 : counted > 60000 ? 60000 : counted;
        patient = n == 0 ? 0 : patient > 1000 ? 1000 : patient;
        REPORT_WANT(backoff_counted_ms(n) == (int64_t)counted, "failure %u waits %lld ms", n,
                    (long long)backoff_counted_ms(n));
        REPORT_WANT(backoff_patient_ms(n) == (int64_t)patient, "patient failure %u waits %lld ms",
                    n, (long long)backoff_patient_ms(n));
    }
    return STEPS;
}

/* --- intensity ------------------------------------------------------------------------------ */

#define CRASHES 2000

/* What it must remember, said as simply as can be: the crashes since it last worked. */
static struct {
    int64_t at[CRASHES];
    int n;
    bool degraded;
} seen;

static double
wanted_ms(const struct spec_limits *l, int64_t now_ms, int64_t worked_ms)
{
    int in_period = 0;
    double wait = (double)l->backoff_min_ms;

    if (worked_ms >= l->reset_ms) {
        seen.n = 0;
        seen.degraded = false;
    }
    seen.at[seen.n++] = now_ms;
    for (int i = 0; i < seen.n; i++) {
        in_period += now_ms - seen.at[i] < l->period_ms;
    }
    seen.degraded = seen.degraded || in_period > (int)l->crashes;
    if (seen.degraded) {
        return (double)l->retry_ms;
    }
    for (int i = 2; i < seen.n && wait < (double)l->backoff_max_ms; i++) {
        wait *= 2;
    }
    wait = wait < (double)l->backoff_max_ms ? wait : (double)l->backoff_max_ms;
    return seen.n == 1 ? 0 : wait;
}

uint64_t
intensity_run(uint64_t seed, struct sim_counts *counts)
{
    struct random r = {seed};
    struct spec_limits l = {.crashes = 1 + random_below(&r, 12),
                            .period_ms = 1000 + random_below(&r, 120000),
                            .backoff_min_ms = random_below(&r, 500),
                            .reset_ms = 1 + random_below(&r, 5000),
                            .retry_ms = 1000 + random_below(&r, 60000)};
    struct intensity i = {0};
    int64_t now = 0;

    (void)counts;
    l.backoff_max_ms = l.backoff_min_ms + random_below(&r, 10000);
    report_begin("intensity", seed);
    memset(&seen, 0, sizeof(seen));
    while (report_step() < CRASHES) {
        double jitter = (double)random_below(&r, 1000) / 1000;
        int64_t worked = random_once_in(&r, 8) ? l.reset_ms - 1 + random_below(&r, 3)
                                               : (int64_t)random_below(&r, 100);
        double want;
        int64_t wait;
        if (random_once_in(&r, 200)) {
            report_event("reset");
            intensity_reset(&i);
            seen.n = 0;
            seen.degraded = false;
        }
        want = wanted_ms(&l, now, worked);
        wait = intensity_crash(&i, &l, now, worked, jitter);
        report_event("crash at %lld after %lld ms of work: %lld ms", (long long)now,
                     (long long)worked, (long long)wait);
        REPORT_WANT(i.degraded == seen.degraded, "degraded: %d", i.degraded);
        REPORT_WANT(wait == (int64_t)(want * (0.75 + jitter / 2)), "waits %lld ms, nominal %f",
                    (long long)wait, want);
        now += wait + worked + random_below(&r, 50);
    }
    return CRASHES;
}
