/* customer - who wrote: get-or-create of customers by their identifiers.
 *
 * "claimed" (typed into a form) and "verified" (the channel proved it) are kept apart: the same
 * address claimed and verified are two identifiers, and may be two customers until a person merges
 * them. A form's telephone number is kept, but resolves nobody.
 */
#ifndef DB_CUSTOMER_H
#define DB_CUSTOMER_H

#include "db/pg.h"
#include "proto/id.h"
#include "proto/str.h"

#include <stdbool.h>
#include <stddef.h>

/* One message's sender; all text is borrowed. */
struct customer_claim {
    const char *kind;      /* "email", "whatsapp" */
    const char *assurance; /* "claimed", "verified" */
    struct str value;      /* normal form (actors/identity/contact.h, phone.h) */
    struct str name;       /* as given with the message, or empty */
    struct str phone; /* another number that was given (E.164), or empty: kept, resolves nobody */
};

/* What was found or made for a claim. */
struct customer_found {
    struct id id;
    bool known; /* the customer was there before this transaction */
};

/* The id that a customer gets who is first seen by this claim: the same for every process and every
 * replay, so that a race makes one row. */
struct id customer_id(const struct customer_claim *claim);

/* Adds the statements that find or make the customers of `n` claims, in one commit with whatever
 * else is in `t`. Rows are locked in the order of their ids, so two such transactions can't block
 * each other for ever. Returns how many statements were added (results). */
int customer_resolve(struct pg_txn *t, const struct customer_claim *claims, size_t n);

/* Reads the results of customer_resolve() whose first one is `results`[0]: ret_found[i] for claim
 * i. False if one is missing (somebody erased the customer meanwhile). */
bool customer_read(PGresult *const *results, int count, struct customer_found *ret_found, size_t n);

#endif
