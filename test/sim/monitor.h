/* monitor - the protocol (proto/README.md 6, 7), seen from outside: every message between the
 * router and the others is held against rules that know nothing of how either is written. */
#ifndef SIM_MONITOR_H
#define SIM_MONITOR_H

#include "test/sim/net.h"
#include "test/sim/store.h"

void monitor_begin(void);
void monitor_end(void);
extern const struct net_eyes monitor_eyes;
/* A router has started: nobody is known to it. */
void monitor_router_started(void);
/* p is stopped for so long, or was cut off just now (0). */
void monitor_stopped(const struct proc *p, int64_t us);
/* Whoever was stopped goes on. */
void monitor_continued(void);
/* The edge has (again) taken the partition: what it delivers of it begins anew. */
void monitor_claimed(struct proc *edge, int32_t partition);
/* A dead letter is tried again: from the beginning. */
void monitor_replayed(int unit);
/* The edge gives a unit up after so many attempts. */
void monitor_buried(struct proc *edge, int unit, unsigned attempts);
/* Deliveries that ran into their deadline, in this run. */
int monitor_deadlines(void);
/* Counted: messages BUSY, LOST, and deliveries. */
struct monitor_counts {
    uint64_t work, busy, lost, redelivered;
};
struct monitor_counts monitor_counted(void);

#endif
