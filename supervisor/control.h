/* control - the socket on which `fte` talks to the supervisor, and the file that says "ready".
 *
 * FTE_STATE_DIR/control is a Unix stream socket (mode 0700: the same user, or root). One request
 * per connection, one line, its words separated by tabs; the answer is lines, too:
 *
 *   status                ok
 *                         tree <pid> <uptime s> <ready 0|1> <draining 0|1> <orphans> <strategy>
 *                         child <name> <service> <pid or 0> <state> <restarts> <uptime s> <settled>
 *                               <in flight> <why>         (one line for each, fields by tabs)
 *                         .
 *   restart NAME          ok <how many>           NAME: a row, or one worker ("triage.2")
 *   scale NAME N          ok                      N: 0..64
 *   drain                 ok                      then the connection stays open until all is down
 *   anything else         error <what is wrong>
 *
 * FTE_STATE_DIR/ready holds one line, rewritten atomically at every change: "ready"; or "waiting"
 * and the names of those that are missed, separated by blanks; or "misconfigured" and the names of
 * those that have exited 78; or "draining". Whoever answers
 * /readyz reads it: no file, or anything but "ready" in front, is "not ready". It is removed at the
 * end.
 */
#ifndef SUPERVISOR_CONTROL_H
#define SUPERVISOR_CONTROL_H

#include "supervisor/tree.h"

#include <poll.h>
#include <stdbool.h>

#define CONTROL_CLIENTS 16
#define CONTROL_REQUEST_MAX 256
#define CONTROL_PATIENCE_MS 5000 /* for a client to send its request, and to read the answer */

struct control_client {
    int fd; /* -1: free */
    char request[CONTROL_REQUEST_MAX];
    size_t request_n;
    char *answer; /* NULL until there is one */
    size_t answer_n, sent;
    bool stays; /* asked for drain: open until the end */
    int64_t until_ms;
};

struct control {
    int dir; /* the state directory */
    int fd;
    bool drain_asked; /* by a client: the loop begins it */
    char ready_told[512];
    struct control_client clients[CONTROL_CLIENTS];
};

/* Opens the socket in the directory `dir_fd`; one that is left over is replaced (the caller holds
 * the lock that says nobody else uses it). 0, or -1 and errno. */
int control_open(struct control *c, int dir_fd);
void control_close(struct control *c);

/* Adds what is to be polled to `fds` (room for 1 + CONTROL_CLIENTS); how many. */
size_t control_poll(const struct control *c, struct pollfd *fds);
/* Serves what poll(2) has found ready, and lets go of clients that are too slow. */
void control_serve(struct control *c, struct tree *t, int64_t now_ms);
/* Rewrites the file `ready` if it has changed. True if it could. */
bool control_tell_ready(struct control *c, const struct tree *t);

#endif
