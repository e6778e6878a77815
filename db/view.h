/* view - what a person is shown of tickets and customers, as one JSON value each.
 *
 * For the command line; times are text in UTC. Each function adds one statement to the caller's
 * transaction, whose result has one row and column with the JSON, or no row where there is nothing.
 */
#ifndef DB_VIEW_H
#define DB_VIEW_H

#include "db/pg.h"

#define VIEW_LIST_MAX 10000

/* Tickets by their last change, newest first: [{ref, status, owner, channel, subject, customer,
 * messages, created_at, updated_at}]. `status` may be empty: all. */
void view_tickets(struct pg_txn *t, struct str status, int64_t limit);
/* One ticket with customer, conversation, messages, escalations, notes and the evidence of each
 * turn. */
void view_ticket(struct pg_txn *t, struct str ref);
void view_ticket_by_id(struct pg_txn *t, struct id id);
/* Customers with an identifier of this normal form, or with this id: [{id, name, identifiers,
 * conversations}]. */
void view_customers(struct pg_txn *t, struct str value);
void view_customer_by_id(struct pg_txn *t, struct id id);

/* The JSON text, borrowed; p NULL where there is nothing. */
struct str view_get(const PGresult *r);

#endif
