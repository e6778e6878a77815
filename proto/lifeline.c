#include "proto/lifeline.h"

#include "proto/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void
lifeline_init(struct lifeline *l)
{
    struct stat st;
    int flags = fcntl(LIFELINE_FD, F_GETFL);

    l->fd = -1;
    l->next_tick_ms = 0;
    l->told_settled = false;
    if (flags < 0 || (flags & O_ACCMODE) == O_RDONLY || fstat(LIFELINE_FD, &st) != 0 ||
        !(S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode))) {
        return;
    }
    fcntl(LIFELINE_FD, F_SETFL, flags | O_NONBLOCK);
    fcntl(LIFELINE_FD, F_SETFD, FD_CLOEXEC);
    l->fd = LIFELINE_FD;
}

/* False if the reader is gone. A full pipe is a supervisor that is slow: the line is dropped. */
static bool
say(struct lifeline *l, const char *line, size_t n)
{
    return l->fd < 0 || write(l->fd, line, n) >= 0 || errno != EPIPE;
}

void
lifeline_ready(struct lifeline *l)
{
    say(l, "READY\n", 6);
}

void
lifeline_degraded(struct lifeline *l, const char *why)
{
    char line[160];
    int n = why != NULL ? snprintf(line, sizeof(line), "DEGRADED %.120s\n", why)
                        : snprintf(line, sizeof(line), "OK\n");
    say(l, line, (size_t)n);
}

void
lifeline_note(struct lifeline *l, const char *text)
{
    char line[160];
    int n = snprintf(line, sizeof(line), "NOTE %.120s\n", text);
    say(l, line, (size_t)n);
}

int
lifeline_tick(struct lifeline *l, uint64_t settled, uint64_t in_flight)
{
    int64_t now = clock_ms();
    char line[64];
    int n;

    if (now >= l->next_tick_ms || (settled > 0 && !l->told_settled)) {
        n = snprintf(line, sizeof(line), "T %llu %llu\n", (unsigned long long)settled,
                     (unsigned long long)in_flight);
        l->next_tick_ms = now + LIFELINE_TICK_MS;
        l->told_settled = settled > 0;
        if (!say(l, line, (size_t)n)) {
            return -1;
        }
    }
    return (int)(l->next_tick_ms - now);
}
