/* ticket - a ticket's reference, and what a person sees of tickets.
 *
 * A reference is TKT- and six characters of Crockford's base 32: a permutation of 30 bits, keyed by
 * the database, of a number that only rises. So two numbers never give the same reference, and who
 * knows one reference can't tell the next.
 */
#ifndef DB_TICKET_H
#define DB_TICKET_H

#include "db/pg.h"

#define TICKET_REF_SIZE 11 /* "TKT-7F3K9Q" and a NUL */
#define TICKET_KEY_SIZE 32
#define TICKET_BLOCK 256 /* numbers taken at a time: the sequence's increment */
#define TICKET_NUMBERS (1U << 30)

/* The reference of a number below TICKET_NUMBERS. Pure. */
void ticket_ref(const uint8_t key[TICKET_KEY_SIZE], uint32_t number, char ret[TICKET_REF_SIZE]);
/* True for text of that form; small letters and a missing "TKT-" are taken as people type them.
 * Fills in the normal form. */
bool ticket_ref_parse(struct str text, char ret[TICKET_REF_SIZE]);

/* A supply of references for whoever opens tickets. Numbers that are left over at the end of the
 * process are never used. */
struct ticket_refs {
    uint8_t key[TICKET_KEY_SIZE];
    uint32_t next, left;
};

/* Adds the statement that fetches the key and a block of numbers; ticket_refs_take() reads its
 * result. A block may also be fetched in the transaction of a batch: what matters is that it is
 * taken after the commit. */
void ticket_refs_put(struct pg_txn *t);
/* Adds the block to the supply. False where the result isn't usable. */
bool ticket_refs_take(struct ticket_refs *refs, const PGresult *r);
/* The next reference; there must be one left. */
void ticket_refs_next(struct ticket_refs *refs, char ret[TICKET_REF_SIZE]);

#endif
