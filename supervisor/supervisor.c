/* supervisor - keeps every process of the child table alive.
 *
 *   every child --(fd 3: READY, ticks)--> supervisor --(SIGTERM, SIGABRT, SIGKILL)--> every child
 *   fte --(control socket)--> supervisor --(file FTE_STATE_DIR/ready)--> ingress
 *
 * It links libc and nothing else, holds nothing that must survive, and takes the whole tree with it
 * when it dies: whoever starts it again gets a fresh tree. It must not die itself: trouble of its
 * own (no process, no descriptor, a full disk) is said and tried again.
 *
 *   fte-supervisor TABLE           runs the tree in the foreground until SIGTERM, SIGINT or SIGHUP
 *   fte-supervisor --check TABLE   reads the table and the settings, and says what is wrong
 *
 * Settings: FTE_STATE_DIR (default: var), FTE_DRAIN_BUDGET (default: 45s). Exit codes: 0 drained,
 * 64 usage, 75 try again, 78 configuration (table, state directory, a second supervisor).
 */
#include "supervisor/control.h"
#include "supervisor/notify.h"
#include "supervisor/relay.h"
#include "supervisor/spec.h"
#include "supervisor/state.h"
#include "supervisor/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

/* Between two turns of the loop; more than this and we ourselves have been asleep. */
#define NAP_MS 3000
#define POLL_MAX_MS 1000
#define FDS_MAX (2 + 1 + CONTROL_CLIENTS + 3 * SPEC_CHILDREN_MAX * SPEC_WORKERS_MAX)

struct supervisor {
    struct spec *spec;
    struct relay relay;
    struct tree tree;
    struct control control;
    int state_dir;
    int signals;
    int64_t drain_budget_ms;
    char bin_dir[PATH_MAX];
    bool told_ready; /* the last word to the log and to whoever supervises us */
    struct pollfd *fds;
};

static int check_table(const char *path, struct spec **ret);
static int init(struct supervisor *s);
static void run(struct supervisor *s);
static void fini(struct supervisor *s);
static int take_signals(void);
static void wait_for_events(struct supervisor *s);
static void serve_signals(struct supervisor *s, int64_t now_ms);
static void serve_children(struct supervisor *s, int64_t now_ms);
static void reap(struct supervisor *s, int64_t now_ms);
static void drain(struct supervisor *s, const char *why, int64_t now_ms);
static void tell_ready(struct supervisor *s);
static int64_t clock_ms(void);

int
main(int argc, char **argv)
{
    static struct supervisor s;
    bool only_check = argc == 3 && strcmp(argv[1], "--check") == 0;
    int rc;

    if (argc != 2 && !only_check) {
        fputs("usage: fte-supervisor [--check] TABLE\n", stderr);
        return EX_USAGE;
    }
    rc = check_table(argv[argc - 1], &s.spec);
    if (only_check && state_drain_budget(&s.drain_budget_ms) != 0) {
        rc = EX_CONFIG;
    }
    if (rc != 0 || only_check) {
        spec_free(&s.spec);
        return rc;
    }
    rc = init(&s);
    if (rc == 0) {
        run(&s);
        fini(&s);
    }
    return rc;
}

static int
check_table(const char *path, struct spec **ret)
{
    struct spec_fault fault = {0};

    if (spec_load(path, ret, &fault) == 0) {
        return 0;
    }
    if (fault.line > 0) {
        fprintf(stderr, "fte-supervisor: %s:%u: %s\n", path, fault.line, fault.what);
    } else {
        fprintf(stderr,
                "fte-supervisor: FTE_CHILD_TABLE=\"%.300s\" is not allowed: must be a child table "
                "that can be read (%s)\n",
                path, fault.what);
    }
    return EX_CONFIG;
}

static int
init(struct supervisor *s)
{
    int rc;

    state_close_inherited();
    if (state_bin_dir(s->bin_dir, sizeof(s->bin_dir)) != 0 ||
        state_drain_budget(&s->drain_budget_ms) != 0) {
        return EX_CONFIG;
    }
    rc = state_open(&s->state_dir);
    if (rc != 0) {
        return rc;
    }
    s->signals = take_signals();
    /* Grandchildren whose parents are gone come to us, so that none becomes a zombie. */
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    if (s->signals < 0 || control_open(&s->control, s->state_dir) != 0) {
        fprintf(stderr, "fte-supervisor: %s/control: %s\n", getenv("FTE_STATE_DIR"),
                strerror(errno));
        return EX_CONFIG;
    }
    relay_init(&s->relay);
    srandom((unsigned)(getpid() ^ time(NULL)));
    s->fds = calloc(FDS_MAX, sizeof(struct pollfd));
    if (!s->fds) {
        return EX_TEMPFAIL;
    }
    tree_init(&s->tree, s->spec, s->bin_dir, &s->relay, clock_ms());
    relay_note(&s->relay, "info", "begins", "children=%zu strategy=%s", s->tree.n,
               spec_strategy_str(s->spec->strategy));
    return 0;
}

/* One turn: what is due, then sleep, then what has happened. */
static void
run(struct supervisor *s)
{
    /* Looked at once a turn, right after the sleep: whenever we may have been stopped, everything
     * in a turn goes by a time at which the children's ticks had been read. */
    int64_t now = clock_ms(), before;

    do {
        tree_step(&s->tree, now);
        tell_ready(s);
        relay_flush(&s->relay);
        wait_for_events(s);
        before = now;
        now = clock_ms();
        if (now - before > NAP_MS) {
            tree_excuse(&s->tree, now - before);
        }
        serve_signals(s, now);
        serve_children(s, now);
        reap(s, now);
        control_serve(&s->control, &s->tree, now);
        if (s->control.drain_asked) {
            s->control.drain_asked = false;
            if (!s->tree.draining) {
                drain(s, "asked", now);
            }
        }
    } while (!s->tree.draining || !tree_is_empty(&s->tree));
}

static void
fini(struct supervisor *s)
{
    relay_note(&s->relay, "info", "ends", "orphans=%llu", (unsigned long long)s->tree.orphans);
    relay_flush(&s->relay);
    child_end_strangers();
    tree_fini(&s->tree);
    spec_free(&s->spec);
    /* The last thing that others see of us: after it a new supervisor may begin. */
    control_close(&s->control);
    state_close(s->state_dir);
}

/* All signals that we act on come by descriptor; what else could end us is ignored. */
static int
take_signals(void)
{
    sigset_t set;

    signal(SIGPIPE, SIG_IGN);
    signal(SIGINT, SIG_DFL);
    signal(SIGHUP, SIG_DFL);
    signal(SIGCHLD, SIG_DFL);
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGCHLD);
    sigprocmask(SIG_BLOCK, &set, NULL);
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static void
wait_for_events(struct supervisor *s)
{
    struct pollfd *fds = s->fds;
    int64_t due = tree_due(&s->tree, clock_ms());
    size_t n = 0;

    fds[n++] = (struct pollfd){.fd = s->signals, .events = POLLIN};
    if (relay_waiting(&s->relay)) {
        fds[n++] = (struct pollfd){.fd = STDERR_FILENO, .events = POLLOUT};
    }
    n += control_poll(&s->control, fds + n);
    for (size_t i = 0; i < s->tree.n; i++) {
        const struct child *c = s->tree.children[i];
        const int watched[] = {c->pidfd, c->lifeline, c->log.fd};
        for (int k = 0; k < 3; k++) {
            if (watched[k] >= 0) {
                fds[n++] = (struct pollfd){.fd = watched[k], .events = POLLIN};
            }
        }
    }
    poll(fds, n, due >= 0 && due < POLL_MAX_MS ? (int)due : POLL_MAX_MS);
}

static void
serve_signals(struct supervisor *s, int64_t now_ms)
{
    struct signalfd_siginfo info;

    while (read(s->signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        if (info.ssi_signo != SIGCHLD) {
            drain(s, strsignal((int)info.ssi_signo), now_ms);
        }
    }
}

/* What they said, and their ends. Reading is non-blocking, so nobody need look up who was ready. */
static void
serve_children(struct supervisor *s, int64_t now_ms)
{
    for (size_t i = 0; i < s->tree.n; i++) {
        struct child *c = s->tree.children[i];
        bool idle = c->settled == 0;
        /* What a child waits for before its first READY is in `fte status`, not in the log. */
        if (c->lifeline >= 0 && child_listen(c, now_ms) && c->state != CHILD_STARTING) {
            relay_note(&s->relay, c->state == CHILD_READY ? "info" : "warn", child_state_str(c),
                       "name=%s child=%d after_ms=%lld%s%s%s", c->name, (int)c->pid,
                       (long long)(now_ms - c->started_ms), c->why[0] ? " why=\"" : "", c->why,
                       c->why[0] ? "\"" : "");
        }
        if (idle && c->settled > 0) {
            relay_note(&s->relay, "info", "works", "name=%s child=%d after_ms=%lld", c->name,
                       (int)c->pid, (long long)(now_ms - c->started_ms));
        }
        relay_read(&s->relay, &c->log, c->name, now_ms);
    }
}

/* Everyone who has died: our children, and orphans that came to us. */
static void
reap(struct supervisor *s, int64_t now_ms)
{
    for (;;) {
        siginfo_t info = {0};
        struct child *c;
        if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == 0) {
            return;
        }
        c = tree_find(&s->tree, info.si_pid);
        if (c) {
            tree_child_ended(&s->tree, c, now_ms);
        } else if (waitpid(info.si_pid, NULL, WNOHANG) == info.si_pid) {
            s->tree.orphans++;
        }
    }
}

static void
drain(struct supervisor *s, const char *why, int64_t now_ms)
{
    relay_note(&s->relay, "info", "draining", "why=\"%s\" budget_ms=%lld again=%s", why,
               (long long)s->drain_budget_ms, s->tree.draining ? "yes" : "no");
    if (!s->tree.draining) {
        notify_parent("STOPPING=1");
    }
    tree_drain(&s->tree, s->drain_budget_ms, now_ms);
}

static void
tell_ready(struct supervisor *s)
{
    bool ready = tree_is_ready(&s->tree);

    if (!control_tell_ready(&s->control, &s->tree) && ready != s->told_ready) {
        relay_note(&s->relay, "error", "ready_not_written", "errno=%d", errno);
    }
    if (ready == s->told_ready) {
        return;
    }
    s->told_ready = ready;
    if (ready) {
        relay_note(&s->relay, "info", "tree_ready", "after_ms=%lld",
                   (long long)(clock_ms() - s->tree.begun_ms));
        notify_parent("READY=1");
    } else if (!s->tree.draining) {
        relay_note(&s->relay, "warn", "tree_not_ready", "%s", "");
    }
}

static int64_t
clock_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}
