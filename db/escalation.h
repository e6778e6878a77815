/* escalation - what is handed to a person: one row a unit, and a conversation that answers itself
 * no more until the person gives it back.
 */
#ifndef DB_ESCALATION_H
#define DB_ESCALATION_H

#include "db/pg.h"

/* Who a customer is, for the person who takes over. Text is borrowed from the result. */
struct escalation_customer {
    struct id id;
    struct str name;        /* p NULL where unknown */
    struct str identifiers; /* JSON array of {kind, value, assurance} */
};

struct escalation {
    struct id unit, conversation, customer;
    const char *reason;  /* one of the codes that the table allows */
    struct str evidence; /* JSON, or p NULL */
    struct str summary;
    struct str context; /* JSON object */
    bool has_sentiment;
    double sentiment;
    int64_t received_us; /* when ingress had the unit's first message */
};

enum escalation_outcome {
    ESCALATION_STORED, /* it stands: since now, or since an earlier delivery of the unit */
    ESCALATION_NONE, /* the unit has another outcome, a reply or a dead letter: nothing to escalate
                      */
};

/* Adds the statement that looks the customers up; a row each for those that exist, in any order. */
void escalation_put_customers(struct pg_txn *t, const struct id *customers, size_t n);
void escalation_get_customer(const PGresult *r, int row, struct escalation_customer *ret);

/* Adds the one statement that stores n escalations, no customer twice; the caller holds the
 * customers' locks (db/batch.h). */
void escalation_put(struct pg_txn *t, const struct escalation *const *escalations, size_t n);

/* What stands now; text borrowed from the result. */
struct escalation_stored {
    struct id unit;
    enum escalation_outcome outcome;
    struct str ref;
    /* the row as it was first stored; unset where there is none */
    struct str reason, summary, context;
    int64_t at_us;
};
/* Row `row`: one per unit, in any order. */
void escalation_get(const PGresult *r, int row, struct escalation_stored *ret);

#endif
