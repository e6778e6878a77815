/* handling - what a person does with a ticket: answers it, gives its conversation back, closes it.
 *
 * Each is one transaction that begins at the gate of the stages: the customer's lock (db/batch.h),
 * then the row of the conversation. So it comes before or after what a sender, an escalator or a
 * ticketer stores, and never between. A message that was on its way to a person when the
 * conversation was given back is still escalated, and the conversation is a person's again.
 * Doing a thing again changes nothing.
 */
#ifndef DB_HANDLING_H
#define DB_HANDLING_H

#include "db/pg.h"
#include "db/ticket.h"

#define HANDLING_TEXT_MAX 40000 /* bytes of an answer: 10,000 characters, as in the form */

/* Which ticket: its reference, or its id where `ref` is "". */
struct handling_ticket {
    char ref[TICKET_REF_SIZE];
    struct id id;
};

/* A person's answer, a message under the id `message`. It goes to the newest message of the
 * customer whose escalation is open, else to the newest one; its status page shows it (on the web
 * form, stored is delivered). Open escalations of the ticket become 'taken'; owner and status stay.
 */
void handling_reply(struct pg_txn *t, const struct handling_ticket *ticket, struct id message,
                    struct str text);
/* Gives the conversation back: owner 'automatic', ticket 'open', its escalations 'closed', a note.
 */
void handling_release(struct pg_txn *t, const struct handling_ticket *ticket);
/* Ends it: ticket and escalations 'closed', a note. What the customer writes over a status page of
 * it later opens it again, and is answered automatically. */
void handling_close(struct pg_txn *t, const struct handling_ticket *ticket);

enum handling_outcome {
    HANDLING_DONE,     /* now */
    HANDLING_STANDS,   /* it was so already: nothing was changed */
    HANDLING_UNKNOWN,  /* there is no such ticket */
    HANDLING_CONFLICT, /* handling_reply(): another message has this id */
};

/* The ticket as it stands now; text is borrowed from the result. */
struct handling_result {
    enum handling_outcome outcome;
    struct id ticket;
    struct str ref, status, owner;
};
void handling_get(const struct pg_reply *reply, struct handling_result *ret);

#endif
