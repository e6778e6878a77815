/* intensity - how soon a child that died is started again (pure: crashes and a clock, no process).
 *
 * The first restart is at once, the next ones wait 0.1, 0.2, 0.4 ... 5 s with jitter, so that a
 * child which can't live doesn't eat the machine and many of them don't come at once. A child that
 * had been ready for a second worked: somebody or something killed it, what was before is
 * forgotten, and it is started at once, however often. More than 5 crashes in 60 s, none of them
 * after a second of work: *degraded*; it is then tried every 30 s, for as long as it takes, because
 * OTP's answer (end the whole tree) makes one bad actor an outage of everything. docs/adr/0015 says
 * why. The figures are the table's (struct spec_limits).
 */
#ifndef SUPERVISOR_INTENSITY_H
#define SUPERVISOR_INTENSITY_H

#include "supervisor/spec.h"

#define INTENSITY_KEEP 64 /* crashes that are remembered at most */

struct intensity {
    int64_t crashes[INTENSITY_KEEP]; /* when, in ms; a ring */
    unsigned at;                     /* where the next one goes */
    unsigned known;                  /* how many of the ring are filled */
    unsigned in_a_row;               /* crashes without having been ready for reset_ms between */
    bool degraded;
};

/* A crash at `now_ms` of a child that had been ready for `worked_ms` (0: it never was). Returns
 * after how many milliseconds to start it again. `jitter` in [0, 1) spreads the wait over
 * 0.75..1.25 of its nominal value; what is at once stays at once. */
int64_t intensity_crash(struct intensity *i, const struct spec_limits *limits, int64_t now_ms,
                        int64_t worked_ms, double jitter);
/* Somebody wants it to be a new one: forget. */
void intensity_reset(struct intensity *i);
/* How many crashes there were in the last `period_ms`. */
unsigned intensity_count(const struct intensity *i, int64_t period_ms, int64_t now_ms);

#endif
