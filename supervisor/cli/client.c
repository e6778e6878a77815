#include "supervisor/cli/client.h"

#include "proto/clock.h"
#include "supervisor/cli/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define ANSWER_MAX (4 * 1024 * 1024)
#define PATIENCE_S 5

/* A connection, or -1 and errno. */
static int
connect_control(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int dir = open(getenv("FTE_STATE_DIR"), O_PATH | O_DIRECTORY | O_CLOEXEC);
    int fd, saved;

    if (dir < 0) {
        return -1;
    }
    /* By way of the descriptor: a path may be longer than a socket's may be. */
    snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/control", dir);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
        saved = errno;
        close(fd);
        fd = -1;
        errno = saved;
    }
    saved = errno;
    close(dir);
    errno = saved;
    return fd;
}

/* Reads to the end. False and errno if it takes too long or breaks. */
static bool
read_all(int fd, struct buf *answer)
{
    for (;;) {
        ssize_t n = recv(fd, buf_reserve(answer, 4096), 4096, 0);
        if (n == 0) {
            return true;
        }
        if (n < 0 && errno != EINTR) {
            return false;
        }
        answer->n += n > 0 ? (size_t)n : 0;
        if (answer->n > ANSWER_MAX) {
            errno = EMSGSIZE;
            return false;
        }
    }
}

static int
absent(const char *command, int error)
{
    const char *dir = getenv("FTE_STATE_DIR");

    if (error == ENOENT || error == ECONNREFUSED) {
        return cli_fail(
            CLI_UNAVAILABLE, command,
            "no supervisor runs on %s (FTE_STATE_DIR); `fte up` or `make run` starts it", dir);
    }
    return cli_fail(CLI_UNAVAILABLE, command, "%s/control: %s", dir, strerror(error));
}

int
client_ask(const char *command, const char *request, bool until_gone, struct buf *ret_answer)
{
    struct timeval patience = {.tv_sec = until_gone ? 0 : PATIENCE_S};
    struct buf line = {0};
    int fd = connect_control();
    bool sent, whole;
    int error;

    if (fd < 0) {
        return absent(command, errno);
    }
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    buf_printf(&line, "%s\n", request);
    sent = send(fd, line.p, line.n, MSG_NOSIGNAL) == (ssize_t)line.n;
    whole = sent && read_all(fd, ret_answer);
    error = errno;
    buf_fini(&line);
    close(fd);
    if (!whole || ret_answer->n == 0) {
        return cli_fail(CLI_UNAVAILABLE, command, "the supervisor does not answer: %s",
                        whole ? "it is busy" : strerror(error));
    }
    if (strncmp(buf_c(ret_answer), "ok", 2) != 0) {
        const char *why = strchr(buf_c(ret_answer), '\t');
        ret_answer->p[strcspn(ret_answer->p, "\n")] = '\0';
        return cli_fail(CLI_FAILED, command, "%s", why ? why + 1 : ret_answer->p);
    }
    return CLI_OK;
}

int
client_running(void)
{
    struct ucred peer;
    socklen_t n = sizeof(peer);
    int fd = connect_control();
    int pid = 0;

    if (fd >= 0) {
        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) == 0) {
            pid = peer.pid;
        }
        close(fd);
    }
    return pid;
}

/* --- status --------------------------------------------------------------------------------- */

/* child <name> <service> <pid> <state> <restarts> <uptime> <settled> <in flight> <why> */
static void
read_child(struct client_status *s, char *fields)
{
    struct client_actor *a;
    char *words[9];

    for (int i = 0; i < 9; i++) {
        words[i] = fields ? strsep(&fields, "\t") : NULL;
        if (!words[i]) {
            return; /* an older or newer supervisor */
        }
    }
    s->actors = xrealloc(s->actors, (s->n + 1) * sizeof(*s->actors));
    a = &s->actors[s->n++];
    *a = (struct client_actor){
        .name = words[0], .service = words[1], .state = words[3], .why = words[8]};
    a->pid = (int)strtol(words[2], NULL, 10);
    a->restarts = (unsigned)strtoul(words[4], NULL, 10);
    a->uptime_s = strtod(words[5], NULL);
    a->settled = strtoull(words[6], NULL, 10);
    a->in_flight = strtoull(words[7], NULL, 10);
}

int
client_status(const char *command, struct client_status *ret)
{
    int rc;
    char *rest;

    memset(ret, 0, sizeof(*ret));
    rc = client_ask(command, "status", false, &ret->text);
    if (rc != CLI_OK) {
        buf_fini(&ret->text);
        return rc;
    }
    buf_c(&ret->text);
    rest = ret->text.p;
    while (rest) {
        char *line = strsep(&rest, "\n");
        int ready, draining;
        unsigned long long orphans;
        if (strncmp(line, "child\t", 6) == 0) {
            read_child(ret, line + 6);
        } else if (sscanf(line, "tree\t%d\t%lf\t%d\t%d\t%llu", &ret->pid, &ret->uptime_s, &ready,
                          &draining, &orphans) == 5) {
            ret->ready = ready != 0;
            ret->draining = draining != 0;
            ret->orphans = orphans;
        }
    }
    return CLI_OK;
}

void
client_status_fini(struct client_status *s)
{
    free(s->actors);
    buf_fini(&s->text);
    memset(s, 0, sizeof(*s));
}

static bool
is_degraded(const struct client_actor *a)
{
    return strcmp(a->state, "degraded") == 0 || strcmp(a->state, "misconfigured") == 0;
}

json_t *
client_status_json(const struct client_status *s)
{
    json_t *actors = json_array(), *degraded = json_array();

    for (size_t i = 0; i < s->n; i++) {
        const struct client_actor *a = &s->actors[i];
        json_array_append_new(
            actors, json_pack("{s:s, s:o, s:o, s:s, s:i, s:f, s:I, s:I, s:o}", "name", a->name,
                              "service", a->service[0] ? json_string(a->service) : json_null(),
                              "pid", a->pid ? json_integer(a->pid) : json_null(), "state", a->state,
                              "restarts", (int)a->restarts, "uptime_s", a->uptime_s, "settled",
                              (json_int_t)a->settled, "in_flight", (json_int_t)a->in_flight, "why",
                              a->why[0] ? json_string(a->why) : json_null()));
        if (is_degraded(a)) {
            json_array_append_new(degraded, json_string(a->name));
        }
    }
    return json_pack("{s:o, s:b, s:o, s:b, s:{s:i, s:f, s:I}}", "actors", actors, "ready", s->ready,
                     "degraded", degraded, "draining", s->draining, "supervisor", "pid", s->pid,
                     "uptime_s", s->uptime_s, "orphans_reaped", (json_int_t)s->orphans);
}

/* "12s", "3m05s", "2h07m" */
static const char *
short_time(double seconds, char text[16])
{
    unsigned s = (unsigned)seconds;

    if (s < 60) {
        snprintf(text, 16, "%us", s);
    } else if (s < 3600) {
        snprintf(text, 16, "%um%02us", s / 60, s % 60);
    } else {
        snprintf(text, 16, "%uh%02um", s / 3600 % 100000, s / 60 % 60);
    }
    return text;
}

void
client_status_print(const struct client_status *s)
{
    char up[16];

    printf("%-18s %-24s %7s %-13s %8s %8s %10s %9s\n", "NAME", "SERVICE", "PID", "STATE",
           "RESTARTS", "UP", "SETTLED", "IN FLIGHT");
    for (size_t i = 0; i < s->n; i++) {
        const struct client_actor *a = &s->actors[i];
        char pid[16] = "-";
        if (a->pid) {
            snprintf(pid, sizeof(pid), "%d", a->pid);
        }
        printf("%-18s %-24s %7s %-13s %8u %8s %10llu %9llu%s%s\n", a->name,
               a->service[0] ? a->service : "-", pid, a->state, a->restarts,
               a->pid ? short_time(a->uptime_s, up) : "-", (unsigned long long)a->settled,
               (unsigned long long)a->in_flight, a->why[0] ? "  " : "", a->why);
    }
    printf("%s; supervisor %d, up %s\n",
           s->draining ? "draining" : (s->ready ? "ready" : "not ready"), s->pid,
           short_time(s->uptime_s, up));
}

/* True if `actor` is `name`, or a worker of the row `name`. */
static bool
belongs_to(const char *actor, const char *name)
{
    size_t n = strlen(name);

    return strncmp(actor, name, n) == 0 &&
           (actor[n] == '\0' || (actor[n] == '.' && actor[n + 1] != '\0' &&
                                 strspn(actor + n + 1, "0123456789") == strlen(actor + n + 1)));
}

/* 1 ready, 0 not yet, -1 no answer. */
static int
look(const char *command, const char *name)
{
    struct client_status s;
    int ready = 1;

    if (client_status(command, &s) != CLI_OK) {
        return -1;
    }
    for (size_t i = 0; i < s.n; i++) {
        if ((!name || belongs_to(s.actors[i].name, name)) &&
            strcmp(s.actors[i].state, "ready") != 0 && strcmp(s.actors[i].state, "ended") != 0) {
            ready = 0;
        }
    }
    client_status_fini(&s);
    return ready;
}

bool
client_wait_ready(const char *command, const char *name, int64_t ms)
{
    const struct timespec pause = {.tv_nsec = 20000000};
    int64_t until = clock_ms() + ms;
    int ready;

    while ((ready = look(command, name)) == 0 && clock_ms() < until) {
        nanosleep(&pause, NULL);
    }
    return ready == 1;
}
