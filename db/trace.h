/* trace - what happened to a message, step by step, as the tables tell it (fte trace). */
#ifndef DB_TRACE_H
#define DB_TRACE_H

#include "db/pg.h"
#include "proto/id.h"

/* One result, by rising time: a row for each step of the unit that this message (or unit) belongs
 * to. Nothing that a customer wrote. */
enum trace_column {
    TRACE_UNIT,
    TRACE_AT,
    TRACE_STEP, /* "log", "stored", "reply" ... */
    TRACE_DETAIL,
};
void trace_read(struct pg_txn *t, struct id id);

#endif
