/* state - what the supervisor finds around it when it begins: descriptors, settings, and the state
 * directory with the lock that says "one supervisor at a time".
 *
 * All of these print one line to stderr where something is wrong.
 */
#ifndef SUPERVISOR_STATE_H
#define SUPERVISOR_STATE_H

#include <stddef.h>
#include <stdint.h>

/* Whatever we inherited beside 0, 1, 2 (make's job server, somebody's socket) is not for children;
 * and 0, 1, 2 are open for sure, so that none of our descriptors becomes one of them. */
void state_close_inherited(void);
/* The directory of this binary. 0, or -1. */
int state_bin_dir(char *ret, size_t room);
/* FTE_DRAIN_BUDGET: "45s", or plain seconds. 0, or -1. */
int state_drain_budget(int64_t *ret_ms);
/* Opens FTE_STATE_DIR (made where it is missing, mode 0700; the variable is set to its absolute
 * path) and locks its file supervisor.pid. Kept open, so locked, as long as the process lives,
 * whatever ends it. 0 and *ret_dir, or an exit code. */
int state_open(int *ret_dir);
void state_close(int dir);

#endif
