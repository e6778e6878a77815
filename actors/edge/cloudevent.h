/* cloudevent - a record of the log as a CloudEvent 1.0 of the Kafka binding, binary mode:
 * attributes in headers, a JSON value. Pure: no Kafka here, and no database.
 *
 * https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/kafka-protocol-binding.md
 * docs/asyncapi.yaml describes each topic's records for others. What other producers write to
 * fte.tickets.incoming is checked here, where it can still be told from what is wrong.
 */
#ifndef EDGE_CLOUDEVENT_H
#define EDGE_CLOUDEVENT_H

#include "proto/buf.h"
#include "proto/id.h"
#include "proto/str.h"

#include <stdint.h>

#define CLOUDEVENT_HEADERS 12
#define CLOUDEVENT_DIGEST 16 /* bytes */

struct cloudevent_header {
    const char *name; /* static */
    struct str value;
};

/* One record. Texts are borrowed. */
struct cloudevent {
    const char *topic;
    struct id id;
    struct id unit; /* nil, or what it is part of (struct rlog_record) */
    int unit_at;
    int unit_size;
    uint8_t digest[CLOUDEVENT_DIGEST];
    struct str body; /* as in the log: msgpack, or JSON where its topic holds that */
    struct str trace;
    int64_t time_us;
};

/* The headers and the value of a record. They live in the caller's buffers: `text` holds what the
 * headers point at, and must not change after. Returns how many headers. */
size_t cloudevent_encode(const struct cloudevent *e, struct buf *text,
                         struct cloudevent_header ret[CLOUDEVENT_HEADERS], struct buf *value);

/* Reads a record of fte.tickets.incoming, whoever produced it. `fallback_us` is its time where it
 * names none. The body is made in `body` (cleared first), the rest of *ret borrows from the
 * headers. 0, or ERR_VERSION, ERR_MALFORMED, ERR_INVALID, ERR_TOO_BIG with *ret_why naming what is
 * wrong (static text). ret->id is set in any case where it can be told, else nil. */
int cloudevent_decode(const struct cloudevent_header *headers, size_t n, struct str value,
                      int64_t fallback_us, struct buf *body, struct cloudevent *ret,
                      const char **ret_why);

#endif
