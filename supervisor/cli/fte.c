/* fte - the command line of the whole system.
 *
 *   person or script --(fte COMMAND)--> one function of the table below
 *
 * Holds no state of its own: what it changes is changed by the supervisor (over its control socket)
 * or in the database, so it may be killed at any time.
 */
#include "proto/buf.h"
#include "proto/runtime/fault.h"
#include "proto/runtime/option.h"
#include "supervisor/cli/cli.h"

#include <errno.h>
#include <limits.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef FTE_VERSION
#define FTE_VERSION "0.1.0"
#endif

static int cmd_help(int argc, char **argv);
static const struct cli_command *find_command(const char *name);
static int complete_environment(void);
static int load_config(void);
static void find_state_dir(void);
static void find_database(void);
static void find_router(void);

/* Everything that fte can do: a new command is a row here and a file beside this one. */
static const struct cli_command commands[] = {
    {"up", cmd_up, "check everything, then run the supervisor in the foreground"},
    {"check", cmd_check, "say what is wrong with settings, database and surroundings"},
    {"status", cmd_status, "what every actor does now"},
    {"top", cmd_top, "the same, again each second"},
    {"restart", cmd_restart, "restart NAME: stop an actor in good order and start it again"},
    {"scale", cmd_scale, "scale NAME N: run N workers of an actor"},
    {"drain", cmd_drain, "let everything finish its work and stop it"},
    {"kb", cmd_kb, "import, list and search the knowledge base"},
    {"triage", cmd_triage, "try the rules of escalation on past messages (JSON Lines)"},
    {"identify", cmd_identify, "say whether two identifiers are one customer's (JSON Lines)"},
    {"dlq", cmd_dlq, "list, show, replay or drop what could not be done"},
    {"trace", cmd_trace, "one message's way, step by step with times"},
    {"ticket", cmd_ticket, "list, show, answer, give back and close tickets"},
    {"customer", cmd_customer, "show a customer's identifiers and conversations"},
    {"keygen", cmd_keygen,
     "make a key pair for the router, or for a host whose actors connect to it"},
    {"migrate", cmd_migrate, "bring the database to this program's schema"},
    {"db", cmd_db, "db url: where the database is"},
    {"help", cmd_help, "this list"},
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
    code = complete_environment();
    if (code != 0) {
        return code;
    }
    fault_init("fte");
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

/* 0, or an exit code after saying what is wrong. */
static int
complete_environment(void)
{
    int rc = load_config();

    if (rc == 0) {
        find_state_dir();
        find_database();
        find_router();
    }
    return rc;
}

/* The file that FTE_CONFIG names goes into our environment and no further: the supervisor hands
 * each actor what its row lists, and not every secret of the file. */
static int
load_config(void)
{
    const char *path = getenv("FTE_CONFIG");
    struct buf faults = {0};
    char *rest = NULL;

    if (!path || path[0] == '\0' || option_load_file(path, &faults) == 0) {
        unsetenv("FTE_CONFIG");
        return 0;
    }
    buf_c(&faults);
    for (char *line = strtok_r(faults.p, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        fprintf(stderr, "fte: %s\n", line);
    }
    buf_fini(&faults);
    return CLI_CONFIG;
}

/* FTE_STATE_DIR, absolute. Without it: var/ of the checkout that this binary was built in, so that
 * `build/bin/fte status` works from any directory; else var/ of the current directory. */
static void
find_state_dir(void)
{
    const char *given = getenv("FTE_STATE_DIR");
    char base[PATH_MAX], whole[2 * PATH_MAX];

    if (given && given[0] == '/') {
        return;
    }
    if (given && given[0] != '\0') {
        if (getcwd(base, sizeof(base))) {
            snprintf(whole, sizeof(whole), "%s/%s", base, given);
            setenv("FTE_STATE_DIR", whole, 1);
        }
        return;
    }
    if (cli_root(base, sizeof(base)) || getcwd(base, sizeof(base))) {
        snprintf(whole, sizeof(whole), "%s/var", base);
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
    if ((size_t)snprintf(path, sizeof(path), "%s/database-url", getenv("FTE_STATE_DIR")) >=
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

/* FTE_ROUTER, where the state directory's path is too long for a Unix socket in it (107 bytes,
 * unix(7)): a private directory with a short name that is always the same for this state directory.
 */
static void
find_router(void)
{
    const char *given = getenv("FTE_ROUTER"), *state = getenv("FTE_STATE_DIR");
    const char *base = getenv("XDG_RUNTIME_DIR");
    unsigned char digest[SHA256_DIGEST_LENGTH];
    char dir[80], url[128];
    struct stat st;

    if ((given && given[0] != '\0') || strlen(state) + strlen("/run/router.sock") < 100) {
        return;
    }
    if (!base || base[0] != '/' || strlen(base) > 40) {
        base = "/tmp";
    }
    SHA256((const unsigned char *)state, strlen(state), digest);
    snprintf(dir, sizeof(dir), "%s/fte-%u-%02x%02x%02x%02x%02x%02x-run", base, (unsigned)getuid(),
             digest[0], digest[1], digest[2], digest[3], digest[4], digest[5]);
    /* Somebody else's directory of that name is no place for us. Without FTE_ROUTER the actors say
     * that the path is too long. */
    if ((mkdir(dir, 0700) == 0 || errno == EEXIST) && lstat(dir, &st) == 0 && S_ISDIR(st.st_mode) &&
        st.st_uid == getuid() && (st.st_mode & 077) == 0) {
        snprintf(url, sizeof(url), "ipc://%s/router.sock", dir);
        setenv("FTE_ROUTER", url, 1);
    }
}
