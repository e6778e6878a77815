/* reply - what the customer wrote now: a message without the text that it quotes and without its
 * signature.
 *
 * A refund that stands in our own quoted mail asks for nothing, and a lawyer in a signature
 * threatens nobody. Pure, line by line; understands the marks of the common mail programs (">", "On
 * ... wrote:",
 * "-----Original Message-----", a block of From/Sent/To/Subject, "-- ", "Sent from my ...") in the
 * languages in which those programs write them. In doubt a line is kept: the customer wrote it.
 */
#ifndef ACTORS_TRIAGE_REPLY_H
#define ACTORS_TRIAGE_REPLY_H

#include "proto/buf.h"
#include "proto/str.h"

/* Appends the customer's own lines to `ret`. Nothing is appended where all of `text` is quoted. */
void reply_text(struct str text, struct buf *ret);

#endif
