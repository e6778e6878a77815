/* vector - the golden vectors of test/fixture/protocol/, for the tests of the codecs. */
#ifndef TEST_UNIT_PROTO_VECTOR_H
#define TEST_UNIT_PROTO_VECTOR_H

#include "proto/buf.h"

#include <jansson.h>
#include <msgpack.h>

struct vector {
    char name[128];
    json_t *about;   /* NAME.json */
    struct buf data; /* NAME.bin */
};

/* Calls fn for each vector of this frame ("head", "envelope", "body"), in the order of their names.
 * Fails the test where there are none: run from the repository's root. */
void vector_each(const char *frame, void (*fn)(const struct vector *v));
/* A text of the description, "" where it has none. */
const char *vector_text(const struct vector *v, const char *key);
/* Reads hex digits; appends the bytes. */
void vector_unhex(const char *hex, struct buf *out);
/* True if `o` is what the JSON says: bin as {"bin": hex}, floats exactly. */
bool vector_same(const msgpack_object *o, const json_t *j);

#endif
