/* backoff - how long a delivery waits after it failed. Pure. */
#ifndef EDGE_BACKOFF_H
#define EDGE_BACKOFF_H

#include <stdint.h>

#define BACKOFF_MAX_MS 60000
#define BACKOFF_PATIENT_MAX_MS 1000

/* After the n-th counted failure (1, 2 ...): 0, then 1, 2, 4 ... 60 s. The first is free: most
 * failures are a process that died and is back already. */
int64_t backoff_counted_ms(unsigned failures);
/* After the n-th failure in a row that waiting alone cures: 20 ms doubling to 1 s. */
int64_t backoff_patient_ms(unsigned failures);

#endif
