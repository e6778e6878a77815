/* client - the other end of the supervisor's control socket (grammar: supervisor/control.h). */
#ifndef SUPERVISOR_CLI_CLIENT_H
#define SUPERVISOR_CLI_CLIENT_H

#include "proto/buf.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

/* Sends `request` (words separated by tabs, no line end) to the supervisor of FTE_STATE_DIR and
 * reads the answer to its end; with `until_gone` that is the end of the supervisor. An exit code:
 * 0; CLI_UNAVAILABLE where no supervisor answers, CLI_FAILED where it says no; both said on stderr
 * as `fte <command>: ...`. Caller frees *ret_answer with buf_fini() in any case. */
int client_ask(const char *command, const char *request, bool until_gone, struct buf *ret_answer);

/* The pid of the supervisor that runs on FTE_STATE_DIR, or 0. Says nothing. */
int client_running(void);

struct client_actor {
    char *name, *service, *state, *why;
    int pid; /* 0: none */
    unsigned restarts;
    double uptime_s;
    uint64_t settled, in_flight;
};

struct client_status {
    struct buf text; /* holds what the actors point at */
    int pid;
    double uptime_s;
    bool ready, draining;
    uint64_t orphans;
    struct client_actor *actors;
    size_t n;
};

/* The status of all actors. An exit code as client_ask(). Caller frees with client_status_fini().
 */
int client_status(const char *command, struct client_status *ret);
void client_status_fini(struct client_status *s); /* accepts zeroed memory */
/* As `fte status --json` prints it. Caller owns the result (json_decref). */
json_t *client_status_json(const struct client_status *s);
/* As `fte status` prints it. */
void client_status_print(const struct client_status *s);

/* Waits until every worker of `name` (a row, a worker, or NULL for all) is ready, at most `ms`.
 * True if so. */
bool client_wait_ready(const char *command, const char *name, int64_t ms);

#endif
