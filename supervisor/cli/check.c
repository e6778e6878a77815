#include "supervisor/cli/check.h"

#include "db/actor_pg.h"
#include "db/migrate.h"
#include "proto/buf.h"
#include "proto/clock.h"
#include "proto/err.h"
#include "proto/runtime/option.h"
#include "supervisor/child.h"
#include "supervisor/cli/cli.h"
#include "supervisor/cli/client.h"
#include "supervisor/spec.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROGRAM_MS 20000 /* for one --check */
#define STATE_DIR_MAX 4000
#define OUTPUT_MAX (256 * 1024) /* of one --check */

static void check_table(struct check *c, const char *table, const char *bin_dir);
static void check_state_dir(struct check *c);
static void check_actors(struct check *c, const char *table, const char *bin_dir);
static int check_options(struct check *c, const struct option *table);
static void check_database(struct check *c);
static void check_port(struct check *c);
static bool has_programs(const char *dir, struct buf *ret_why);

/* Read by supervisor/run.sh and db/cluster.sh, which trust that they were checked here. */
static const struct option run_options[] = {
    {.name = "FTE_PG_BIN",
     .type = OPTION_TEXT,
     .value_default = "/usr/lib/postgresql/15/bin",
     .min = 1,
     .max = 4000,
     .allowed = "a directory with the programs of PostgreSQL 15",
     .valid = has_programs,
     .help = "Where the programs of PostgreSQL are, for the private cluster."},
    {.name = "FTE_RUN_TIMEOUT",
     .type = OPTION_INT,
     .value_default = "60",
     .min = 1,
     .max = 3600,
     .help = "How many seconds make run waits until the system is ready."},
    OPTION_END,
};
static const struct option database_options[] = {DATABASE_OPTION, OPTION_END};

void
check_settings(const char *table, struct check *ret)
{
    char bin_dir[4096], root[4096];

    memset(ret, 0, sizeof(*ret));
    cli_bin_dir(bin_dir, sizeof(bin_dir));
    if (cli_root(root, sizeof(root)) && chdir(root) != 0) {
        check_fault(ret, "%s: %s", root, strerror(errno));
        return;
    }
    check_table(ret, table, bin_dir);
    check_state_dir(ret);
    check_options(ret, run_options);
    check_actors(ret, table, bin_dir);
    if (client_running() == 0 && check_runs(table, "fte-ingress")) {
        check_port(ret);
    }
}

bool
check_runs(const char *table, const char *program)
{
    struct spec_fault ignored;
    struct spec *spec = NULL;
    bool found = false;

    if (spec_load(table, &spec, &ignored) == 0) {
        for (size_t i = 0; i < spec->n && !found; i++) {
            found = strcmp(spec->children[i].argv[0], program) == 0;
        }
        spec_free(&spec);
    }
    return found;
}

void
check_all(const char *table, struct check *ret)
{
    check_settings(table, ret);
    check_database(ret);
}

void
check_fini(struct check *c)
{
    for (size_t i = 0; i < c->n; i++) {
        free(c->faults[i]);
    }
    free(c->faults);
    memset(c, 0, sizeof(*c));
}

/* "fte-triage: FTE_X=... is not allowed" without the program: the same setting is checked by many.
 */
static const char *
without_program(const char *line)
{
    const char *colon = strncmp(line, "fte-", 4) == 0 ? strstr(line, ": ") : NULL;

    return colon ? colon + 2 : line;
}

static void
add_fault(struct check *c, const char *line, bool lasting)
{
    c->lasting |= lasting;
    for (size_t i = 0; i < c->n; i++) {
        if (strcmp(without_program(c->faults[i]), without_program(line)) == 0) {
            return;
        }
    }
    c->faults = xrealloc(c->faults, (c->n + 1) * sizeof(*c->faults));
    c->faults[c->n++] = xstrdup(line);
}

void
check_fault(struct check *c, const char *format, ...)
{
    char line[1024];
    va_list args;

    va_start(args, format);
    vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    add_fault(c, line, true);
}

/* --- programs ------------------------------------------------------------------------------- */

/* Reads until the end, or PROGRAM_MS are over. */
static bool
read_until_end(int fd, struct buf *output)
{
    int64_t until = clock_ms() + PROGRAM_MS;
    struct pollfd in = {.fd = fd, .events = POLLIN};

    while (poll(&in, 1, (int)(until > clock_ms() ? until - clock_ms() : 0)) == 1) {
        ssize_t n = read(fd, buf_reserve(output, 4096), 4096);
        if (n <= 0) {
            return n == 0;
        }
        output->n += output->n < OUTPUT_MAX ? (size_t)n : 0;
    }
    return false;
}

/* Runs a program; every line that it says on stderr is a fault if it doesn't exit 0. */
static void
run_check(struct check *c, const char *program, char *const *argv, char *const *environment)
{
    struct buf output = {0};
    size_t before = c->n;
    int out[2], status = 0;
    pid_t pid;
    bool ended;

    if (pipe2(out, O_CLOEXEC) != 0 || (pid = fork()) < 0) {
        check_fault(c, "%s can't be started: %s", argv[0], strerror(errno));
        return;
    }
    if (pid == 0) {
        int null = open("/dev/null", O_RDWR | O_CLOEXEC);
        dup2(null, STDIN_FILENO);
        dup2(null, STDOUT_FILENO); /* "configuration OK" */
        dup2(out[1], STDERR_FILENO);
        execvpe(program, argv, environment);
        dprintf(STDERR_FILENO, "%s: %s\n", program, strerror(errno));
        _exit(CLI_CONFIG);
    }
    close(out[1]);
    ended = read_until_end(out[0], &output);
    close(out[0]);
    if (!ended) {
        kill(pid, SIGKILL);
    }
    waitpid(pid, &status, 0);
    if (!ended || !WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        char *rest = NULL;
        buf_c(&output);
        for (char *line = strtok_r(output.p, "\n", &rest); line;
             line = strtok_r(NULL, "\n", &rest)) {
            add_fault(c, line, true);
        }
        if (c->n == before && output.n == 0) {
            check_fault(c, "%s %s failed and said nothing", argv[0], argv[1] ? argv[1] : "");
        }
    }
    buf_fini(&output);
}

static void
check_table(struct check *c, const char *table, const char *bin_dir)
{
    char program[4200];
    char *argv[] = {(char *)"fte-supervisor", (char *)"--check", (char *)table, NULL};

    snprintf(program, sizeof(program), "%s/fte-supervisor", bin_dir);
    run_check(c, program, argv, environ);
}

/* A program that isn't ours must at least be there. */
static void
find_program(struct check *c, const char *name)
{
    const char *path = getenv("PATH");
    char whole[4200];

    if (strchr(name, '/')) {
        if (access(name, X_OK) != 0) {
            check_fault(c, "the child table's command %s: %s", name, strerror(errno));
        }
        return;
    }
    while (path && *path) {
        size_t n = strcspn(path, ":");
        snprintf(whole, sizeof(whole), "%.*s/%s", n > 0 ? (int)n : 1, n > 0 ? path : ".", name);
        if (access(whole, X_OK) == 0) {
            return;
        }
        path += n + (path[n] == ':');
    }
    check_fault(c, "the child table's command %s: not found on PATH", name);
}

static void
check_actors(struct check *c, const char *table, const char *bin_dir)
{
    const char *url = getenv("DATABASE_URL");
    bool has_url = url && url[0] != '\0';
    struct spec_fault ignored;
    struct spec *spec = NULL;

    if (spec_load(table, &spec, &ignored) != 0) {
        return; /* said already */
    }
    /* Whether there is a database is said once, by check_database(), and not by each actor. */
    if (!has_url) {
        setenv("DATABASE_URL", "postgresql:///", 1);
    }
    for (size_t i = 0; i < spec->n; i++) {
        const struct child_spec *row = &spec->children[i];
        char *argv[] = {row->argv[0], (char *)"--check", NULL};
        char **environment;
        char *program;
        /* Only ours are known to understand --check; anything else might begin to work. */
        if (strncmp(row->argv[0], "fte-", 4) != 0) {
            find_program(c, row->argv[0]);
            continue;
        }
        environment = child_environment(row, 1);
        program = child_program(row, bin_dir);
        run_check(c, program, argv, environment);
        free(program);
        child_environment_free(environment);
    }
    if (!has_url) {
        unsetenv("DATABASE_URL");
    }
    spec_free(&spec);
}

/* --- surroundings --------------------------------------------------------------------------- */

/* As mkdir -p. */
static int
make_dir(const char *dir)
{
    char path[PATH_MAX];

    if (strlen(dir) >= sizeof(path)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    strcpy(path, dir);
    for (char *at = path + 1; (at = strchr(at, '/')) != NULL; at++) {
        *at = '\0';
        mkdir(path, 0700); /* what can't be made is told by the last one */
        *at = '/';
    }
    return mkdir(path, 0700) != 0 && errno != EEXIST ? -1 : 0;
}

static void
check_state_dir(struct check *c)
{
    const char *dir = getenv("FTE_STATE_DIR");
    char path[PATH_MAX + 32];
    int fd = -1;

    if (make_dir(dir) == 0) {
        snprintf(path, sizeof(path), "%s/.check-XXXXXX", dir);
        fd = mkostemp(path, O_CLOEXEC);
    }
    if (fd < 0) {
        bool too_long = strlen(dir) > STATE_DIR_MAX;
        check_fault(
            c,
            "FTE_STATE_DIR=\"%.100s\" is not allowed: must be a directory that can be written "
            "to, of at most 4000 bytes%s%s%s",
            dir, too_long ? "" : " (", too_long ? "" : strerror(errno), too_long ? "" : ")");
        return;
    }
    close(fd);
    unlink(path);
}

static int
check_options(struct check *c, const struct option *table)
{
    struct buf faults = {0};
    char *rest = NULL;
    int n = option_check(table, &faults);

    buf_c(&faults);
    for (char *line = strtok_r(faults.p, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        add_fault(c, line, true);
    }
    buf_fini(&faults);
    return n;
}

static bool
has_programs(const char *dir, struct buf *ret_why)
{
    char path[PATH_MAX];

    snprintf(path, sizeof(path), "%s/postgres", dir);
    if (access(path, X_OK) == 0) {
        return true;
    }
    buf_printf(ret_why, "postgres: %s", strerror(errno));
    return false;
}

static void
check_database(struct check *c)
{
    const char *url = getenv("DATABASE_URL");
    struct migrate_report report = {0};
    int err;

    if (!url || url[0] == '\0') {
        check_fault(c,
                    "DATABASE_URL is not set, and %s/database-url names no private cluster "
                    "(db/cluster.sh start makes one)",
                    getenv("FTE_STATE_DIR"));
        return;
    }
    if (check_options(c, database_options) > 0) {
        return;
    }
    err = migrate_apply(url, migrations, true, &report);
    if (err == ERR_NOT_FOUND) {
        check_fault(c, "DATABASE_URL: the schema is version %d and %d is needed: run `fte migrate`",
                    report.version, migrate_version());
    } else if (err != 0) {
        char line[sizeof(report.why) + 32];
        snprintf(line, sizeof(line), "DATABASE_URL: %s", report.why);
        add_fault(c, line, err != ERR_UNAVAILABLE);
    }
}

/* True if somebody listens there already. */
static bool
is_taken(struct sockaddr_in *address)
{
    int one = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool taken;

    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    taken = bind(fd, (struct sockaddr *)address, sizeof(*address)) != 0 && errno == EADDRINUSE;
    close(fd);
    return taken;
}

static void
check_port(struct check *c)
{
    const char *text = getenv("FTE_HTTP_PORT"), *host = getenv("FTE_HTTP_BIND");
    struct sockaddr_in address = {.sin_family = AF_INET};
    char *end;
    long port = text && text[0] ? strtol(text, &end, 10) : 8080;

    if (port <= 0 || port > 65535) {
        return; /* 0 is any port; nonsense is the ingress' own fault line */
    }
    address.sin_port = htons((uint16_t)port);
    if (inet_pton(AF_INET, host && host[0] ? host : "127.0.0.1", &address.sin_addr) != 1) {
        return;
    }
    if (is_taken(&address)) {
        check_fault(
            c,
            "FTE_HTTP_PORT=\"%ld\" is not allowed: must be a port from 1 to 65535 that is free "
            "(somebody else listens there)",
            port);
    }
}
