/* check - everything that can be known to be wrong before the tree is started. */
#ifndef SUPERVISOR_CLI_CHECK_H
#define SUPERVISOR_CLI_CHECK_H

#include <stddef.h>

struct check {
    char **faults; /* one line each, for people */
    size_t n;
};

/* Checks the child table, the state directory, every actor's settings (its own --check, with the
 * environment that its row gives it), the database and its schema, and, unless the tree of this
 * state directory runs already, the HTTP port. Caller frees with check_fini(). */
void check_all(const char *table, struct check *ret);
void check_fini(struct check *c);

#endif
