/* conversation - which conversation a unit belongs to, with its ticket and its messages: found or
 * made.
 *
 * The rule, for a unit of a customer on a channel (the caller holds the customer's lock,
 * db/batch.h):
 *   1. a unit that is stored keeps its conversation: a replay changes nothing;
 *   2. a reply over a status link joins the link's conversation, unless that is closed and another
 * is open; a closed one is opened again;
 *   3. otherwise it joins the open conversation of the same customer and channel, if anything
 * happened in it within the window; an older one is closed;
 *   4. otherwise it begins a new one, whose id is the unit's, with its ticket.
 * A new message in a conversation whose ticket is resolved or closed opens the ticket again.
 */
#ifndef DB_CONVERSATION_H
#define DB_CONVERSATION_H

#include "db/ticket.h"
#include "proto/envelope.h"

struct conversation_message {
    struct id id;
    struct str text;
    int64_t at_us; /* when ingress had it */
};

/* A unit that asks for its conversation. Text is borrowed. */
struct conversation_request {
    struct id unit; /* id of its first message */
    struct id customer;
    struct id link;   /* the status page over which it came */
    struct id follow; /* the link whose conversation it continues, or nil */
    struct str channel;
    struct str subject, category, priority; /* p NULL where absent */
    char ref[TICKET_REF_SIZE];              /* for the ticket, if there is none yet */
    struct conversation_message messages[ENVELOPE_MAX_MESSAGES];
    size_t n;
};

/* What it got. Text is borrowed from the result. */
struct conversation_place {
    struct id unit;
    bool known; /* it was stored before */
    bool whole; /* its messages stand under this unit, all of them */
    struct id conversation;
    struct str ref;
    bool human; /* a person owns the conversation: no automatic reply */
    bool has_previous;
    double previous_sentiment; /* of the newest earlier exchange that has one */
};

/* Number of statements that conversation_put() adds; its last gives the places. */
#define CONVERSATION_STMTS 2

/* Adds the statements for n units, no customer twice. `window_ms` as in rule 3. */
void conversation_put(struct pg_txn *t, const struct conversation_request *const *requests,
                      size_t n, int64_t window_ms);
/* Row `row` of the last statement's result; there is one per unit, in any order. */
void conversation_get(const PGresult *r, int row, struct conversation_place *ret);

#endif
