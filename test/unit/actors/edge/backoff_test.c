#include "actors/edge/backoff.h"

#include <criterion/criterion.h>

Test(backoff, gives_the_first_failure_free_then_doubles_to_a_minute)
{
    const int64_t seconds[] = {0, 1, 2, 4, 8, 16, 32, 60, 60};

    for (unsigned i = 0; i < sizeof(seconds) / sizeof(seconds[0]); i++) {
        cr_assert_eq(backoff_counted_ms(i + 1), seconds[i] * 1000, "failure %u", i + 1);
    }
    cr_assert_eq(backoff_counted_ms(4000000000u), BACKOFF_MAX_MS);
}

Test(backoff, is_short_while_waiting_alone_cures)
{
    const int64_t ms[] = {20, 40, 80, 160, 320, 640, 1000, 1000};

    for (unsigned i = 0; i < sizeof(ms) / sizeof(ms[0]); i++) {
        cr_assert_eq(backoff_patient_ms(i + 1), ms[i], "failure %u", i + 1);
    }
    cr_assert_eq(backoff_patient_ms(4000000000u), BACKOFF_PATIENT_MAX_MS);
}
