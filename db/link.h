/* link - what came in and what went out over one link, and nothing else of the conversation.
 *
 * Anyone can type anyone's address into a form. So a status page shows the messages that were sent
 * over its own link, and the replies and escalations of the units that those messages are part of.
 */
#ifndef DB_LINK_H
#define DB_LINK_H

#include "db/pg.h"
#include "proto/buf.h"
#include "proto/id.h"
#include "proto/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What the newest message of the link has come to. */
enum link_status {
    LINK_RECEIVED,   /* the log has it; no stage has stored it yet */
    LINK_PROCESSING, /* stored; no outcome yet */
    LINK_ANSWERED,   /* a reply stands below */
    LINK_ESCALATED,  /* a person has it: by a rule, or because it could not be processed */
};
const char *link_status_str(enum link_status s); /* "received" ...; static */

struct link_message {
    struct id id;
    bool inbound;
    bool person; /* outbound: written by a person, not by us */
    struct str body;
    int64_t at_us;
    struct str sources; /* JSON array of {id, title, url?}; .p NULL where there are none */
};

struct link_state {
    enum link_status status;
    char ticket[16]; /* "TKT-7F3K9Q"; "" while there is none */
    char reason[32]; /* why it was escalated, else ""; "dead_letter" where it could not be processed
                      */
    struct link_message *messages; /* in their order; a reply behind the last message it answers */
    size_t n;
    char *memory_; /* private */
};
void link_state_fini(struct link_state *s);

/* Adds one statement (one result) that reads the link. */
void link_read(struct pg_txn *t, struct id link);
/* Copies what it has found. `pending` is a message that was accepted over the link (nil = none is
 * known): as long as it isn't stored, the status is LINK_RECEIVED. link_state_fini() afterwards. */
void link_state_read(const PGresult *r, struct id pending, struct link_state *ret);

/* Adds one statement that reads the addresses that name the customer whose link it is: one row
 * each, pg_text (r, row, 0) in normal form; no row while nothing is stored that came over the link.
 */
void link_email(struct pg_txn *t, struct id link);

#endif
