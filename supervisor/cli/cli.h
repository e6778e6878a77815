/* cli - the commands of `fte`, and what they share.
 *
 * A command is `int cmd_xxx(int argc, char **argv)` in supervisor/cli/cmd_xxx.c, declared here and
 * named by one row of the table in fte.c. It gets argv[0] = its own name ("ticket") and the rest as
 * typed, and returns an exit code. When it is called, fte.c has made the environment complete:
 * FTE_STATE_DIR is set (absolute), and DATABASE_URL is set where the state directory knows it.
 *
 * Results go to stdout; `--json` gives one JSON value (or JSON Lines where a command says so) and
 * nothing else. Errors are one line on stderr: "fte xxx: what: why".
 */
#ifndef SUPERVISOR_CLI_H
#define SUPERVISOR_CLI_H

#include <stdbool.h>
#include <stddef.h>

/* Exit codes, from sysexits.h. */
enum cli_exit {
    CLI_OK = 0,
    CLI_FAILED = 1, /* the answer is no, or something went wrong that has no code of its own */
    CLI_USAGE = 64, /* the command line cannot be understood */
    CLI_UNAVAILABLE = 69, /* database, router or supervisor is not there */
    CLI_CONFIG = 78,      /* a setting is wrong */
};

struct cli_command {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *help; /* one line */
};

/* Prints "fte <command>: <message>" to stderr and returns `exit_code`. */
int cli_fail(int exit_code, const char *command, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* True if `flag` ("--json") is among the arguments; takes it (all of them) out of argv. Arguments
 * behind "--" are left alone. */
bool cli_flag(int *argc, char **argv, const char *flag);
/* The value of `--name VALUE` or `--name=VALUE`, taken out of argv; NULL if it is not there. Where
 * the value is missing *ret_bad is set. */
const char *cli_option(int *argc, char **argv, const char *name, bool *ret_bad);

/* The directory of this binary. */
void cli_bin_dir(char *ret, size_t room);
/* The checkout that this binary was built in: the nearest directory above it with a Makefile. False
 * where there is none (installed). */
bool cli_root(char *ret, size_t room);

/* One line per command, alphabetically by file. */
int cmd_check(int argc, char **argv);
int cmd_customer(int argc, char **argv);
int cmd_db(int argc, char **argv);
int cmd_dlq(int argc, char **argv);
int cmd_drain(int argc, char **argv);
int cmd_identify(int argc, char **argv);
int cmd_kb(int argc, char **argv);
int cmd_keygen(int argc, char **argv);
int cmd_migrate(int argc, char **argv);
int cmd_restart(int argc, char **argv);
int cmd_scale(int argc, char **argv);
int cmd_status(int argc, char **argv);
int cmd_ticket(int argc, char **argv);
int cmd_top(int argc, char **argv);
int cmd_trace(int argc, char **argv);
int cmd_triage(int argc, char **argv);
int cmd_up(int argc, char **argv);

#endif
