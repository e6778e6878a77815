/* spec - the child table: which processes there are, in OTP's words.
 *
 * A text file that reads like a table. A line is a setting or a row; # starts a comment where it
 * stands at the begin of a line or behind a blank.
 *
 *   strategy  one_for_one
 *   intensity 5 in 60s
 *   backoff   100ms to 5s, reset after 1s
 *   retry     30s
 *
 *   name   | service | command       | restart   | shutdown | workers | environment
 *   router | -       | fte-router    | permanent | 5s       | 1       |
 *   triage | triage  | fte-triage    | permanent | 5s       | 2       | DATABASE_URL FTE_RULES
 *
 * Columns stand between |, in the order of the heading, which must be there. The order of the rows
 * is the order of starting; stopping goes the other way.
 *   name         letters, digits, - _ and . ; unique
 *   service      what it serves, for people; - where it only asks
 *   command      program and arguments, separated by blanks; "..." keeps blanks together. A program
 *                fte-xxx is looked up beside the supervisor's own binary, one with a / is taken as
 * it is (from the directory the supervisor was started in), others are found on PATH. restart
 * permanent (always), transient (unless it exits 0), temporary (never) shutdown     how long it may
 * take from SIGTERM to its end before SIGKILL: "5s", "500ms"; or brutal_kill (SIGKILL at once)
 *   workers      how many of it are started: 0..64; where the service is - at most 1, since workers
 *                share the work of a service
 *   environment  the variables it gets: NAME (if the supervisor has it) or NAME=VALUE, separated by
 *                blanks; "NAME=a b" keeps blanks. Beside these it gets only the base set (child.h).
 */
#ifndef SUPERVISOR_SPEC_H
#define SUPERVISOR_SPEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SPEC_WORKERS_MAX 64
#define SPEC_CHILDREN_MAX 64
#define SPEC_ALONE "at most 1 where the service is -: workers share the work of a service"
#define SPEC_FILE_MAX (256 * 1024)

enum spec_restart { RESTART_PERMANENT, RESTART_TRANSIENT, RESTART_TEMPORARY };
enum spec_strategy { STRATEGY_ONE_FOR_ONE, STRATEGY_REST_FOR_ONE, STRATEGY_ONE_FOR_ALL };

/* How hard to try again; see intensity.h. */
struct spec_limits {
    unsigned crashes;       /* more than these ... */
    int64_t period_ms;      /* ... in this time: degraded */
    int64_t backoff_min_ms; /* before the second restart; doubles from there */
    int64_t backoff_max_ms;
    int64_t reset_ms; /* died after having been ready for so long: what was before is forgotten */
    int64_t retry_ms; /* between two attempts while degraded */
};

struct child_spec {
    char *name;
    char *service; /* "" where the table says - */
    char **argv;   /* ends with NULL */
    enum spec_restart restart;
    int64_t shutdown_ms; /* 0 = brutal_kill */
    unsigned workers;
    char **environment; /* NAME or NAME=VALUE; ends with NULL */
};

struct spec {
    enum spec_strategy strategy;
    struct spec_limits limits;
    struct child_spec *children;
    size_t n;
};

/* Says what is wrong with a table, and in which line (0: with the file as a whole). */
struct spec_fault {
    unsigned line;
    char what[200];
};

/* Reads a table from text. 0; or -1 and *ret_fault. Caller frees with spec_free() on success. */
int spec_parse(const char *text, struct spec **ret, struct spec_fault *ret_fault);
/* The same from a file. */
int spec_load(const char *path, struct spec **ret, struct spec_fault *ret_fault);
void spec_free(struct spec **s_p); /* accepts NULL */

/* "5s", "500ms", "2m" as milliseconds, at most a day. False if it is not of that form. */
bool spec_duration(const char *text, int64_t *ret_ms);

const char *spec_restart_str(enum spec_restart r);
const char *spec_strategy_str(enum spec_strategy s);

#endif
