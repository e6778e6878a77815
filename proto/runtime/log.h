/* log - one line of logfmt to stderr: time, level, actor, pid, event, fields.
 *
 * Levels: debug; info; warn = trouble outside, we go on; error = this message failed; fatal = the
 * process ends. Values are quoted and escaped here. Nothing that a customer wrote, and nothing that
 * names a person, may be a value: ids, counts, codes and our own words only. Any thread, after
 * log_init().
 */
#ifndef PROTO_RUNTIME_LOG_H
#define PROTO_RUNTIME_LOG_H

#include "proto/id.h"

enum log_level {
    LOG_LEVEL_DEBUG,
    LOG_LEVEL_INFO,
    LOG_LEVEL_WARN,
    LOG_LEVEL_ERROR,
    LOG_LEVEL_FATAL
};

/* Names this process in every line; reads FTE_LOG_LEVEL (debug|info|warn|error; default info). */
void log_init(const char *actor);

/* log_info ("dispatched", "units=%zu service=%s", n, service): `event` is a short name, the format
 * gives the fields as key=value (values with blanks: key=\"...\", or use log_quote()). */
void log_debug(const char *event, const char *format, ...) __attribute__((format(printf, 2, 3)));
void log_info(const char *event, const char *format, ...) __attribute__((format(printf, 2, 3)));
void log_warn(const char *event, const char *format, ...) __attribute__((format(printf, 2, 3)));
void log_error(const char *event, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Ends the process with `exit_code` (EX_CONFIG 78: do not restart; EX_TEMPFAIL 75: restart). */
_Noreturn void log_fatal(int exit_code, const char *event, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* A value made safe for a line (quotes, control characters and line ends escaped; cut at 200
 * bytes). Eight results may be in use at once in each thread (a ring): libraries have threads of
 * their own that log (librdkafka). */
const char *log_quote(const char *value);
/* An id as text, from the same ring. */
const char *log_id(struct id id);

#endif
