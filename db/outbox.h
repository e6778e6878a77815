/* outbox - what leaves: the rows that make a reply leave once, and only where nothing else was
 * decided.
 *
 * For each unit there is exactly one of: a reply that was sent, an escalation, a dead letter. A
 * reply is stored only while the conversation is automatic, no escalation of the unit stands and no
 * reply does; the caller holds the customer's lock (db/batch.h), and the update of the conversation
 * holds off whoever hands it to a person meanwhile.
 */
#ifndef DB_OUTBOX_H
#define DB_OUTBOX_H

#include "db/pg.h"

/* A reply of ours on a channel without a provider: stored is delivered. Text is borrowed. */
struct outbox_reply {
    struct id unit, conversation, customer;
    struct str text;
    struct str sources;  /* JSON array, or p NULL */
    bool content;        /* the sentiment check passed: the ticket may be resolved */
    int64_t received_us; /* when ingress had what is answered */
};

enum outbox_outcome {
    OUTBOX_SENT,    /* the reply stands: stored now, or at an earlier delivery of the unit */
    OUTBOX_DEAD,    /* the unit was given up meanwhile: its dead letter is its outcome */
    OUTBOX_REFUSED, /* a person owns the conversation, or the unit: nothing was stored */
};

/* Adds the one statement that stores n replies, no customer twice. */
void outbox_put_delivered(struct pg_txn *t, struct str channel,
                          const struct outbox_reply *const *replies, size_t n);
/* Row `row` of its result, one per unit in any order. */
void outbox_get(const PGresult *r, int row, struct id *ret_unit, enum outbox_outcome *ret_outcome);

#endif
