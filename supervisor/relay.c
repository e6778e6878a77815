#include "supervisor/relay.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#define READ_AT_ONCE (64 * 1024)

void
relay_init(struct relay *r)
{
    memset(r, 0, sizeof(*r));
    r->queue = malloc(RELAY_QUEUE_MAX);
    if (!r->queue) {
        exit(EX_TEMPFAIL);
    }
}

bool
relay_waiting(const struct relay *r)
{
    return r->begin < r->end;
}

/* Room for `n` bytes at the end of the queue; false if there is none. */
static bool
make_room(struct relay *r, size_t n)
{
    if (RELAY_QUEUE_MAX - r->end < n && r->begin > 0) {
        memmove(r->queue, r->queue + r->begin, r->end - r->begin);
        r->end -= r->begin;
        r->begin = 0;
    }
    return RELAY_QUEUE_MAX - r->end >= n;
}

static void
put(struct relay *r, const char *prefix, const char *text, size_t n)
{
    size_t before = strlen(prefix);

    if (!make_room(r, before + n + 1)) {
        r->dropped++;
        return;
    }
    memcpy(r->queue + r->end, prefix, before);
    memcpy(r->queue + r->end + before, text, n);
    r->end += before + n;
    r->queue[r->end++] = '\n';
}

void
relay_note(struct relay *r, const char *level, const char *event, const char *format, ...)
{
    char fields[1024], line[1300], stamp[32];
    struct timespec now;
    struct tm utc;
    va_list args;
    int n;

    va_start(args, format);
    vsnprintf(fields, sizeof(fields), format, args);
    va_end(args);
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S", &utc);
    n = snprintf(line, sizeof(line), "time=%s.%03ldZ level=%s actor=supervisor pid=%d event=%s%s%s",
                 stamp, now.tv_nsec / 1000000, level, (int)getpid(), event, fields[0] ? " " : "",
                 fields);
    put(r, "", line, (size_t)n);
}

/* One line of a child, without its end. */
static void
pass_on(struct relay *r, struct relay_source *s, const char *name, const char *line, size_t n)
{
    static const char log_line[] = "time=";
    char prefix[64] = "";

    if (s->share < (int64_t)n) {
        s->dropped++;
        return;
    }
    s->share -= (int64_t)n;
    if (n < sizeof(log_line) - 1 || memcmp(line, log_line, sizeof(log_line) - 1) != 0) {
        snprintf(prefix, sizeof(prefix), "%s: ", name);
    }
    put(r, prefix, line, n);
    snprintf(s->last, sizeof(s->last), "%.*s", (int)n, line);
}

/* Cuts what was read into lines; keeps the unfinished one. */
static void
take(struct relay *r, struct relay_source *s, const char *name, const char *text, size_t n)
{
    while (n > 0) {
        const char *end = memchr(text, '\n', n);
        size_t piece = end ? (size_t)(end - text) : n;
        size_t room = RELAY_LINE_MAX - s->n;
        size_t used = piece < room ? piece : room;

        memcpy(s->line + s->n, text, used);
        s->n += used;
        if ((end && used == piece) || s->n == RELAY_LINE_MAX) {
            pass_on(r, s, name, s->line, s->n);
            s->n = 0;
            used += end && used == piece;
        }
        text += used;
        n -= used;
    }
}

static void
fill_share(struct relay *r, struct relay_source *s, const char *name, int64_t now_ms)
{
    int64_t grown = (now_ms - s->filled_ms) * RELAY_SHARE / 1000;

    if (s->filled_ms == 0 || s->share + grown > RELAY_SHARE) {
        s->share = RELAY_SHARE;
    } else {
        s->share += grown;
    }
    s->filled_ms = now_ms;
    /* Told at most about once a second, when there is a good part of a share again. */
    if (s->dropped > 0 && s->share >= RELAY_SHARE / 2) {
        relay_note(r, "warn", "log_dropped", "name=%s lines=%llu", name,
                   (unsigned long long)s->dropped);
        s->dropped = 0;
    }
}

/* What one read() gives. False when there is nothing more now; closes the fd at its end. */
static bool
read_some(struct relay *r, struct relay_source *s, const char *name)
{
    static char text[READ_AT_ONCE]; /* scratch, empty between calls */
    ssize_t n = read(s->fd, text, sizeof(text));

    if (n > 0) {
        take(r, s, name, text, (size_t)n);
        return true;
    }
    if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
        close(s->fd);
        s->fd = -1;
    }
    return false;
}

void
relay_read(struct relay *r, struct relay_source *s, const char *name, int64_t now_ms)
{
    if (s->fd >= 0) {
        fill_share(r, s, name, now_ms);
        read_some(r, s, name);
    }
}

void
relay_close(struct relay *r, struct relay_source *s, const char *name, int64_t now_ms)
{
    /* A pipe holds 64 KiB unless somebody made it bigger; an orphan may still be writing to it, so
     * there is no waiting for the end. */
    for (int i = 0; i < 16 && s->fd >= 0; i++) {
        fill_share(r, s, name, now_ms);
        if (!read_some(r, s, name)) {
            break;
        }
    }
    if (s->n > 0) {
        pass_on(r, s, name, s->line, s->n);
        s->n = 0;
    }
    if (s->fd >= 0) {
        close(s->fd);
        s->fd = -1;
    }
}

void
relay_flush(struct relay *r)
{
    struct pollfd out = {.fd = STDERR_FILENO, .events = POLLOUT};

    while (relay_waiting(r) && poll(&out, 1, 0) == 1) {
        size_t n = r->end - r->begin;
        ssize_t written;
        /* A pipe that is writable takes PIPE_BUF bytes without blocking. */
        if (n > PIPE_BUF) {
            n = PIPE_BUF;
        }
        written = (out.revents & POLLOUT) ? write(STDERR_FILENO, r->queue + r->begin, n) : -1;
        if (written <= 0) {
            /* Nobody reads, for good: what can't be said can't be said. */
            r->begin = r->end = 0;
            return;
        }
        r->begin += (size_t)written;
    }
    if (!relay_waiting(r)) {
        r->begin = r->end = 0;
        if (r->dropped > 0) {
            uint64_t dropped = r->dropped;
            r->dropped = 0;
            relay_note(r, "warn", "log_dropped", "name=stderr lines=%llu",
                       (unsigned long long)dropped);
        }
    }
}
