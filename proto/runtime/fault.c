#include "proto/runtime/fault.h"

#ifdef FTE_FAULTS
#include "proto/buf.h"
#include "proto/runtime/log.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#define MAX_FAULTS 512

enum action { ACTION_KILL, ACTION_STOP, ACTION_ERROR, ACTION_DELAY, ACTION_OFF };

struct fault {
    char place[96]; /* "ticketer.after_commit" */
    enum action action;
    long delay_ms;
    long at; /* the hit at which it happens; 0 = each */
    long hits;
};

static struct {
    struct fault faults[MAX_FAULTS];
    int n;
    const char *actor;
    char file[4096]; /* where they stand, if not in the setting */
    struct stat seen;
    struct buf sql;
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
        ret->at = strcmp(at, "@*") == 0 ? 0 : strtol(at + 1, &end, 10);
        if (ret->at < 0 || (ret->at == 0 && at[1] != '*') || (ret->at > 0 && *end != '\0')) {
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
    } else if (strcmp(colon, "off") == 0) {
        ret->action = ACTION_OFF;
    } else if (strncmp(colon, "delay=", 6) == 0) {
        ret->action = ACTION_DELAY;
        ret->delay_ms = strtol(colon + 6, &end, 10);
        return *end == '\0' && ret->delay_ms > 0;
    } else {
        return false;
    }
    return true;
}

static void
read_spec(const char *spec)
{
    char *copy, *rest, *one;

    state.n = 0;
    copy = xstrdup(spec);
    for (one = strtok_r(copy, ",", &rest); one != NULL; one = strtok_r(NULL, ",", &rest)) {
        if (state.n == MAX_FAULTS || !parse(one, &state.faults[state.n])) {
            log_fatal(EX_CONFIG, "bad_setting", "name=FTE_FAULT allowed=%s",
                      log_quote("place:kill|stop|error|delay=MS|off[@hit],..."));
        }
        state.n++;
    }
    free(copy);
}

/* The file is replaced, never written to: another inode is another spec. */
static void
read_file(void)
{
    struct stat now;
    char spec[8192];
    FILE *f;

    if (state.file[0] == '\0' || stat(state.file, &now) != 0 ||
        (now.st_ino == state.seen.st_ino && now.st_mtim.tv_sec == state.seen.st_mtim.tv_sec &&
         now.st_mtim.tv_nsec == state.seen.st_mtim.tv_nsec)) {
        return;
    }
    f = fopen(state.file, "re");
    if (f != NULL) {
        state.seen = now;
        spec[fread(spec, 1, sizeof(spec) - 1, f)] = '\0';
        fclose(f);
        read_spec(spec);
    }
}

static const char *
directory(void)
{
    const char *dir = getenv("FTE_STATE_DIR");

    return dir != NULL ? dir : ".";
}

void
fault_init(const char *actor)
{
    const char *spec = getenv("FTE_FAULT");

    state.actor = actor;
    state.n = 0;
    if (spec != NULL && spec[0] == '@') {
        snprintf(state.file, sizeof(state.file), "%s/%s", directory(), spec + 1);
        read_file();
    } else if (spec != NULL && spec[0] != '\0') {
        read_spec(spec);
    }
}

/* True the first time in this state directory. */
static bool
mark(const struct fault *f)
{
    char path[4200];
    int fd;

    if (f->action == ACTION_OFF) {
        snprintf(path, sizeof(path), "%s/off.%s", directory(), f->place);
    } else {
        snprintf(path, sizeof(path), "%s/fault.%s.%d.%ld", directory(), f->place, (int)f->action,
                 f->at);
    }
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
    case ACTION_OFF:
        break;
    }
    return false;
}

static bool
is_here(const struct fault *f, const char *place, size_t place_n)
{
    size_t n = state.actor ? strlen(state.actor) : 0;

    return strncmp(f->place, state.actor, n) == 0 && f->place[n] == '.' &&
           strncmp(f->place + n + 1, place, place_n) == 0 && f->place[n + 1 + place_n] == '\0';
}

bool
fault_pass(const char *place)
{
    bool fail = false;

    read_file();
    for (int i = 0; i < state.n; i++) {
        struct fault *f = &state.faults[i];
        if (f->action != ACTION_OFF && is_here(f, place, strlen(place)) &&
            (f->at == 0 || (++f->hits == f->at && mark(f)))) {
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

static bool
is_off(const char *name, size_t n)
{
    for (int i = 0; i < state.n; i++) {
        if (state.faults[i].action == ACTION_OFF && is_here(&state.faults[i], name, n)) {
            (void)mark(&state.faults[i]);
            return true;
        }
    }
    return false;
}

bool
fault_safeguard(const char *name)
{
    read_file();
    return !is_off(name, strlen(name));
}

const char *
fault_sql(const char *sql)
{
    bool changed = false;
    const char *from = sql, *mark_at;

    read_file();
    buf_clear(&state.sql);
    while (state.n > 0 && (mark_at = strstr(from, "(/*")) != NULL) {
        const char *name = mark_at + 3, *end = strstr(name, "*/");
        bool off = is_off(name, (size_t)(end - name));
        buf_add_str(&state.sql, (struct str){from, (size_t)(end + 2 - from)});
        buf_add_c(&state.sql, off ? " true or " : "");
        changed |= off;
        from = end + 2;
    }
    buf_add_c(&state.sql, from);
    return changed ? buf_c(&state.sql) : sql;
}
#else
/* ISO C wants something in a translation unit. */
typedef int fault_is_off;
#endif
