/* reason - why a unit goes to a person: the nine codes. */
#ifndef ESCALATOR_REASON_H
#define ESCALATOR_REASON_H

#include "proto/envelope.h"

struct reason {
    const char *code;     /* as in escalations.reason and on the wire */
    const char *sentence; /* for the person who takes over */
};

/* The row of a code, or NULL. */
const struct reason *reason_find(struct str code);
/* Why the unit came here. A conversation that a person owns comes first: then nothing that we think
 * of the message matters. Then what triage found, then what the agent decided. A reply that the
 * sender was refused has no other reason than that a person took over. NULL: a code that we do not
 * know. */
const struct reason *reason_of(const struct envelope *e);

#endif
