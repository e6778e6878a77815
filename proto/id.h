/* id - a UUID. Envelopes, customers, conversations, messages: each has one, and each is derived
 * from what it names wherever it can be, so that doing a thing again names the same thing. */
#ifndef PROTO_ID_H
#define PROTO_ID_H

#include "proto/str.h"

#include <stdbool.h>
#include <stdint.h>

#define ID_TEXT_SIZE 37 /* 36 characters and a NUL */

struct id {
    uint8_t b[16];
};

/* UUIDv5 (RFC 9562, 5.5) in this project's namespace of "<space>\x1f<name>".
 * `space` says what kind of thing is named: "envelope:webform", "customer", "reply" ... */
struct id id_derive(const char *space, struct str name);
/* The same, from another id: id_derive_from ("reply", unit). */
struct id id_derive_from(const char *space, struct id from);
/* UUIDv4 from the system's random source. */
struct id id_random(void);
/* Lower-case text with hyphens. */
void id_format(struct id id, char ret_text[ID_TEXT_SIZE]);
/* Reads 36 characters of text. 0 or ERR_MALFORMED. */
int id_parse(struct str text, struct id *ret);
bool id_eq(struct id a, struct id b);
bool id_is_nil(struct id id);

#endif
