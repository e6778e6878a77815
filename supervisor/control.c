#include "supervisor/control.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sysexits.h>
#include <unistd.h>

static void answer(struct control *c, struct control_client *k, struct tree *t, int64_t now_ms);

int
control_open(struct control *c, int dir_fd)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    memset(c, 0, sizeof(*c));
    for (int i = 0; i < CONTROL_CLIENTS; i++) {
        c->clients[i].fd = -1;
    }
    c->dir = dir_fd;
    c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    /* By way of the descriptor: the path of a state directory may be longer than a socket's may. */
    snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/control", dir_fd);
    unlinkat(dir_fd, "control", 0);
    if (c->fd < 0 || bind(c->fd, (struct sockaddr *)&address, sizeof(address)) != 0 ||
        listen(c->fd, CONTROL_CLIENTS) != 0) {
        return -1;
    }
    return 0;
}

static void
let_go(struct control_client *k)
{
    close(k->fd);
    free(k->answer);
    *k = (struct control_client){.fd = -1};
}

void
control_close(struct control *c)
{
    unlinkat(c->dir, "ready", 0);
    unlinkat(c->dir, "control", 0);
    for (int i = 0; i < CONTROL_CLIENTS; i++) {
        if (c->clients[i].fd >= 0) {
            let_go(&c->clients[i]);
        }
    }
    close(c->fd);
}

size_t
control_poll(const struct control *c, struct pollfd *fds)
{
    size_t n = 0;

    fds[n++] = (struct pollfd){.fd = c->fd, .events = POLLIN};
    for (int i = 0; i < CONTROL_CLIENTS; i++) {
        const struct control_client *k = &c->clients[i];
        if (k->fd >= 0) {
            bool sending = k->answer && k->sent < k->answer_n;
            fds[n++] = (struct pollfd){.fd = k->fd, .events = sending ? POLLOUT : POLLIN};
        }
    }
    return n;
}

static void
welcome(struct control *c, int64_t now_ms)
{
    int fd;

    while ((fd = accept4(c->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0) {
        int i = 0;
        while (i < CONTROL_CLIENTS && c->clients[i].fd >= 0) {
            i++;
        }
        if (i == CONTROL_CLIENTS) {
            close(fd); /* `fte` says that the supervisor is busy */
            continue;
        }
        c->clients[i].fd = fd;
        c->clients[i].until_ms = now_ms + CONTROL_PATIENCE_MS;
    }
}

/* Reads the request; true when the whole line is there. Lets the client go at its end. */
static bool
receive(struct control_client *k)
{
    ssize_t n =
        recv(k->fd, k->request + k->request_n, sizeof(k->request) - 1 - k->request_n, MSG_DONTWAIT);
    char *end;

    if (n <= 0) {
        if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
            let_go(k);
        }
        return false;
    }
    k->request_n += (size_t)n;
    k->request[k->request_n] = '\0';
    end = memchr(k->request, '\n', k->request_n);
    if (!end && k->request_n < sizeof(k->request) - 1) {
        return false;
    }
    if (end) {
        *end = '\0';
    }
    return true;
}

static void
send_answer(struct control_client *k)
{
    ssize_t n =
        send(k->fd, k->answer + k->sent, k->answer_n - k->sent, MSG_DONTWAIT | MSG_NOSIGNAL);

    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (n > 0) {
        k->sent += (size_t)n;
    }
    if (n < 0 || (k->sent == k->answer_n && !k->stays)) {
        let_go(k);
    }
}

void
control_serve(struct control *c, struct tree *t, int64_t now_ms)
{
    welcome(c, now_ms);
    for (int i = 0; i < CONTROL_CLIENTS; i++) {
        struct control_client *k = &c->clients[i];
        if (k->fd >= 0 && !k->answer && receive(k)) {
            answer(c, k, t, now_ms);
        }
        if (k->fd >= 0 && k->answer && k->sent < k->answer_n) {
            send_answer(k);
        }
        if (k->fd >= 0 && !(k->stays && k->sent == k->answer_n) && now_ms >= k->until_ms) {
            let_go(k);
        }
    }
}

/* --- answers -------------------------------------------------------------------------------- */

static void say(struct control_client *k, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void
say(struct control_client *k, const char *format, ...)
{
    char line[1024];
    va_list args;
    int n;

    va_start(args, format);
    n = vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    if (n >= (int)sizeof(line)) {
        n = sizeof(line) - 1;
    }
    k->answer = realloc(k->answer, k->answer_n + (size_t)n);
    if (!k->answer) {
        exit(EX_TEMPFAIL);
    }
    memcpy(k->answer + k->answer_n, line, (size_t)n);
    k->answer_n += (size_t)n;
}

static void
say_status(struct control_client *k, const struct tree *t, int64_t now_ms)
{
    say(k, "ok\ntree\t%d\t%.3f\t%d\t%d\t%llu\t%s\n", (int)getpid(),
        (double)(now_ms - t->begun_ms) / 1000, tree_is_ready(t), t->draining,
        (unsigned long long)t->orphans, spec_strategy_str(t->spec->strategy));
    for (size_t i = 0; i < t->n; i++) {
        const struct child *c = t->children[i];
        say(k, "child\t%s\t%s\t%d\t%s\t%u\t%.3f\t%llu\t%llu\t%s\n", c->name, c->spec->service,
            (int)c->pid, child_state_str(c), c->restarts,
            c->pid ? (double)(now_ms - c->started_ms) / 1000 : 0.0, (unsigned long long)c->settled,
            (unsigned long long)c->in_flight, c->why);
    }
    say(k, ".\n");
}

static void
do_restart(struct control_client *k, struct tree *t, const char *name, int64_t now_ms)
{
    unsigned n = t->draining ? 0 : tree_restart(t, name, now_ms);

    if (t->draining) {
        say(k, "error\tdraining\n");
    } else if (n == 0) {
        say(k, "error\tno child is called \"%.64s\"\n", name);
    } else {
        say(k, "ok\t%u\n", n);
    }
}

static void
do_scale(struct control_client *k, struct tree *t, const char *name, const char *count,
         int64_t now_ms)
{
    size_t digits = strspn(count, "0123456789");
    unsigned long n = strtoul(count, NULL, 10);

    if (digits == 0 || digits > 3 || count[digits] != '\0' || n > SPEC_WORKERS_MAX) {
        say(k, "error\tworkers: a whole number from 0 to %d\n", SPEC_WORKERS_MAX);
    } else if (t->draining) {
        say(k, "error\tdraining\n");
    } else if (n > 1 && tree_is_alone(t, name)) {
        say(k, "error\t%.64s: " SPEC_ALONE "\n", name);
    } else if (!tree_scale(t, name, (unsigned)n, now_ms)) {
        say(k, "error\tno row of the table is called \"%.64s\"\n", name);
    } else {
        say(k, "ok\n");
    }
}

static void
answer(struct control *c, struct control_client *k, struct tree *t, int64_t now_ms)
{
    char *rest = k->request;
    const char *words[4] = {"", "", "", ""};

    for (int i = 0; i < 4 && rest; i++) {
        words[i] = strsep(&rest, "\t");
    }
    k->until_ms = now_ms + CONTROL_PATIENCE_MS;
    if (strcmp(words[0], "status") == 0) {
        say_status(k, t, now_ms);
    } else if (strcmp(words[0], "restart") == 0) {
        do_restart(k, t, words[1], now_ms);
    } else if (strcmp(words[0], "scale") == 0) {
        do_scale(k, t, words[1], words[2], now_ms);
    } else if (strcmp(words[0], "drain") == 0) {
        say(k, "ok\n");
        k->stays = true;
        c->drain_asked = true;
    } else {
        say(k, "error\tstatus, restart NAME, scale NAME N or drain\n");
    }
}

/* --- the file ------------------------------------------------------------------------------- */

static bool
is_missed(const struct child *c, bool only_misconfigured)
{
    return only_misconfigured ? c->state == CHILD_MISCONFIGURED
                              : c->state != CHILD_READY && c->state != CHILD_ENDED;
}

static void
describe(const struct tree *t, char *line, size_t room)
{
    bool misconfigured = false;
    size_t n;

    if (t->draining) {
        snprintf(line, room, "draining\n");
        return;
    }
    if (tree_is_ready(t)) {
        snprintf(line, room, "ready\n");
        return;
    }
    for (size_t i = 0; i < t->n; i++) {
        misconfigured |= is_missed(t->children[i], true);
    }
    n = (size_t)snprintf(line, room, misconfigured ? "misconfigured" : "waiting");
    for (size_t i = 0; i < t->n; i++) {
        const struct child *c = t->children[i];
        if (is_missed(c, misconfigured) && n + strlen(c->name) + 3 < room) {
            n += (size_t)snprintf(line + n, room - n, " %s", c->name);
        }
    }
    snprintf(line + n, room - n, "\n");
}

bool
control_tell_ready(struct control *c, const struct tree *t)
{
    char line[sizeof(c->ready_told)];
    int fd;
    bool ok;

    describe(t, line, sizeof(line));
    if (strcmp(line, c->ready_told) == 0) {
        return true;
    }
    fd = openat(c->dir, "ready.new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    ok = fd >= 0 && write(fd, line, strlen(line)) == (ssize_t)strlen(line) &&
         renameat(c->dir, "ready.new", c->dir, "ready") == 0;
    if (fd >= 0) {
        close(fd);
    }
    if (!ok) {
        /* A full disk: better no word than an old one. */
        unlinkat(c->dir, "ready", 0);
        c->ready_told[0] = '\0';
        return false;
    }
    memcpy(c->ready_told, line, sizeof(line));
    return true;
}
