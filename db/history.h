/* history - what a customer and we said to each other, across channels. Read only. */
#ifndef DB_HISTORY_H
#define DB_HISTORY_H

#include "db/pg.h"

#define HISTORY_MESSAGES 20
#define HISTORY_BODY_CHARS 1000 /* of a message; cut at a character, not at a byte */

struct history_question {
    struct id customer;
    struct id unit; /* whose own messages are left out; may be nil */
};

struct history_row {
    int question;         /* index of the question that it answers */
    struct str direction; /* "inbound", "outbound"; all text borrowed from the result */
    struct str author;    /* "customer", "fte", "person" */
    struct str channel;
    struct str body;
    bool cut; /* the body was longer */
    int64_t at_us;
    bool has_sentiment;
    double sentiment;
};

/* Adds the statement that answers n questions: at most HISTORY_MESSAGES rows each, newest first. */
void history_put(struct pg_txn *t, const struct history_question *questions, size_t n);
void history_get(const PGresult *r, int row, struct history_row *ret);

#endif
