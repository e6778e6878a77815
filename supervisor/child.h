/* child - one process of the tree: its birth, what it says on its lifeline, its end.
 *
 * A child is born with nothing but what is listed here: fd 0 = /dev/null, 1 and 2 = a pipe to the
 * relay, 3 = its lifeline (proto/lifeline.h); default signal dispositions, nothing blocked; a
 * process group of its own; umask 077; no core file unless somebody raises the soft limit (a core
 * holds what customers wrote); SIGKILL when the supervisor dies; and the environment of its row
 * plus the base set below.
 */
#ifndef SUPERVISOR_CHILD_H
#define SUPERVISOR_CHILD_H

#include "supervisor/intensity.h"
#include "supervisor/relay.h"
#include "supervisor/spec.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define CHILD_SILENCE_MS 10000 /* without a tick for so long: hung */
#define CHILD_ABORT_MS 2000    /* from SIGABRT to SIGKILL */

/* Variables that every child gets if the supervisor has them. None of them is a secret. */
extern const char *const child_base_environment[];

enum child_state {
    CHILD_WAITING,       /* not started: its turn hasn't come, or it waits for its next attempt */
    CHILD_STARTING,      /* runs, and has not said READY */
    CHILD_READY,         /* works */
    CHILD_DEGRADED,      /* runs, and says that something it needs is away */
    CHILD_STOPPING,      /* got SIGTERM */
    CHILD_ABORTING,      /* hung: got SIGABRT */
    CHILD_ENDED,         /* has done its work and is not started again */
    CHILD_MISCONFIGURED, /* exited 78: a person has to do something */
};

/* What it is being stopped for. */
enum child_goal {
    GOAL_RUN,     /* it isn't */
    GOAL_RESTART, /* to be started again at once */
    GOAL_END,     /* for good, but it stays in the list */
    GOAL_REMOVE,  /* scaled down: it leaves the list */
};

struct child {
    const struct child_spec *spec;
    size_t row;        /* of the table */
    unsigned instance; /* 1.. */
    char name[64];     /* "triage", or "triage.2" where the row has more than one worker */
    enum child_state state;
    enum child_goal goal;
    bool in_turn;   /* started after those before it (at first, and with a strategy), not at once */
    bool was_ready; /* this incarnation has said READY */

    pid_t pid;    /* 0: no process */
    int pidfd;    /* -1: no process */
    int lifeline; /* our end; -1: closed */
    struct relay_source log;
    char heard[256]; /* an unfinished line of the lifeline */
    size_t heard_n;

    int64_t start_at_ms; /* WAITING: not before */
    int64_t started_ms;
    int64_t ready_ms;   /* when it said READY */
    int64_t heard_ms;   /* last word on the lifeline */
    int64_t kill_at_ms; /* STOPPING, ABORTING: SIGKILL */
    uint64_t settled, in_flight;
    unsigned restarts; /* starts after the first */
    unsigned starts;
    struct intensity intensity;
    char why[320]; /* why it isn't READY, for people; "" */
};

/* The program a row runs, and the environment that its `instance` gets (ends with NULL), with
 * FTE_CHILD=<row>.<instance>, the same name after every restart: as child_start() uses them.
 * Caller frees with free() and child_environment_free(). */
char *child_program(const struct child_spec *spec, const char *bin_dir);
char **child_environment(const struct child_spec *spec, unsigned instance);
void child_environment_free(char **environment);

struct child *child_new(const struct child_spec *spec, size_t row, unsigned instance);
void child_free(struct child **c_p); /* accepts NULL; closes, but kills nobody */

/* Forks and executes. True; or false with c->why set (no process could be made: try later). */
bool child_start(struct child *c, const char *bin_dir, int64_t now_ms);
/* Reads the lifeline. True if c->state or c->why changed. */
bool child_listen(struct child *c, int64_t now_ms);
/* Sends a signal to the process (by its pidfd: never to a stranger). */
void child_signal(struct child *c, int sig);
/* The process is dead but not reaped: ends what is left of its process group, reaps it, closes.
 * True and *ret_status (as waitpid(2)); false if it still lives. */
bool child_reap(struct child *c, struct relay *relay, int64_t now_ms, int *ret_status);

/* Ends all that came to us as a subreaper: what children have left behind outside of their groups.
 */
void child_end_strangers(void);

/* "ready": state as `fte status` shows it. */
const char *child_state_str(const struct child *c);

#endif
