/* check - everything that can be known to be wrong before the tree is started. */
#ifndef SUPERVISOR_CLI_CHECK_H
#define SUPERVISOR_CLI_CHECK_H

#include <stdbool.h>
#include <stddef.h>

struct check {
    char **faults; /* one line each, for people */
    size_t n;
    bool lasting; /* one of them is a setting's; false: what is away may come back by itself */
};

/* Checks what the settings say: the child table, the state directory, those of `make run`, every
 * actor's (its own --check, with the environment that its row gives it), and, unless the tree of
 * this state directory runs already or the table has no ingress, the HTTP port. Without
 * DATABASE_URL the private cluster is taken for granted. Works from the directory that the actors
 * will be started in, so a relative path means there what it will mean later. Caller frees with
 * check_fini(). */
void check_settings(const char *table, struct check *ret);
/* The same, and the database: its server and its schema. */
void check_all(const char *table, struct check *ret);
void check_fini(struct check *c);
/* True if a row of the table runs this program of ours. A machine may have a part of them only. */
bool check_runs(const char *table, const char *program);
/* Adds a fault, unless it is there. A lasting one; the database that doesn't answer is none. */
void check_fault(struct check *c, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Which log: a change of FTE_LOG_BACKEND is a fault while the other log holds anything that is not
 * settled. Needs a database that check_all() has found right. LOOK: also whether Kafka is there and
 * has the topics as they should be (a broker that is away is no reason not to start). CHANGE: makes
 * the change. */
enum check_log_purpose { CHECK_LOG_LOOK, CHECK_LOG_CHANGE };
void check_log(struct check *c, enum check_log_purpose purpose);

#endif
