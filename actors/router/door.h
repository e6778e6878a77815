/* door - who may come in from other machines.
 *
 * ZeroMQ asks here about each key that a peer has proved to have (ZAP, RFC 27), and tells of each
 * connection that came to nothing before that. What is refused gets no byte of a message; it is
 * counted, shown in `fte status`, and said in one line of the log, at most one in ten seconds.
 */
#ifndef ROUTER_DOOR_H
#define ROUTER_DOOR_H

#include "proto/lifeline.h"
#include "proto/runtime/loop.h"

#include <stdint.h>

struct door;

/* Answers for `socket` of `zmq`, which is bound to its tcp address after this; the ones that are
 * bound already are none of its business. `list` is the file of allow.h, read anew for each
 * connection, and borrowed like `ret_refused`, which counts, and `lifeline`. Ends the process if it
 * can't answer: without it every key would do. */
struct door *door_open(struct loop *loop, void *zmq, void *socket, const char *list,
                       uint64_t *ret_refused, struct lifeline *lifeline);
/* Closes before the socket does. Accepts NULL. */
void door_close(struct door **d_p);
/* Says what is still to be said. Accepts NULL. */
void door_tick(struct door *d);

#endif
