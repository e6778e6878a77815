#include "supervisor/child.h"

#include "proto/lifeline.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

const char *const child_base_environment[] = {
    "PATH",
    "HOME",
    "LANG",
    "TZ",
    "TMPDIR",
    "FTE_STATE_DIR",
    "FTE_CONFIG",
    "FTE_ROUTER",
    "FTE_LOG_LEVEL",
    "FTE_FAULT",
    "FTE_CURVE_SERVER_KEY",
    "FTE_CURVE_SECRET",
    "ASAN_OPTIONS",
    "UBSAN_OPTIONS",
    "LSAN_OPTIONS",
    "TSAN_OPTIONS",
    NULL,
};

static const char *const state_names[] = {"waiting",  "starting", "ready", "degraded",
                                          "stopping", "hung",     "ended", "misconfigured"};

/* Both ends of what a child is born with. */
struct birth {
    int lifeline[2];
    int log[2];
    int null;
    char *program;
    char **environment;
    pid_t supervisor;
};

struct child *
child_new(const struct child_spec *spec, size_t row, unsigned instance)
{
    struct child *c = calloc(1, sizeof(*c));

    if (!c) {
        exit(EX_TEMPFAIL);
    }
    c->spec = spec;
    c->row = row;
    c->instance = instance;
    c->pidfd = c->lifeline = c->log.fd = -1;
    snprintf(c->name, sizeof(c->name), "%s", spec->name);
    return c;
}

static void
close_fd(int *fd)
{
    if (*fd >= 0) {
        close(*fd);
        *fd = -1;
    }
}

void
child_free(struct child **c_p)
{
    struct child *c = *c_p;

    if (c) {
        close_fd(&c->pidfd);
        close_fd(&c->lifeline);
        close_fd(&c->log.fd);
        free(c);
        *c_p = NULL;
    }
}

/* fte-xxx stands beside the supervisor; anything else is found by execvp(3)'s rules. */
char *
child_program(const struct child_spec *spec, const char *bin_dir)
{
    const char *name = spec->argv[0];
    char *path = NULL;

    if (strncmp(name, "fte-", 4) == 0 && !strchr(name, '/')) {
        if (asprintf(&path, "%s/%s", bin_dir, name) < 0) {
            exit(EX_TEMPFAIL);
        }
        return path;
    }
    path = strdup(name);
    if (!path) {
        exit(EX_TEMPFAIL);
    }
    return path;
}

/* True if the row lists the variable itself: its word wins over the base set. */
static bool
lists(char *const *listed, const char *name)
{
    size_t n = strlen(name);

    for (size_t i = 0; listed[i]; i++) {
        if (strncmp(listed[i], name, n) == 0 && (listed[i][n] == '\0' || listed[i][n] == '=')) {
            return true;
        }
    }
    return false;
}

/* NAME=VALUE, or NULL if we don't have NAME ourselves. */
static char *
with_our_value(const char *name)
{
    const char *value = getenv(name);
    char *made = NULL;

    if (value && asprintf(&made, "%s=%s", name, value) < 0) {
        exit(EX_TEMPFAIL);
    }
    return made;
}

/* The base set, its own name, and what the row lists. */
char **
child_environment(const struct child_spec *spec, unsigned instance)
{
    char *const *listed = spec->environment;
    size_t room = 2, n = 0;
    char **made;

    for (size_t i = 0; child_base_environment[i]; i++) {
        room++;
    }
    for (size_t i = 0; listed[i]; i++) {
        room++;
    }
    made = calloc(room, sizeof(*made));
    if (!made || asprintf(&made[n++], "FTE_CHILD=%s.%u", spec->name, instance) < 0) {
        exit(EX_TEMPFAIL);
    }
    for (size_t i = 0; child_base_environment[i]; i++) {
        if (!lists(listed, child_base_environment[i])) {
            made[n] = with_our_value(child_base_environment[i]);
            n += made[n] != NULL;
        }
    }
    for (size_t i = 0; listed[i]; i++) {
        made[n] = strchr(listed[i], '=') ? strdup(listed[i]) : with_our_value(listed[i]);
        n += made[n] != NULL;
    }
    return made;
}

void
child_environment_free(char **environment)
{
    for (size_t i = 0; environment && environment[i]; i++) {
        free(environment[i]);
    }
    free(environment);
}

static void
birth_fini(struct birth *b)
{
    child_environment_free(b->environment);
    free(b->program);
    close_fd(&b->lifeline[0]);
    close_fd(&b->lifeline[1]);
    close_fd(&b->log[0]);
    close_fd(&b->log[1]);
    close_fd(&b->null);
}

static bool
birth_init(struct birth *b, const struct child_spec *spec, unsigned instance, const char *bin_dir)
{
    *b = (struct birth){.lifeline = {-1, -1}, .log = {-1, -1}, .supervisor = getpid()};
    b->null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (b->null < 0 || pipe2(b->lifeline, O_CLOEXEC) != 0 || pipe2(b->log, O_CLOEXEC) != 0) {
        return false;
    }
    fcntl(b->lifeline[0], F_SETFL, O_NONBLOCK);
    fcntl(b->log[0], F_SETFL, O_NONBLOCK);
    b->program = child_program(spec, bin_dir);
    b->environment = child_environment(spec, instance);
    return true;
}

/* Moves `fd` to a number that the contract doesn't use, so that dup2() can't overwrite it. */
static int
out_of_the_way(int fd)
{
    return fcntl(fd, F_DUPFD_CLOEXEC, LIFELINE_FD + 1);
}

/* In the child, between fork and exec. One thread, so everything may be called; nothing returns. */
static _Noreturn void
become(const struct birth *b, const struct child_spec *spec)
{
    int null = out_of_the_way(b->null), log = out_of_the_way(b->log[1]),
        lifeline = out_of_the_way(b->lifeline[1]);
    struct rlimit core;
    sigset_t none;

    setpgid(0, 0);
    /* If the supervisor died before this line, nobody would ever tell us. */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != b->supervisor) {
        _exit(EX_TEMPFAIL);
    }
    dup2(null, STDIN_FILENO);
    dup2(log, STDOUT_FILENO);
    dup2(log, STDERR_FILENO);
    dup2(lifeline, LIFELINE_FD);
    umask(077);
    if (getrlimit(RLIMIT_CORE, &core) == 0) {
        core.rlim_cur = 0;
        setrlimit(RLIMIT_CORE, &core);
    }
    for (int sig = 1; sig < NSIG; sig++) {
        signal(sig, SIG_DFL);
    }
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    execvpe(b->program, spec->argv, b->environment);
    /* A program that isn't there won't be there in five seconds either. */
    fprintf(stderr, "%s: %s\n", b->program, strerror(errno));
    _exit(errno == ENOENT || errno == EACCES || errno == ENOEXEC ? EX_CONFIG : EX_TEMPFAIL);
}

bool
child_start(struct child *c, const char *bin_dir, int64_t now_ms)
{
    struct birth b;
    bool ok = birth_init(&b, c->spec, c->instance, bin_dir);
    pid_t pid = ok ? fork() : -1;

    if (pid == 0) {
        become(&b, c->spec);
    }
    if (pid < 0) {
        snprintf(c->why, sizeof(c->why), "can't be started: %s", strerror(errno));
        birth_fini(&b);
        return false;
    }
    setpgid(pid, pid); /* also here: whoever is first; fails harmlessly after its exec */
    c->pid = pid;
    c->pidfd = pidfd_open(pid, 0);
    c->lifeline = b.lifeline[0];
    c->log.fd = b.log[0];
    b.lifeline[0] = b.log[0] = -1;
    birth_fini(&b);
    c->state = CHILD_STARTING;
    c->goal = GOAL_RUN;
    c->was_ready = false;
    c->heard_n = 0;
    c->settled = c->in_flight = 0;
    c->started_ms = c->heard_ms = now_ms;
    c->why[0] = '\0';
    c->restarts += c->starts > 0;
    c->starts++;
    return true;
}

/* Printable, and short enough for a table. */
static void
keep_why(struct child *c, const char *text)
{
    size_t n = 0;

    for (; *text && n + 1 < sizeof(c->why); text++) {
        c->why[n++] = *text == '\t' || (unsigned char)*text < 0x20 ? ' ' : *text;
    }
    c->why[n] = '\0';
}

/* One line of the lifeline. True if it changed what people see. Unknown words are a newer child's.
 */
static bool
hear(struct child *c, const char *line, int64_t now_ms)
{
    bool runs = c->state == CHILD_STARTING || c->state == CHILD_READY || c->state == CHILD_DEGRADED;
    unsigned long long settled, in_flight;

    if (sscanf(line, "T %llu %llu", &settled, &in_flight) == 2) {
        c->settled = settled;
        c->in_flight = in_flight;
        return false;
    }
    if (!runs) {
        return false;
    }
    if (strcmp(line, "READY") == 0) {
        c->state = CHILD_READY;
        c->was_ready = true;
        c->ready_ms = now_ms;
        c->why[0] = '\0';
        return true;
    }
    if (strncmp(line, "DEGRADED", 8) == 0) {
        c->state = c->was_ready ? CHILD_DEGRADED : CHILD_STARTING;
        keep_why(c, line[8] == ' ' ? line + 9 : "");
        return true;
    }
    if (strncmp(line, "NOTE ", 5) == 0) {
        if (c->state == CHILD_READY) {
            keep_why(c, line + 5);
        }
        return false;
    }
    if (strcmp(line, "OK") == 0) {
        c->state = c->was_ready ? CHILD_READY : CHILD_STARTING;
        c->why[0] = '\0';
        return true;
    }
    return false;
}

bool
child_listen(struct child *c, int64_t now_ms)
{
    char text[4096];
    ssize_t n = read(c->lifeline, text, sizeof(text));
    bool changed = false;

    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
        close_fd(&c->lifeline);
        return false;
    }
    if (n > 0) {
        c->heard_ms = now_ms;
    }
    for (ssize_t i = 0; i < n; i++) {
        if (text[i] == '\n') {
            /* A line that was too long has been cut: no word of ours is that long. */
            c->heard[c->heard_n] = '\0';
            changed |= hear(c, c->heard, now_ms);
            c->heard_n = 0;
        } else if (c->heard_n + 1 < sizeof(c->heard)) {
            c->heard[c->heard_n++] = text[i] == '\0' ? ' ' : text[i];
        }
    }
    return changed;
}

void
child_signal(struct child *c, int sig)
{
    if (c->pidfd >= 0) {
        pidfd_send_signal(c->pidfd, sig, NULL, 0);
    } else if (c->pid > 0) {
        /* No pidfd (out of descriptors when it was born). Nobody else reaps our children, so the
         * number is still theirs. */
        kill(c->pid, sig);
    }
}

bool
child_reap(struct child *c, struct relay *relay, int64_t now_ms, int *ret_status)
{
    siginfo_t info = {0};
    int status;

    /* Look without reaping: while it is a zombie, its number and its group can't be anybody's else.
     */
    if (waitid(P_PID, (id_t)c->pid, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == 0) {
        return false;
    }
    kill(-c->pid, SIGKILL);
    if (c->lifeline >= 0) {
        child_listen(c, now_ms); /* its last count */
    }
    if (waitpid(c->pid, &status, 0) != c->pid) {
        return false;
    }
    relay_close(relay, &c->log, c->name, now_ms);
    close_fd(&c->lifeline);
    close_fd(&c->pidfd);
    c->pid = 0;
    c->in_flight = 0;
    *ret_status = status;
    return true;
}

void
child_end_strangers(void)
{
    char path[64];
    FILE *file;
    int pid;

    snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
    file = fopen(path, "re");
    while (file && fscanf(file, "%d", &pid) == 1) {
        kill(pid, SIGKILL);
    }
    if (file) {
        fclose(file);
    }
}

const char *
child_state_str(const struct child *c)
{
    if (c->state == CHILD_WAITING && c->intensity.degraded) {
        return state_names[CHILD_DEGRADED];
    }
    return state_names[c->state];
}
