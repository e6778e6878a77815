/* response - what the envelope says is to be sent. Pure. */
#ifndef SENDER_RESPONSE_H
#define SENDER_RESPONSE_H

#include "db/outbox.h"
#include "proto/envelope.h"

/* Below this the exchange did not sound content, and its ticket stays open
 * (docs/guide/escalation-rules.md). */
#define RESPONSE_CONTENT -0.3

struct response {
    struct outbox_reply reply; /* text borrowed from the envelope, sources from `json` */
    struct str channel;        /* over which the customer wrote */
    struct buf json;
};

/* Reads the sections `incoming`, `customer`, `ticket`, `triage` and `decision`. 0, and
 * response_fini() frees *ret; or ERR_MALFORMED, or ERR_INVALID where the decision isn't to send,
 * and the name of the field in *ret_why (static). */
int response_read(const struct envelope *e, struct response *ret, const char **ret_why);
void response_fini(struct response *r);

#endif
