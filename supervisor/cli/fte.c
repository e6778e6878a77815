/* fte - the command line of the whole system.
 *
 *   person or script --(fte COMMAND)--> one function of the table below
 *
 * Holds no state of its own: what it changes is changed by the supervisor (over its control socket)
 * or in the database, so it may be killed at any time.
 */
#include "supervisor/cli/cli.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifndef FTE_VERSION
#define FTE_VERSION "0.1.0"
#endif

static int cmd_help(int argc, char **argv);
static const struct cli_command *find_command(const char *name);
static void complete_environment(void);
static void find_state_dir(void);
static void find_database(void);

/* Everything that fte can do: a new command is a row here and a file beside this one. */
static const struct cli_command commands[] = {
    {"help", cmd_help, "this list"},
    {"migrate", cmd_migrate, "bring the database to this program's schema"},
};

int
main(int argc, char **argv)
{
    const struct cli_command *command;
    int code;

    if (argc < 2) {
        cmd_help(0, NULL);
        return CLI_USAGE;
    }
    if (strcmp(argv[1], "--version") == 0) {
        puts("fte " FTE_VERSION);
        return CLI_OK;
    }
    command = find_command(strcmp(argv[1], "--help") == 0 ? "help" : argv[1]);
    if (!command) {
        fprintf(stderr, "fte: unknown command \"%s\"; `fte help` lists them\n", argv[1]);
        return CLI_USAGE;
    }
    complete_environment();
    code = command->run(argc - 1, argv + 1);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        return cli_fail(CLI_FAILED, command->name, "standard output: %s", strerror(errno));
    }
    return code;
}

static int
cmd_help(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    puts("usage: fte COMMAND [ARGUMENT...] [--json]\n");
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        printf("  %-10s %s\n", commands[i].name, commands[i].help);
    }
    puts("\n  FTE_STATE_DIR says which system is meant (default: var/ of the checkout).");
    return CLI_OK;
}

static const struct cli_command *
find_command(const char *name)
{
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (strcmp(commands[i].name, name) == 0) {
            return &commands[i];
        }
    }
    return NULL;
}

static void
complete_environment(void)
{
    find_state_dir();
    find_database();
}

/* FTE_STATE_DIR, absolute. Without it: var/ of the checkout that this binary was built in, so that
 * `build/bin/fte status` works from any directory; else var/ of the current directory. */
static void
find_state_dir(void)
{
    const char *given = getenv("FTE_STATE_DIR");
    char path[PATH_MAX], whole[PATH_MAX + 8];
    ssize_t n;

    if (given && given[0] == '/') {
        return;
    }
    if (given && given[0] != '\0') {
        if (getcwd(path, sizeof(path)) &&
            (size_t)snprintf(whole, sizeof(whole), "%s/%s", path, given) < sizeof(whole)) {
            setenv("FTE_STATE_DIR", whole, 1);
        }
        return;
    }
    n = readlink("/proc/self/exe", path, sizeof(path) - 1);
    if (n > 0) {
        path[n] = '\0';
        for (char *slash = strrchr(path, '/'); slash && slash != path; slash = strrchr(path, '/')) {
            *slash = '\0';
            if ((size_t)snprintf(whole, sizeof(whole), "%s/Makefile", path) < sizeof(whole) &&
                access(whole, F_OK) == 0) {
                snprintf(whole, sizeof(whole), "%s/var", path);
                setenv("FTE_STATE_DIR", whole, 1);
                return;
            }
        }
    }
    if (getcwd(path, sizeof(path))) {
        snprintf(whole, sizeof(whole), "%s/var", path);
        setenv("FTE_STATE_DIR", whole, 1);
    }
}

/* DATABASE_URL, or what db/cluster.sh wrote into the state directory when it started the private
 * cluster, so that a second terminal needs no settings. */
static void
find_database(void)
{
    const char *given = getenv("DATABASE_URL");
    char path[PATH_MAX], url[2048];
    FILE *file;

    if (given && given[0] != '\0') {
        return;
    }
    if ((size_t)snprintf(path, sizeof(path), "%s/database.url", getenv("FTE_STATE_DIR")) >=
        sizeof(path)) {
        return;
    }
    file = fopen(path, "re");
    if (!file) {
        return;
    }
    if (fgets(url, sizeof(url), file)) {
        url[strcspn(url, "\n")] = '\0';
        setenv("DATABASE_URL", url, 1);
    }
    fclose(file);
}
