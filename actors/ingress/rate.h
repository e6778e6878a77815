/* rate - how much one address may ask in a time: token buckets in bounded memory. Any thread.
 *
 * Each address has a bucket that holds that time's worth and fills evenly. The table has a fixed
 * size: where it is full, the bucket that has most left gives way (it loses least by being
 * forgotten), so a flood of addresses can make us forget a limit but never make us grow.
 */
#ifndef ACTORS_INGRESS_RATE_H
#define ACTORS_INGRESS_RATE_H

#include <stdint.h>

struct rate;

/* What things cost, in tenths of a request: a look at a page is a tenth of a message. */
enum rate_cost { RATE_LOOK = 1, RATE_POST = 10 };

/* `posts` in `window_ms`; 0 = no limit. `seed` (random) makes the table's places unpredictable. */
struct rate *rate_new(unsigned posts, int64_t window_ms, uint64_t seed);
void rate_free(struct rate **r_p); /* accepts NULL */

/* Takes `cost` from the bucket of `address` (an IP address as text; of IPv6 the first 64 bits
 * count, as one customer has them all). 0 if there was enough; else the whole seconds (>= 1) after
 * which there will be. */
unsigned rate_take(struct rate *r, const char *address, enum rate_cost cost, int64_t now_ms);

#endif
