/* wire - is this one msgpack value, and such a one as the grammar allows (proto/README.md, 8)?
 *
 * Asked of all bytes from outside before msgpack_unpack() sees them: that one believes the length
 * that an array claims and asks for memory for all of it at once (4 G elements: 96 GiB).
 */
#ifndef PROTO_WIRE_H
#define PROTO_WIRE_H

#include <stdbool.h>
#include <stddef.h>

/* True if the bytes are exactly one value: nothing cut off and nothing behind it, nested at most
 * PROTO_MAX_DEPTH deep, every str text (str_is_text), every key of a map a str, no extension types.
 */
bool wire_ok(const void *data, size_t size);

#endif
