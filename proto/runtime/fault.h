/* fault - named places where a test may kill, stop, delay or fail a process.
 *
 * Only in a build with -DFTE_FAULTS (make FAULTS=1): otherwise FAULT() is nothing at all.
 * FTE_FAULT="ticketer.after_commit:kill@7[,...]": at the seventh time that place is passed, once
 * per state directory (a marker file FTE_STATE_DIR/fault.<name>.<action> is made first, so that the
 * restarted process goes on). Actions: kill (SIGKILL to itself), stop (SIGSTOP), error (FAULT() is
 * true this once), delay=MS. The places that every actor has: <actor>.before_commit, after_commit,
 * before_send, after_send, after_receive; others stand in the code by name (grep FAULT).
 */
#ifndef PROTO_RUNTIME_FAULT_H
#define PROTO_RUNTIME_FAULT_H

#include <stdbool.h>

#ifdef FTE_FAULTS
/* Reads FTE_FAULT; exits 78 if it cannot be understood. */
void fault_init(const char *actor);
/* Passes the place "<actor>.<place>". True if the caller shall fail here. */
bool fault_pass(const char *place);
#define FAULT(place) fault_pass(place)
#else
static inline void
fault_init(const char *actor)
{
    (void)actor;
}
#define FAULT(place) false
#endif

#endif
