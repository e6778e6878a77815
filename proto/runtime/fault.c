#include "proto/runtime/fault.h"

#ifdef FTE_FAULTS
#include "proto/buf.h"
#include "proto/runtime/log.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#define MAX_FAULTS 512

enum action { ACTION_KILL, ACTION_STOP, ACTION_ERROR, ACTION_DELAY };

struct fault {
    char place[96]; /* "ticketer.after_commit" */
    enum action action;
    long delay_ms;
    long at; /* the hit at which it happens */
    long hits;
};

static struct {
    struct fault faults[MAX_FAULTS];
    int n;
    const char *actor;
} state;

static bool
parse(char *text, struct fault *ret)
{
    char *colon = strchr(text, ':');
    char *at = strchr(text, '@');
    char *end;

    if (colon == NULL || colon == text || (size_t)(colon - text) >= sizeof(ret->place)) {
        return false;
    }
    memset(ret, 0, sizeof(*ret));
    memcpy(ret->place, text, (size_t)(colon - text));
    ret->at = 1;
    if (at != NULL) {
        *at = '\0';
        ret->at = strtol(at + 1, &end, 10);
        if (*end != '\0' || ret->at < 1) {
            return false;
        }
    }
    colon++;
    if (strcmp(colon, "kill") == 0) {
        ret->action = ACTION_KILL;
    } else if (strcmp(colon, "stop") == 0) {
        ret->action = ACTION_STOP;
    } else if (strcmp(colon, "error") == 0) {
        ret->action = ACTION_ERROR;
    } else if (strncmp(colon, "delay=", 6) == 0) {
        ret->action = ACTION_DELAY;
        ret->delay_ms = strtol(colon + 6, &end, 10);
        return *end == '\0' && ret->delay_ms > 0;
    } else {
        return false;
    }
    return true;
}

void
fault_init(const char *actor)
{
    const char *spec = getenv("FTE_FAULT");
    char *copy, *rest, *one;

    state.actor = actor;
    state.n = 0;
    if (spec == NULL || spec[0] == '\0') {
        return;
    }
    copy = xstrdup(spec);
    for (one = strtok_r(copy, ",", &rest); one != NULL; one = strtok_r(NULL, ",", &rest)) {
        if (state.n == MAX_FAULTS || !parse(one, &state.faults[state.n])) {
            log_fatal(EX_CONFIG, "bad_setting", "name=FTE_FAULT allowed=%s",
                      log_quote("place:kill|stop|error|delay=MS[@hit],..."));
        }
        state.n++;
    }
    free(copy);
}

/* True the first time in this state directory. */
static bool
mark(const struct fault *f)
{
    const char *dir = getenv("FTE_STATE_DIR");
    char path[4096];
    int fd;

    snprintf(path, sizeof(path), "%s/fault.%s.%d.%ld", dir ? dir : ".", f->place, (int)f->action,
             f->at);
    fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
    if (fd < 0) {
        return false;
    }
    close(fd);
    return true;
}

static bool
strike(const struct fault *f)
{
    struct timespec t = {.tv_sec = f->delay_ms / 1000, .tv_nsec = f->delay_ms % 1000 * 1000000};

    switch (f->action) {
    case ACTION_KILL:
        raise(SIGKILL);
        break;
    case ACTION_STOP:
        raise(SIGSTOP);
        break;
    case ACTION_DELAY:
        nanosleep(&t, NULL);
        break;
    case ACTION_ERROR:
        return true;
    }
    return false;
}

bool
fault_pass(const char *place)
{
    bool fail = false;
    size_t n = state.actor ? strlen(state.actor) : 0;

    for (int i = 0; i < state.n; i++) {
        struct fault *f = &state.faults[i];
        if (strncmp(f->place, state.actor, n) == 0 && f->place[n] == '.' &&
            strcmp(f->place + n + 1, place) == 0 && ++f->hits == f->at && mark(f)) {
            fail |= strike(f);
        }
    }
    return fail;
}
bool
fault_pass_at(const char *place, const char *what)
{
    char whole[96];
    bool fail = fault_pass(place);

    snprintf(whole, sizeof(whole), "%s.%s", place, what);
    return fault_pass(whole) || fail;
}
#else
/* ISO C wants something in a translation unit. */
typedef int fault_is_off;
#endif
