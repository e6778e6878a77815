/* database - the connection of one command: opened, asked, closed; every fault is told here. */
#ifndef SUPERVISOR_CLI_DATABASE_H
#define SUPERVISOR_CLI_DATABASE_H

#include "db/pg.h"

#include <stdint.h>

struct database;

/* Connects to DATABASE_URL within 5 s; its schema must be this program's. 0, or an exit code after
 * one line on stderr in the name of `command`. Close with database_close() in any case. */
int database_open(const char *command, struct database **ret);
/* Accepts NULL. Sets *d_p to NULL. */
void database_close(struct database **d_p);

struct pg_txn *database_begin(struct database *d);
/* Runs the transaction (taken), and calls read() with its results. 0, or an exit code after one
 * line. */
int database_run(struct database *d, struct pg_txn **t_p,
                 void (*read)(void *arg, const struct pg_reply *reply), void *arg);

#define TIME_TEXT_SIZE 32
/* "2026-11-23T22:34:50.523Z". */
void time_text(int64_t unix_us, char ret[TIME_TEXT_SIZE]);

#endif
