/* relay - the log lines of the supervisor and of its children on their way to stderr.
 *
 * Children write to a pipe and never wait for a reader: the supervisor takes what is there, and
 * passes on whole lines when stderr can take them. What is too much (a child over its share, or a
 * reader of stderr that sleeps) is dropped and counted, and the count is told in a line of its own.
 * Nothing here ever blocks.
 */
#ifndef SUPERVISOR_RELAY_H
#define SUPERVISOR_RELAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RELAY_QUEUE_MAX (1024 * 1024) /* bytes that wait for stderr */
#define RELAY_LINE_MAX 4096           /* longer lines are cut into pieces */
#define RELAY_LAST_MAX 240            /* of a child's last line */
#define RELAY_SHARE (512 * 1024)      /* bytes per second that one child may say; burst the same */

struct relay {
    char *queue; /* RELAY_QUEUE_MAX bytes; [begin, end) is used */
    size_t begin, end;
    uint64_t dropped; /* lines, since it was last told */
};

/* The pipe of one child. */
struct relay_source {
    int fd; /* -1: closed */
    char line[RELAY_LINE_MAX];
    size_t n;
    int64_t share;     /* bytes it may say now */
    int64_t filled_ms; /* when the share was last filled up */
    uint64_t dropped;
    char last[RELAY_LAST_MAX]; /* the begin of its last line that was passed on; "" */
};

void relay_init(struct relay *r);
/* A line of the supervisor's own, in the format of proto/runtime/log.h. */
void relay_note(struct relay *r, const char *level, const char *event, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* Takes what the child has written; `name` goes before lines that are not log lines already. Closes
 * the fd at its end. */
void relay_read(struct relay *r, struct relay_source *s, const char *name, int64_t now_ms);
/* Reads what is left and closes: the child is gone. */
void relay_close(struct relay *r, struct relay_source *s, const char *name, int64_t now_ms);
/* True while something waits for stderr. */
bool relay_waiting(const struct relay *r);
/* Writes as much as stderr takes without blocking. */
void relay_flush(struct relay *r);

#endif
