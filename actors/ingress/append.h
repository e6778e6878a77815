/* append - gives a message to the log, by way of the edge, and waits until it is durable. */
#ifndef ACTORS_INGRESS_APPEND_H
#define ACTORS_INGRESS_APPEND_H

#include "actors/ingress/ingress.h"
#include "proto/id.h"
#include "proto/str.h"

#include <stdint.h>

#define APPEND_MS 4000 /* all attempts together */

/* What one message is for the log. Text is borrowed. */
struct append_message {
    struct id id;
    struct id link;
    const char *key;         /* conversation key */
    struct str email;        /* normal form */
    const struct form *form; /* what was typed */
    int64_t at_us;           /* when it came */
    const char *media;       /* of the raw record */
    struct str raw;          /* the body as it came */
};

/* The two records of a message (raw, and normal form) as the edge takes them, one behind the other.
 * Pure. Appends to `out`; ERR_TOO_BIG where no message between actors may be that long. */
int append_pack(const struct append_message *m, struct buf *out);

/* Worker: asks the edge, again while it is only away, for APPEND_MS. 0: durable, now or before;
 * ERR_CONFLICT: the id is taken by another content; ERR_TOO_BIG; ERR_INTERNAL: refused for a reason
 * that is ours; ERR_UNAVAILABLE: not known to be durable, to be sent again. *ret_repeated is true
 * where the log had it already. */
int append_message(struct ingress *in, const struct append_message *m, bool *ret_repeated);

/* Loop: sends the messages that wait, as many together as go into one question. */
void append_flush(void *ingress);

#endif
