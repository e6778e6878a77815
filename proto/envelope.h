/* envelope - one unit of a customer's conversation on its way through the stages.
 *
 * An envelope is one msgpack map (proto/README.md). Its `body` is a map of sections. The edge
 * starts it with `incoming`; each stage reads the sections of those before it and adds one of its
 * own:
 *
 *   incoming (edge) -> customer (identity) -> ticket (ticketer) -> triage (triage) -> decision
 * (agent)
 *
 * What a stage does not know it passes on untouched: fields may be added without a new version.
 */
#ifndef PROTO_ENVELOPE_H
#define PROTO_ENVELOPE_H

#include "proto/buf.h"
#include "proto/id.h"
#include "proto/str.h"

#include <msgpack.h>
#include <stdbool.h>
#include <stdint.h>

#define ENVELOPE_VERSION 1
#define ENVELOPE_MAX_MESSAGES 32 /* messages of a burst that are answered together */

/* A decoded envelope. All that it points at belongs to it. */
struct envelope {
    struct id id;    /* UUIDv5 (channel, provider's message id) of the unit */
    struct str key;  /* conversation key: order is kept within it */
    uint64_t seq;    /* of the edge: rises with every delivery of this process */
    struct str kind; /* "message" */
    struct {
        struct str topic;
        int32_t partition;
        int64_t offset;
    } source;              /* of the newest record that it holds */
    int64_t received_us;   /* Unix time in microseconds: when ingress had the first message */
    int64_t deadline_us;   /* Unix time: after it the edge delivers it again */
    struct str trace;      /* W3C traceparent, or empty */
    msgpack_object body;   /* a map: the sections */
    msgpack_object errors; /* an array of texts: what went wrong at earlier attempts, or nil */
    msgpack_unpacked own_; /* private: the memory behind it all */
    char *bytes_;          /* private */
};

/* Reads and checks a whole envelope: size, depth, version, every field, all text UTF-8 without NUL.
 * The bytes are copied. 0 and a fresh envelope (free with envelope_free()), or ERR_TOO_BIG,
 * ERR_VERSION, ERR_MALFORMED, with *ret_why naming the field (static text). */
int envelope_decode(const void *data, size_t size, struct envelope **ret, const char **ret_why);
/* Accepts NULL. Sets *e_p to NULL. */
void envelope_free(struct envelope **e_p);

/* Appends `e` to `out` as it is, with the section `name` added (or replaced) where name isn't NULL.
 * `section` is one packed msgpack value. */
void envelope_encode(const struct envelope *e, const char *name, struct str section,
                     struct buf *out);

/* A section of the body, or NULL. */
const msgpack_object *envelope_section(const struct envelope *e, const char *name);

/* --- reading msgpack maps: each returns its "absent" value where the key is missing or of another
 * type, so that a reader checks once what it needs. --- */
const msgpack_object *map_get(const msgpack_object *map, const char *key);
struct str map_str(const msgpack_object *map, const char *key); /* absent: {NULL, 0} */
bool map_int(const msgpack_object *map, const char *key, int64_t *ret);
bool map_float(const msgpack_object *map, const char *key, double *ret); /* takes integers too */
bool map_bool(const msgpack_object *map, const char *key);               /* absent: false */
bool map_id(const msgpack_object *map, const char *key, struct id *ret); /* bin of 16 bytes */
const msgpack_object *map_array(const msgpack_object *map, const char *key); /* absent: NULL */

/* --- writing msgpack --- */
void pack_key(msgpack_packer *pk, const char *key);
void pack_str(msgpack_packer *pk, struct str s); /* a str; nil where s.p is NULL */
void pack_c(msgpack_packer *pk, const char *c);
void pack_id(msgpack_packer *pk, struct id id); /* bin of 16 */

/* A packed value decoded on its own (bodies of CALL and RETURN): size and depth are checked.
 * 0, or ERR_TOO_BIG / ERR_MALFORMED. msgpack_unpacked_destroy() frees *ret,
 * after an error, too. */
int body_decode(const void *data, size_t size, msgpack_unpacked *ret);

#endif
