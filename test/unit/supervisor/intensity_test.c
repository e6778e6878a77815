#include "supervisor/intensity.h"

#include <criterion/criterion.h>

static const struct spec_limits limits = {.crashes = 5,
                                          .period_ms = 60000,
                                          .backoff_min_ms = 100,
                                          .backoff_max_ms = 5000,
                                          .reset_ms = 1000,
                                          .retry_ms = 30000};

/* No jitter: the nominal wait. */
#define EVEN 0.5
#define NEVER_READY 0

Test(intensity, restarts_at_once_then_waits_longer_and_longer)
{
    struct spec_limits patient = limits;
    struct intensity i = {0};
    static const int64_t waits[] = {0, 100, 200, 400, 800, 1600, 3200, 5000, 5000, 5000};

    patient.crashes = 50;
    for (size_t k = 0; k < sizeof(waits) / sizeof(waits[0]); k++) {
        cr_assert_eq(intensity_crash(&i, &patient, (int64_t)k * 1000, NEVER_READY, EVEN), waits[k],
                     "crash %zu", k + 1);
        cr_assert_not(i.degraded);
    }
}

Test(intensity, is_degraded_by_the_sixth_crash_in_a_minute_and_not_by_the_fifth)
{
    struct intensity i = {0};

    for (int k = 0; k < 5; k++) {
        intensity_crash(&i, &limits, k * 11000, NEVER_READY, EVEN);
        cr_assert_not(i.degraded, "crash %d", k + 1);
    }
    cr_assert_eq(intensity_crash(&i, &limits, 55000, NEVER_READY, EVEN), 30000);
    cr_assert(i.degraded);
    cr_assert_eq(intensity_count(&i, limits.period_ms, 55000), 6);
}

Test(intensity, forgets_crashes_that_are_older_than_the_period)
{
    struct intensity i = {0};

    for (int k = 0; k < 40; k++) {
        intensity_crash(&i, &limits, k * 12001, NEVER_READY, EVEN);
        cr_assert_not(i.degraded, "crash %d: never more than five in a minute", k + 1);
    }
}

/* What a person with kill -9 does, or a machine that is short of memory. */
Test(intensity, starts_a_child_that_had_worked_for_a_second_at_once_however_often_it_is_killed)
{
    struct intensity i = {0};

    for (int k = 0; k < 200; k++) {
        cr_assert_eq(intensity_crash(&i, &limits, k * 3000, 2900, EVEN), 0, "kill %d", k + 1);
        cr_assert_not(i.degraded, "kill %d", k + 1);
    }
}

Test(intensity, takes_a_child_for_one_that_cannot_live_when_it_dies_within_a_second_each_time)
{
    struct intensity i = {0};
    int64_t now = 0;
    int crashes = 0;

    for (; !i.degraded; crashes++) {
        now += 50 + 900; /* started, ready for 0.9 s */
        now += intensity_crash(&i, &limits, now, 900, EVEN);
        cr_assert_lt(crashes, 6);
    }
    cr_assert_eq(crashes, 6);
    cr_assert_lt(now - limits.retry_ms, 10000, "known after %lld ms", (long long)now);
}

Test(intensity, forgets_what_was_before_a_second_of_work)
{
    struct intensity i = {0};

    for (int k = 0; k < 5; k++) {
        intensity_crash(&i, &limits, k * 100, NEVER_READY, EVEN);
    }
    cr_assert_eq(intensity_crash(&i, &limits, 3000, 1000, EVEN), 0);
    cr_assert_eq(intensity_crash(&i, &limits, 3100, 999, EVEN), 100, "the second of a new row");
}

Test(intensity, stays_degraded_until_it_has_been_ready_long_enough)
{
    struct intensity i = {0};

    for (int k = 0; k < 6; k++) {
        intensity_crash(&i, &limits, k, NEVER_READY, EVEN);
    }
    /* Two attempts in a minute are few, but nothing has become better. */
    cr_assert_eq(intensity_crash(&i, &limits, 90000, NEVER_READY, EVEN), 30000);
    cr_assert_eq(intensity_crash(&i, &limits, 180000, NEVER_READY, EVEN), 30000);
    cr_assert(i.degraded);
    cr_assert_eq(intensity_crash(&i, &limits, 240000, 20000, EVEN), 0, "a new one: at once");
    cr_assert_not(i.degraded);
}

Test(intensity, spreads_waits_by_a_quarter_both_ways_and_leaves_at_once_alone)
{
    struct intensity low = {0}, high = {0};

    cr_assert_eq(intensity_crash(&low, &limits, 0, NEVER_READY, 0.0), 0);
    cr_assert_eq(intensity_crash(&high, &limits, 0, NEVER_READY, 0.999), 0);
    cr_assert_eq(intensity_crash(&low, &limits, 1, NEVER_READY, 0.0), 75);
    cr_assert_eq(intensity_crash(&high, &limits, 1, NEVER_READY, 0.999), 124);
}

Test(intensity, survives_thousands_of_crashes)
{
    struct intensity i = {0};

    for (int k = 0; k < 10000; k++) {
        int64_t wait = intensity_crash(&i, &limits, k, NEVER_READY, EVEN);
        cr_assert(wait >= 0 && wait <= 30000);
    }
    cr_assert_eq(intensity_count(&i, limits.period_ms, 10000), INTENSITY_KEEP);
}

Test(intensity, tolerates_everything_where_the_table_says_so)
{
    struct spec_limits chaos = limits;
    struct intensity i = {0};

    chaos.crashes = 100000;
    chaos.backoff_min_ms = chaos.backoff_max_ms = 0;
    for (int k = 0; k < 1000; k++) {
        cr_assert_eq(intensity_crash(&i, &chaos, k, NEVER_READY, EVEN), 0);
    }
    cr_assert_not(i.degraded);
}
