/* cast - the processes around the edge and the router: clients that write, and the stages, which
 * are models under the real runtime (proto/runtime/actor.c, mailbox.c). */
#ifndef SIM_CAST_H
#define SIM_CAST_H

#include "test/sim/world.h"

#define CAST_SLOTS 6 /* of a stage's worker */

/* main() of a worker; proc.data is its struct cast_role. */
struct cast_role {
    const char *name;
    const char *service;
    unsigned slots;
};
extern const struct cast_role cast_roles[]; /* ends with a NULL name */

int cast_stage_main(int argc, char **argv);
int cast_client_main(int argc, char **argv);
/* The real ones, under another name (Makefile). */
int edge_main(int argc, char **argv);
int router_main(int argc, char **argv);

/* Clients write; off: they only repeat what has no answer yet. */
extern bool cast_writing;
/* How a worker that a message killed is killed. */
extern void (*cast_kill)(struct proc *p);

#endif
