/* json - msgpack values as JSON text, and JSON text in pieces: for jsonb columns and `--json`.
 *
 * Text must be UTF-8 (an envelope's is). A bin of 16 becomes an id's text, other bins null; a key
 * that is not a str is skipped with its value; a float that is no number becomes null.
 */
#ifndef PROTO_JSON_H
#define PROTO_JSON_H

#include "proto/buf.h"
#include "proto/id.h"

#include <msgpack.h>

/* Appends `o` as one JSON value. NULL becomes null. (json_object() is jansson's.) */
void json_msgpack(struct buf *out, const msgpack_object *o);
/* A quoted string; null where s.p is NULL. */
void json_str(struct buf *out, struct str s);
void json_id(struct buf *out, struct id id);
void json_float(struct buf *out, double v);
/* "key": with a comma before it where the buffer doesn't end in an opening bracket. `key` is a
 * constant of ours. */
void json_key(struct buf *out, const char *key);
/* A comma where one is due before the next element of an array. */
void json_comma(struct buf *out);

#endif
