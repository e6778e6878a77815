#include "proto/runtime/log.h"

#include "proto/buf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define RING 8
#define QUOTE_MAX 200

/* The only state of the house that belongs to the process and not to a context: a log line can be
 * due anywhere. Set once by log_init(). */
static struct {
    const char *actor;
    enum log_level level;
} config = {"fte", LOG_LEVEL_INFO};

static const char *const level_names[] = {"debug", "info", "warn", "error", "fatal"};

void
log_init(const char *actor)
{
    const char *level = getenv("FTE_LOG_LEVEL");

    config.actor = actor;
    for (int i = LOG_LEVEL_DEBUG; level != NULL && i <= LOG_LEVEL_ERROR; i++) {
        if (strcmp(level, level_names[i]) == 0) {
            config.level = (enum log_level)i;
        }
    }
}

__attribute__((format(printf, 3, 0))) static void
put(enum log_level level, const char *event, const char *format, va_list args)
{
    struct buf line = {0};
    struct timespec now;
    struct tm utc;
    char stamp[32];
    char fields[1024];
    ssize_t ignored;

    if (level < config.level) {
        return;
    }
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S", &utc);
    vsnprintf(fields, sizeof(fields), format, args);
    buf_printf(&line, "time=%s.%03ldZ level=%s actor=%s pid=%d event=%s%s%s\n", stamp,
               now.tv_nsec / 1000000, level_names[level], config.actor, (int)getpid(), event,
               fields[0] ? " " : "", fields);
    /* One write per line, so that lines of several processes do not mix. */
    ignored = write(STDERR_FILENO, line.p, line.n);
    (void)ignored;
    buf_fini(&line);
}

#define LOG_FUNCTION(name, level)                                                                  \
    void name(const char *event, const char *format, ...)                                          \
    {                                                                                              \
        va_list args;                                                                              \
        va_start(args, format);                                                                    \
        put(level, event, format, args);                                                           \
        va_end(args);                                                                              \
    }

LOG_FUNCTION(log_debug, LOG_LEVEL_DEBUG)
LOG_FUNCTION(log_info, LOG_LEVEL_INFO)
LOG_FUNCTION(log_warn, LOG_LEVEL_WARN)
LOG_FUNCTION(log_error, LOG_LEVEL_ERROR)

_Noreturn void
log_fatal(int exit_code, const char *event, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    put(LOG_LEVEL_FATAL, event, format, args);
    va_end(args);
    exit(exit_code);
}

static char *
next_slot(void)
{
    static _Thread_local char ring[RING][QUOTE_MAX * 4 + 8];
    static _Thread_local unsigned at;

    return ring[at++ % RING];
}

const char *
log_quote(const char *value)
{
    char *slot = next_slot();
    char *to = slot;

    *to++ = '"';
    for (int i = 0; value != NULL && value[i] != '\0' && i < QUOTE_MAX; i++) {
        unsigned char c = (unsigned char)value[i];
        if (c == '"' || c == '\\') {
            *to++ = '\\';
            *to++ = (char)c;
        } else if (c < 0x20 || c == 0x7f) {
            to += sprintf(to, "\\x%02x", c);
        } else {
            *to++ = (char)c;
        }
    }
    *to++ = '"';
    *to = '\0';
    return slot;
}

const char *
log_id(struct id id)
{
    char *slot = next_slot();
    id_format(id, slot);
    return slot;
}
