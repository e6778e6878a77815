/* handoff - everything that a person needs who takes a unit over: the row of escalations, and what
 * the topic fte.escalations tells. Pure. */
#ifndef ESCALATOR_HANDOFF_H
#define ESCALATOR_HANDOFF_H

#include "actors/escalator/reason.h"
#include "db/escalation.h"
#include "db/history.h"

#define HANDOFF_TEXT_CHARACTERS 4000            /* of each message of the unit */
#define HANDOFF_EVENT_CONTEXT_BYTES (64 * 1024) /* a larger context is told by its row alone */

struct handoff {
    struct escalation row; /* its text lies in the buffers below */
    const struct reason *reason;
    struct buf evidence, summary, context;
};

/* Reads who and why. 0, and handoff_fini() frees *ret; or ERR_MALFORMED, or ERR_INVALID for a
 * reason that is unknown, and the name of the field in *ret_why (static). */
int handoff_read(const struct envelope *e, struct handoff *ret, const char **ret_why);
/* Fills in summary and context: once, with what the database knew. `customer` may be NULL. */
void handoff_complete(struct handoff *h, const struct envelope *e,
                      const struct escalation_customer *customer, const struct history_row *history,
                      size_t history_n);
/* Appends the record of fte.escalations (JSON) for what was stored. */
void handoff_event(const struct handoff *h, const struct envelope *e,
                   const struct escalation_stored *stored, struct buf *out);
void handoff_fini(struct handoff *h);

#endif
