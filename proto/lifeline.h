/* lifeline - what a child tells its supervisor over file descriptor 3.
 *
 * "READY\n" once when it can work, then each second a tick "T <settled> <in flight>\n": the number
 * of things it has settled since its start, and of those that it holds now. One more tick comes at
 * once when the first thing is settled: that is when a restarted process is back at work. Ten
 * seconds without a tick and the supervisor takes it for hung. "DEGRADED <why>\n" and "OK\n" may
 * stand between them: alive, but something that it needs is away; "NOTE <text>\n" is for people who
 * ask how it is. EPIPE tells the child that its supervisor is gone.
 */
#ifndef PROTO_LIFELINE_H
#define PROTO_LIFELINE_H

#include <stdbool.h>
#include <stdint.h>

#define LIFELINE_FD 3
#define LIFELINE_TICK_MS 1000

struct lifeline {
    int fd;               /* LIFELINE_FD, or -1 where the process runs without a supervisor */
    int64_t next_tick_ms; /* on CLOCK_MONOTONIC */
    bool told_settled;    /* a tick has told that something is settled */
};

/* Takes fd 3 if it is a pipe or socket that can be written to (made close-on-exec, non-blocking).
 */
void lifeline_init(struct lifeline *l);
/* Tells that the process can work. */
void lifeline_ready(struct lifeline *l);
/* Tells that something it needs is away (`why`: a word or two), or, with NULL, that it is back. */
void lifeline_degraded(struct lifeline *l, const char *why);
/* A line for `fte status`, which stays until the next. */
void lifeline_note(struct lifeline *l, const char *text);
/* Writes a tick if one is due. Cheap: call it as often as you like, also inside long waits.
 * Returns milliseconds until the next is due, or -1 if the supervisor is gone. */
int lifeline_tick(struct lifeline *l, uint64_t settled, uint64_t in_flight);

#endif
