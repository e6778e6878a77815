/* webhook - the contract of a source: a path over which another system gives us what customers
 * wrote.
 *
 * ingress owns the way from the socket to the log; a source only says where it listens, how the
 * sender proves who it is, and what its body means. Adding one is a row of the table in ingress.c
 * and a file webhook_<name>.c. (The web form is not a source: a person waits for its answer.)
 *
 * Both functions are pure, run on a worker thread, and see the body once it is whole. Nothing of a
 * body is looked at before verify() has said yes, and a source without the settings that it needs
 * for that answers no to everything: it fails closed.
 */
#ifndef ACTORS_INGRESS_WEBHOOK_H
#define ACTORS_INGRESS_WEBHOOK_H

#include "actors/ingress/request.h"
#include "proto/buf.h"
#include "proto/id.h"

#include <stdbool.h>
#include <stddef.h>

/* A record for the log. */
struct webhook_record {
    const char *topic; /* static: "fte.channels.whatsapp.inbound" */
    struct id id;      /* derived from the provider's message id, so that a repeat is absorbed */
    struct buf key;    /* the conversation key */
    struct buf body;   /* packed */
};

struct webhook {
    const char *path; /* "/webhooks/whatsapp" */
    const char *name; /* in metrics and log lines */
    /* True if the request comes from whom it says it does. `settings` is what the source's own
     * start-up made of its options. */
    bool (*verify)(const void *settings, const struct request *r);
    /* Appends what the log shall hold, the raw record first. 0 (with none: nothing to do, answer
     * 2xx); or ERR_MALFORMED / ERR_INVALID, answered 4xx. The caller frees what is in `ret`. */
    int (*parse)(const void *settings, const struct request *r, struct webhook_record *ret,
                 size_t max, size_t *ret_n);
    /* The answer that the provider wants to a message that the log has: 200 with a body, or 204. */
    int status;
    const char *type, *body;
};

#endif
