#include "actors/kb/rows.h"

#include <stdlib.h>

struct index *
index_of_rows(struct words *t, const PGresult *r)
{
    size_t n = (size_t)PQntuples(r);
    struct passage *rows = xcalloc(n + 1, sizeof *rows);

    for (size_t i = 0; i < n; i++) {
        struct kb_row row;

        kb_load_row(r, (int)i, &row);
        rows[i] = (struct passage){.id = row.id,
                                   .document = row.document,
                                   .title = row.title,
                                   .body = row.body,
                                   .url = row.url};
    }
    struct index *x = index_new(t, rows, n);
    free(rows);
    return x;
}
