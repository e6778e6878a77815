/* threading - from a unit to the question which conversation it belongs to. Pure: no database.
 *
 * The rule itself is applied where the rows are, in one statement (db/conversation.h). Here is
 * decided what that statement is asked: who, over which channel, and whether the unit follows a
 * link.
 */
#ifndef TICKETER_THREADING_H
#define TICKETER_THREADING_H

#include "db/conversation.h"

/* Reads the sections `incoming` and `customer` of the envelope. 0, with text borrowed from the
 * envelope; or ERR_MALFORMED and the name of the field in *ret_why (static). ref is left empty. */
int threading_request(const struct envelope *e, struct conversation_request *ret,
                      const char **ret_why);

/* The link that a unit follows: its own, where that was given out for an earlier message; nil where
 * the link is the one that its first message itself begins, or there is none. */
struct id threading_follow(struct id first_message, struct id link);

#endif
