/* allow - the list of the peers that may connect from other machines.
 *
 * A text file: in each line a public key (Z85, 40 characters), a blank, and a name for people of
 * letters, digits, - _ and . of at most 63 bytes. Lines that are empty or begin with # say
 * nothing. The files NAME.pub of `fte keygen` are such lines.
 */
#ifndef ROUTER_ALLOW_H
#define ROUTER_ALLOW_H

#include "proto/buf.h"
#include "proto/runtime/curve.h"

#include <stdbool.h>

#define ALLOW_NAME_MAX 63

/* Reads the list and looks `key` up; NULL: only reads. 0, and the name in ret_name; ERR_NOT_FOUND;
 * or ERR_INVALID and why in ret_why: the file can't be read, or one of its lines can't be
 * understood (then nobody is let in). */
int allow_find(const char *path, const struct curve_key *key, char ret_name[ALLOW_NAME_MAX + 1],
               struct buf *ret_why);
/* For the option table. */
bool allow_ok(const char *path, struct buf *ret_why);

#endif
