/* fte check, fte up - says what is wrong before anything is started, then starts it. */
#include "supervisor/cli/check.h"
#include "supervisor/cli/cli.h"
#include "supervisor/cli/client.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The child table: --table FILE, else FTE_CHILD_TABLE, else the checkout's. False: bad usage. */
static bool
find_table(int *argc, char **argv, char *ret, size_t room)
{
    bool bad = false;
    const char *given = cli_option(argc, argv, "--table", &bad);
    char root[PATH_MAX];

    if (bad) {
        return false;
    }
    if (!given || given[0] == '\0') {
        given = getenv("FTE_CHILD_TABLE");
    }
    if (given && given[0] != '\0') {
        /* Absolute, because the supervisor is started in the checkout. */
        if (!realpath(given, ret)) {
            snprintf(ret, room, "%s", given);
        }
    } else if (cli_root(root, sizeof(root))) {
        snprintf(ret, room, "%.3900s/supervisor/supervisor.conf", root);
    } else {
        snprintf(ret, room, "supervisor.conf");
    }
    return true;
}

/* Exit code; prints every fault, one line each. A database that is away is no fault of a setting:
 * who starts `fte up` may do so again (a node that is killed while PostgreSQL starts must come
 * back). */
static int
report(const char *command, const struct check *c, bool json)
{
    json_t *faults = json_array();

    for (size_t i = 0; i < c->n; i++) {
        if (json) {
            json_array_append_new(faults, json_string(c->faults[i]));
        } else {
            cli_fail(CLI_CONFIG, command, "%s", c->faults[i]);
        }
    }
    if (json) {
        json_t *o = json_pack("{s:b, s:O}", "ok", c->n == 0, "faults", faults);
        json_dumpf(o, stdout, JSON_COMPACT);
        putchar('\n');
        json_decref(o);
    }
    json_decref(faults);
    if (c->n == 0) {
        return CLI_OK;
    }
    return c->lasting ? CLI_CONFIG : CLI_UNAVAILABLE;
}

int
cmd_check(int argc, char **argv)
{
    bool json = cli_flag(&argc, argv, "--json");
    bool settings = cli_flag(&argc, argv, "--settings");
    char table[PATH_MAX];
    struct check c;
    int rc;

    if (!find_table(&argc, argv, table, sizeof(table)) || argc > 1) {
        return cli_fail(CLI_USAGE, "check",
                        "usage: fte check [--settings] [--table FILE] [--json]");
    }
    if (settings) {
        check_settings(table, &c);
    } else {
        check_all(table, &c);
        if (c.n == 0 && check_runs(table, "fte-edge")) {
            check_log(&c, CHECK_LOG_LOOK);
        }
    }
    rc = report("check", &c, json);
    if (rc == CLI_OK && !json && !settings) {
        puts("everything that can be checked beforehand is right");
    }
    check_fini(&c);
    return rc;
}

static int
become_supervisor(const char *table)
{
    char bin_dir[PATH_MAX], program[PATH_MAX + 32], root[PATH_MAX];

    cli_bin_dir(bin_dir, sizeof(bin_dir));
    snprintf(program, sizeof(program), "%s/fte-supervisor", bin_dir);
    /* Commands and arguments of the table are relative to the checkout. */
    if (cli_root(root, sizeof(root)) && chdir(root) != 0) {
        return cli_fail(CLI_CONFIG, "up", "%s: %s", root, strerror(errno));
    }
    fflush(stdout);
    execl(program, "fte-supervisor", table, (char *)NULL);
    return cli_fail(CLI_CONFIG, "up", "%s: %s", program, strerror(errno));
}

int
cmd_up(int argc, char **argv)
{
    bool json = cli_flag(&argc, argv, "--json");
    char table[PATH_MAX];
    struct check c;
    int rc, pid;

    if (!find_table(&argc, argv, table, sizeof(table)) || argc > 1) {
        return cli_fail(CLI_USAGE, "up", "usage: fte up [--table FILE] [--json]");
    }
    pid = client_running();
    if (pid > 0) {
        return cli_fail(CLI_CONFIG, "up",
                        "a supervisor (pid %d) runs on %s already; `fte drain` stops it", pid,
                        getenv("FTE_STATE_DIR"));
    }
    check_all(table, &c);
    /* Which log there is is the business of machines with an edge. */
    if (c.n == 0 && check_runs(table, "fte-edge")) {
        check_log(&c, CHECK_LOG_CHANGE);
    }
    rc = report("up", &c, json);
    check_fini(&c);
    return rc == CLI_OK ? become_supervisor(table) : rc;
}
