/* unit - which records are answered together, and their envelope. Pure. */
#ifndef EDGE_UNIT_H
#define EDGE_UNIT_H

#include "actors/edge/edge.h"

#define UNIT_MAX_BYTES (128 * 1024) /* of records that are composed: leaves the stages room */

/* How many of the records that wait for a conversation make its next unit, and whether that must be
 * made durable first.
 *
 * A record that was composed before goes with the others of its composition: *ret_count = 0 means
 * that they are not all here yet. A record that found its conversation idle (`waited` is false)
 * goes alone, and so does one that an earlier holder may have sent. What waited while an earlier
 * unit was under way goes together as far as it stands in a row, came over one link, and is at most
 * ENVELOPE_MAX_MESSAGES messages and UNIT_MAX_BYTES. */
void unit_count(const struct record *first, bool waited, size_t *ret_count, bool *ret_durable);

/* The `link` of a record's body; nil where there is none. */
struct id unit_link(struct str body);
/* The ids of the messages in it, up to ENVELOPE_MAX_MESSAGES; how many. */
size_t unit_message_ids(struct str body, struct id *ret);

struct unit_head {
    struct id id;
    struct str key;
    uint64_t seq;
    const char *topic;
    int32_t partition;
    int64_t deadline_us;
    const struct buf *errors; /* msgpack strs */
    uint32_t error_n;
};
/* Appends the envelope of the records (in order, at least one) to `out`. */
void unit_encode(const struct unit_head *head, const struct record *records, struct buf *out);

#endif
