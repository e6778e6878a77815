/* strategy - what to do when a child ends (pure: no process, no clock).
 *
 * OTP's rules: the restart type says whether it comes back, the strategy who else is restarted.
 */
#ifndef SUPERVISOR_STRATEGY_H
#define SUPERVISOR_STRATEGY_H

#include "supervisor/spec.h"

/* How a child ended. */
enum exit_kind {
    EXIT_NORMAL,   /* exit code 0 */
    EXIT_CRASH,    /* any other code, or a signal */
    EXIT_CONFIG_78 /* exit code 78: starting it again can't help before a person has done something
                    */
};

/* What becomes of it. */
enum after_exit {
    AFTER_RESTART,       /* it is started again */
    AFTER_END,           /* it has done its work, or isn't wanted again */
    AFTER_MISCONFIGURED, /* it stays away until `fte restart` */
};

/* Of a status as waitpid(2) gives it. */
enum exit_kind exit_kind_of(int wait_status);
/* Whether a child that ended by itself is restarted. */
enum after_exit strategy_after(enum spec_restart restart, enum exit_kind kind);
/* True if the restart of row `dead` makes row `other` of the table stop as well and, unless it is
 * temporary, start again. Never asked for dead == other: the other workers of the same row are
 * interchangeable and stay as they are. */
bool strategy_takes_along(enum spec_strategy strategy, size_t dead, size_t other);

const char *exit_kind_str(enum exit_kind k);

#endif
