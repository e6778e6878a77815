/* net - ZeroMQ as the processes of a world see it: one ROUTER that binds, and DEALERs that connect
 * to it, over channels that keep their order, take their time, and lose what ZeroMQ loses when an
 * end dies.
 *
 * What is modelled of ZeroMQ:
 *  - A channel is first in, first out; nothing is lost while both ends live and are connected.
 *  - A process that is killed: of what it had sent, a part of unknown length still arrives, then
 *    its route is unreachable (ZMQ_ROUTER_MANDATORY).
 *  - A router that is killed: what it had not read is lost, and so is a part of what was on its way
 *    to it; the rest stays in the DEALERs' pipes and goes to the next router. Of what it had sent,
 *    a part still arrives. DEALERs try again every 20 to 500 ms.
 */
#ifndef SIM_NET_H
#define SIM_NET_H

#include "proto/str.h"
#include "test/sim/world.h"

/* Who looks at the messages; `head` is the frame as it was sent. */
struct net_eyes {
    void (*router_got)(struct proc *from, struct str head);
    void (*router_sent)(struct proc *to, struct str head);
    void (*actor_got)(struct proc *p, struct str head, struct str body);
    void (*actor_sent)(struct proc *p, struct str head, struct str body);
    void (*unreachable)(struct proc *p); /* the router will hear no more of it */
};
void net_begin(const struct net_eyes *eyes);
void net_end(void);
/* The connection of p breaks, and is made again. */
void net_cut(struct proc *p);
/* A message to p that no router has sent: one head. */
void net_say(struct proc *p, struct str head);
/* True while the router can send to p. */
bool net_reaches(const struct proc *p);

#endif
