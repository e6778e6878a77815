#include "actors/edge/backoff.h"

static int64_t
doubled(int64_t first_ms, unsigned times, int64_t max_ms)
{
    int64_t ms = first_ms;

    for (unsigned i = 0; i < times && ms < max_ms; i++) {
        ms *= 2;
    }
    return ms < max_ms ? ms : max_ms;
}

int64_t
backoff_counted_ms(unsigned failures)
{
    return failures <= 1 ? 0 : doubled(1000, failures - 2, BACKOFF_MAX_MS);
}

int64_t
backoff_patient_ms(unsigned failures)
{
    return failures == 0 ? 0 : doubled(20, failures - 1, BACKOFF_PATIENT_MAX_MS);
}
