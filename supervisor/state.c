#include "supervisor/state.h"

#include "supervisor/spec.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#ifndef CLOSE_RANGE_CLOEXEC
#define CLOSE_RANGE_CLOEXEC (1U << 2)
#endif

void
state_close_inherited(void)
{
    int null = open("/dev/null", O_RDWR);

    while (null >= 0 && null <= STDERR_FILENO) {
        null = dup(null);
    }
    if (null >= 0) {
        close(null);
    }
    if (close_range(3, ~0U, CLOSE_RANGE_CLOEXEC) != 0) {
        for (int fd = 3; fd < 1024; fd++) {
            fcntl(fd, F_SETFD, FD_CLOEXEC);
        }
    }
}

int
state_bin_dir(char *ret, size_t room)
{
    ssize_t n = readlink("/proc/self/exe", ret, room - 1);
    char *slash;

    if (n <= 0) {
        fprintf(stderr, "fte-supervisor: /proc/self/exe: %s\n", strerror(errno));
        return -1;
    }
    ret[n] = '\0';
    slash = strrchr(ret, '/');
    if (slash) {
        *slash = '\0';
    }
    return 0;
}

int
state_drain_budget(int64_t *ret_ms)
{
    const char *text = getenv("FTE_DRAIN_BUDGET");
    char seconds[32];

    if (!text || text[0] == '\0') {
        text = "45s";
    }
    snprintf(seconds, sizeof(seconds), "%ss", text);
    if (spec_duration(text, ret_ms) || spec_duration(seconds, ret_ms)) {
        return 0;
    }
    fprintf(stderr,
            "fte-supervisor: FTE_DRAIN_BUDGET=\"%.40s\" is not allowed: must be a time "
            "from 0s to 24h\n",
            text);
    return -1;
}

static int
complain(const char *path, const char *what)
{
    fprintf(stderr, "fte-supervisor: FTE_STATE_DIR=\"%s\": %s\n", path, what);
    return EX_CONFIG;
}

/* Takes the lock, or says who holds it. */
static int
lock(int dir, const char *path)
{
    char text[256] = "";
    int fd = openat(dir, "supervisor.pid", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    ssize_t n;

    if (fd < 0) {
        snprintf(text, sizeof(text), "supervisor.pid cannot be written: %s", strerror(errno));
        return complain(path, text);
    }
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        char pid[24] = "";
        n = read(fd, pid, sizeof(pid) - 1);
        pid[n > 0 ? strcspn(pid, "\n") : 0] = '\0';
        snprintf(text, sizeof(text), "another supervisor (pid %s) runs on it; `fte drain` stops it",
                 pid);
        close(fd);
        return complain(path, text);
    }
    n = snprintf(text, sizeof(text), "%d\n", (int)getpid());
    if (ftruncate(fd, 0) != 0 || write(fd, text, (size_t)n) != n) {
        snprintf(text, sizeof(text), "supervisor.pid cannot be written: %s", strerror(errno));
        close(fd);
        return complain(path, text);
    }
    /* cppcheck-suppress resourceLeak ; it stays open as long as we live: it is the lock */
    return 0;
}

int
state_open(int *ret_dir)
{
    const char *path = getenv("FTE_STATE_DIR");
    char whole[PATH_MAX];
    int dir, rc;

    if (!path || path[0] == '\0') {
        path = "var";
    }
    umask(077);
    if (mkdir(path, 0700) != 0 && errno != EEXIST) {
        return complain(path, strerror(errno));
    }
    dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0) {
        return complain(path, strerror(errno));
    }
    if (!realpath(path, whole)) {
        rc = complain(path, strerror(errno));
        close(dir);
        return rc;
    }
    setenv("FTE_STATE_DIR", whole, 1);
    rc = lock(dir, whole);
    if (rc != 0) {
        close(dir);
        return rc;
    }
    *ret_dir = dir;
    return 0;
}

void
state_close(int dir)
{
    /* The file stays: to remove it would take the name from whoever has it open and waits. */
    close(dir);
}
