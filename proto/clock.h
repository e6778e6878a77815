/* clock - the two clocks of the house. */
#ifndef PROTO_CLOCK_H
#define PROTO_CLOCK_H

#include <stdint.h>

/* Milliseconds on CLOCK_MONOTONIC: for how long, never for when. */
int64_t clock_ms(void);
/* Unix time in microseconds (CLOCK_REALTIME): for when, never for how long. */
int64_t clock_unix_us(void);

#endif
