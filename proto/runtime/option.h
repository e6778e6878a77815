/* option - the settings of an actor: one table, checked whole at start.
 *
 * Values come from the environment; FTE_CONFIG may name a KEY=VALUE file that is read first (the
 * environment wins). Every fault is reported, one line each with name and allowed range, and then
 * the process exits 78 (EX_CONFIG), which the supervisor doesn't restart.
 */
#ifndef PROTO_RUNTIME_OPTION_H
#define PROTO_RUNTIME_OPTION_H

#include "proto/buf.h"

#include <stdbool.h>

enum option_type {
    OPTION_INT,      /* decimal, in [min, max] */
    OPTION_FLOAT,    /* decimal, in [min, max] */
    OPTION_DURATION, /* whole number with unit ms, s, m, h, d ("30s"); stored in ms, in [min, max]
                        ms */
    OPTION_BOOL,     /* on, off, true, false, yes, no, 1, 0 */
    OPTION_TEXT,     /* length in [min, max] bytes */
    OPTION_CHOICE,   /* one of `choices`, separated by | */
    OPTION_PATH,     /* of a file (no directory) that can be read */
    OPTION_URL,      /* with scheme and host; `choices` = the schemes, separated by | */
    OPTION_PORT,     /* in [min, max], at most 65535 */
};

struct option {
    const char *name; /* "FTE_FOLLOWUP_WINDOW" */
    enum option_type type;
    const char *value_default; /* NULL: must be given; "": may be absent */
    double min, max;
    const char *choices;
    const char *allowed; /* what is allowed in words, where type and limits don't say it */
    /* What type and limits can't tell, asked after them. May append why not, in one line. */
    bool (*valid)(const char *value, struct buf *ret_why);
    bool secret;      /* never printed */
    const char *help; /* one sentence for docs/guide/settings.md */
};

/* Ends a table. */
#define OPTION_END                                                                                 \
    {                                                                                              \
        .name = NULL                                                                               \
    }

/* Checks every row of `table`; appends a line for each fault to `ret_faults`. Number of faults. */
int option_check(const struct option *table, struct buf *ret_faults);
/* Reads KEY=VALUE lines (# starts a comment) into the environment; what is there already stays.
 * Appends a line for each fault to `ret_faults`. Number of faults. */
int option_load_file(const char *path, struct buf *ret_faults);
/* True if `path` is a file, and no directory, that can be read; else errno says why not. */
bool option_file_ok(const char *path);
/* Loads FTE_CONFIG if set, checks, prints every fault to stderr and exits 78 if there is one. */
void option_load(const char *actor, const struct option *table);

/* Values of rows that have passed the check. Text is "" where absent; valid as long as the process.
 */
const char *option_text(const struct option *table, const char *name);
long long option_int(const struct option *table,
                     const char *name); /* INT, DURATION (ms), PORT, BOOL */
double option_float(const struct option *table, const char *name);
bool option_bool(const struct option *table, const char *name);

#endif
