/* rows - from the table to an index. */
#ifndef ACTORS_KB_ROWS_H
#define ACTORS_KB_ROWS_H

#include "actors/kb/index.h"
#include "db/kb.h"

/* An index of the rows of kb_load() or kb_rows(), without models. Caller frees with index_free().
 */
struct index *index_of_rows(struct words *t, const PGresult *r);

#endif
