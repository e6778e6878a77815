/* loop - the one loop of a process: ZeroMQ sockets, file descriptors, timers, in one zmq_poll().
 *
 * One thread owns a loop and calls all of its functions; only loop_wake() may be called by others.
 */
#ifndef PROTO_RUNTIME_LOOP_H
#define PROTO_RUNTIME_LOOP_H

#include "proto/clock.h"

#include <stdbool.h>
#include <stdint.h>

struct loop;
struct loop_watch;
struct loop_timer;

/* `events` holds LOOP_IN and LOOP_OUT as they apply. */
enum { LOOP_IN = 1, LOOP_OUT = 2 };
typedef void loop_watch_fn(void *arg, int events);
typedef void loop_timer_fn(void *arg);

struct loop *loop_new(void);
void loop_free(struct loop **l_p); /* accepts NULL; frees what is still registered */

/* Calls fn when `fd` is ready for `events` (level-triggered; errors and hang-ups count as both).
 * The watch belongs to the loop until loop_unwatch(), which may be called from any callback. */
struct loop_watch *loop_watch_fd(struct loop *l, int fd, int events, loop_watch_fn *fn, void *arg);
/* The same for a ZeroMQ socket (LOOP_IN only). */
struct loop_watch *loop_watch_zmq(struct loop *l, void *socket, loop_watch_fn *fn, void *arg);
void loop_watch_events(struct loop_watch *w, int events);
void loop_unwatch(struct loop *l, struct loop_watch **w_p); /* accepts NULL; sets *w_p to NULL */

/* Calls fn once after `ms` (>= 0), or every `every_ms` (> 0) after that.
 * A one-shot timer is gone when its function is called: do not cancel it then. */
struct loop_timer *loop_timer(struct loop *l, int64_t ms, int64_t every_ms, loop_timer_fn *fn,
                              void *arg);
void loop_cancel(struct loop *l, struct loop_timer **t_p); /* accepts NULL; sets *t_p to NULL */

/* Calls fn at the end of every turn, after all that was ready has been handled and before the loop
 * sleeps: the place to flush what a turn has gathered. At most 8 hooks. */
void loop_at_turn_end(struct loop *l, loop_timer_fn *fn, void *arg);

/* Runs until loop_stop(). */
void loop_run(struct loop *l);
/* One turn; sleeps at most `max_ms` (0 = do not sleep). For command line tools and tests. */
void loop_turn(struct loop *l, int64_t max_ms);
void loop_stop(struct loop *l);
/* Makes a sleeping loop turn. The only function that other threads may call. */
void loop_wake(struct loop *l);

#endif
