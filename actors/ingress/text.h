/* text - UTF-8 that came from a stranger: is it, how long is it, and how to show it. Pure. */
#ifndef ACTORS_INGRESS_TEXT_H
#define ACTORS_INGRESS_TEXT_H

#include "proto/buf.h"
#include "proto/str.h"

#include <stdbool.h>
#include <stddef.h>

/* Valid UTF-8 (NUL is allowed here). */
bool text_is_utf8(struct str s);
/* Characters (code points) of valid UTF-8. */
size_t text_length(struct str s);
/* Without blanks and line ends around it, those of Unicode too. */
struct str text_trim(struct str s);

/* Appends `s` with each byte that is no UTF-8 replaced by the noncharacter U+FFFF. */
void text_mark_invalid(struct str s, struct buf *out);
/* True if U+FFFF stands in `s`. */
bool text_has_mark(struct str s);

/* Appends `s` so that any page or JSON can hold it: what is no UTF-8, control characters but tab
 * and line feed, and noncharacters become U+FFFD. Escaping for HTML is the template's. */
void text_printable(struct str s, struct buf *out);

#endif
