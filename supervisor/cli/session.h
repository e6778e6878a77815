/* session - the connection of one command: opened, asked, closed; every fault is told here. */
#ifndef SUPERVISOR_CLI_SESSION_H
#define SUPERVISOR_CLI_SESSION_H

#include "db/pg.h"

#include <stdint.h>

struct session;

/* Connects to DATABASE_URL within 5 s; its schema must be this program's. 0, or an exit code after
 * one line on stderr in the name of `command`. Close with session_close() in any case. */
int session_open(const char *command, struct session **ret);
/* Accepts NULL. Sets *d_p to NULL. */
void session_close(struct session **d_p);

struct pg_txn *session_begin(struct session *d);
/* Runs the transaction (taken), and calls read() with its results. 0, or an exit code after one
 * line. */
int session_run(struct session *d, struct pg_txn **t_p,
                void (*read)(void *arg, const struct pg_reply *reply), void *arg);

/* A reader for session_run(): arg is a json_t **, which gets what the view's only row holds (new
 * reference), or NULL where there is none. */
void session_take_json(void *arg, const struct pg_reply *reply);

#define TIME_TEXT_SIZE 32
/* "2026-11-23T22:34:50.523Z". */
void time_text(int64_t unix_us, char ret[TIME_TEXT_SIZE]);

#endif
