#include "actors/ingress/patience.h"

#include "proto/buf.h"
#include "proto/runtime/loop.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#define STRANGERS 1024 /* as many as we remember while threads are scarce */

/* One end of a connection. address 0: not known. */
struct peer {
    in_addr_t address;
    int port;
};

struct patience_entry {
    bool used;
    bool ended;
    enum patience_phase phase;
    int64_t since_ms;
    struct peer peer;
};

struct stranger {
    int fd;
    struct peer peer;
    int64_t since_ms; /* first seen */
    bool seen;        /* by this sweep */
    bool ended;
};

struct patience {
    pthread_mutex_t mutex;
    unsigned threads;
    unsigned open;
    int port;
    unsigned stranger_n; /* the sweep's own */
    struct stranger strangers[STRANGERS];
    struct patience_entry entries[];
};

struct patience *
patience_new(unsigned threads, int port)
{
    struct patience *p = xcalloc(1, sizeof(*p) + threads * sizeof(p->entries[0]));

    pthread_mutex_init(&p->mutex, NULL);
    p->threads = threads;
    p->port = port;
    return p;
}

void
patience_free(struct patience **p_p)
{
    if (*p_p != NULL) {
        pthread_mutex_destroy(&(*p_p)->mutex);
        free(*p_p);
        *p_p = NULL;
    }
}

struct patience_entry *
patience_enter(struct patience *p, int64_t now_ms)
{
    struct patience_entry *e = NULL;

    pthread_mutex_lock(&p->mutex);
    for (unsigned i = 0; i < p->threads && e == NULL; i++) {
        e = p->entries[i].used ? NULL : &p->entries[i];
    }
    if (e != NULL) {
        *e = (struct patience_entry){.used = true, .phase = PATIENCE_HEAD, .since_ms = now_ms};
        p->open++;
    }
    pthread_mutex_unlock(&p->mutex);
    return e;
}

void
patience_name(struct patience *p, struct patience_entry *e, const char *address, int port)
{
    struct in_addr a;

    if (e == NULL || inet_pton(AF_INET, address, &a) != 1) {
        return;
    }
    pthread_mutex_lock(&p->mutex);
    e->peer = (struct peer){.address = a.s_addr, .port = port};
    pthread_mutex_unlock(&p->mutex);
}

int64_t
patience_age(struct patience *p, const struct patience_entry *e, int64_t now_ms)
{
    int64_t since;

    if (e == NULL) {
        return 0;
    }
    pthread_mutex_lock(&p->mutex);
    since = e->since_ms;
    pthread_mutex_unlock(&p->mutex);
    return now_ms - since;
}

void
patience_phase(struct patience *p, struct patience_entry *e, enum patience_phase phase,
               int64_t now_ms)
{
    if (e == NULL) {
        return;
    }
    pthread_mutex_lock(&p->mutex);
    e->phase = phase;
    e->since_ms = now_ms;
    pthread_mutex_unlock(&p->mutex);
}

void
patience_leave(struct patience *p, struct patience_entry *e)
{
    if (e == NULL) {
        return;
    }
    pthread_mutex_lock(&p->mutex);
    e->used = false;
    p->open--;
    pthread_mutex_unlock(&p->mutex);
}

bool
patience_ended(struct patience *p, const struct patience_entry *e)
{
    bool ended;

    if (e == NULL) {
        return false;
    }
    pthread_mutex_lock(&p->mutex);
    ended = e->ended;
    pthread_mutex_unlock(&p->mutex);
    return ended;
}

int64_t
patience_limit(enum patience_phase phase, bool tight)
{
    switch (phase) {
    case PATIENCE_HEAD:
        return tight ? 500 : 5000;
    case PATIENCE_IDLE:
        return tight ? 250 : 15000;
    case PATIENCE_BODY:
        return tight ? 2000 : 5000;
    case PATIENCE_WORK:
        break;
    }
    return INT64_MAX;
}

static bool
is_tight(const struct patience *p)
{
    return p->open >= p->threads - p->threads / 8;
}

unsigned
patience_open(struct patience *p, bool *ret_tight)
{
    unsigned open;

    pthread_mutex_lock(&p->mutex);
    open = p->open;
    *ret_tight = is_tight(p);
    pthread_mutex_unlock(&p->mutex);
    return open;
}

/* Is it a socket of our port? */
static bool
is_ours(int fd, int own_port)
{
    struct sockaddr_in own = {0};
    socklen_t own_n = sizeof(own);

    return getsockname(fd, (struct sockaddr *)&own, &own_n) == 0 && own.sin_family == AF_INET &&
           ntohs(own.sin_port) == own_port;
}

/* The peer of `fd`, if it is a connection to our port. */
static bool
peer_of(int fd, int own_port, struct peer *ret)
{
    struct sockaddr_in peer = {0};
    socklen_t peer_n = sizeof(peer);

    if (!is_ours(fd, own_port) || getpeername(fd, (struct sockaddr *)&peer, &peer_n) != 0) {
        return false;
    }
    *ret = (struct peer){.address = peer.sin_addr.s_addr, .port = ntohs(peer.sin_port)};
    return true;
}

static struct patience_entry *
entry_of(struct patience *p, struct peer peer)
{
    for (unsigned i = 0; i < p->threads; i++) {
        struct patience_entry *e = &p->entries[i];
        if (e->used && e->peer.address == peer.address && e->peer.port == peer.port) {
            return e;
        }
    }
    return NULL;
}

static bool
is_too_slow(const struct patience_entry *e, bool tight, int64_t now_ms)
{
    return e->used && !e->ended && e->peer.address != 0 &&
           now_ms - e->since_ms > patience_limit(e->phase, tight);
}

static unsigned
judge_stranger(struct patience *p, int fd, struct peer peer, int64_t now_ms)
{
    struct stranger *s = NULL;
    int unread = 0;

    for (unsigned i = 0; i < p->stranger_n && s == NULL; i++) {
        struct stranger *x = &p->strangers[i];
        bool same = x->fd == fd && x->peer.address == peer.address && x->peer.port == peer.port;
        s = same ? x : NULL;
    }
    if (s == NULL) {
        if (p->stranger_n < STRANGERS) {
            p->strangers[p->stranger_n++] =
                (struct stranger){.fd = fd, .peer = peer, .since_ms = now_ms, .seen = true};
        }
        return 0;
    }
    s->seen = true;
    if (s->ended || now_ms - s->since_ms <= patience_limit(PATIENCE_HEAD, true) ||
        ioctl(fd, FIONREAD, &unread) != 0 || unread > 0) {
        return 0;
    }
    s->ended = true;
    shutdown(fd, SHUT_RD);
    return 1;
}

/* One walk over our descriptors. An entry that is used has not closed its own. */
static unsigned
walk(struct patience *p, bool tight, int64_t now_ms)
{
    DIR *fds = opendir("/proc/self/fd");
    struct dirent *d;
    unsigned n = 0;

    while (fds != NULL && (d = readdir(fds)) != NULL) {
        char *end;
        int fd = (int)strtol(d->d_name, &end, 10);
        struct peer peer;
        if (end == d->d_name || !peer_of(fd, p->port, &peer)) {
            continue;
        }
        struct patience_entry *e = entry_of(p, peer);
        if (e != NULL && is_too_slow(e, tight, now_ms)) {
            shutdown(fd, SHUT_RD);
            e->ended = true;
            n++;
        } else if (e == NULL && tight) {
            n += judge_stranger(p, fd, peer, now_ms);
        }
    }
    if (fds != NULL) {
        closedir(fds);
    }
    return n;
}

/* The descriptor of a connection, or -1. */
static int
find_fd(const struct patience *p, struct peer wanted)
{
    DIR *fds = opendir("/proc/self/fd");
    struct dirent *d;
    int found = -1;

    while (fds != NULL && found < 0 && (d = readdir(fds)) != NULL) {
        char *end;
        int fd = (int)strtol(d->d_name, &end, 10);
        struct peer peer;
        if (end != d->d_name && peer_of(fd, p->port, &peer) && peer.address == wanted.address &&
            peer.port == wanted.port) {
            found = fd;
        }
    }
    if (fds != NULL) {
        closedir(fds);
    }
    return found;
}

void
patience_linger(struct patience *p, const struct patience_entry *e, int ms)
{
    int64_t until = clock_ms() + ms;
    char scrap[4096];
    struct pollfd pfd = {.fd = -1, .events = POLLIN};
    int64_t left;

    if (e == NULL || e->peer.address == 0) {
        return;
    }
    pfd.fd = find_fd(p, e->peer);
    while (pfd.fd >= 0 && (left = until - clock_ms()) > 0 && poll(&pfd, 1, (int)left) > 0 &&
           recv(pfd.fd, scrap, sizeof(scrap), MSG_DONTWAIT) > 0) {
    }
}

void
patience_end_all(struct patience *p)
{
    DIR *fds = opendir("/proc/self/fd");
    struct dirent *d;

    while (fds != NULL && (d = readdir(fds)) != NULL) {
        char *end;
        int fd = (int)strtol(d->d_name, &end, 10);
        struct peer peer;
        if (end != d->d_name && is_ours(fd, p->port)) {
            shutdown(fd, peer_of(fd, p->port, &peer) ? SHUT_RD : SHUT_RDWR);
        }
    }
    if (fds != NULL) {
        closedir(fds);
    }
}

static void
forget_strangers(struct patience *p)
{
    unsigned kept = 0;

    for (unsigned i = 0; i < p->stranger_n; i++) {
        if (p->strangers[i].seen) {
            p->strangers[kept] = p->strangers[i];
            p->strangers[kept++].seen = false;
        }
    }
    p->stranger_n = kept;
}

unsigned
patience_sweep(struct patience *p, int64_t now_ms)
{
    bool needed = false;
    unsigned n = 0;

    pthread_mutex_lock(&p->mutex);
    bool tight = is_tight(p);
    for (unsigned i = 0; i < p->threads && !needed; i++) {
        needed = is_too_slow(&p->entries[i], tight, now_ms);
    }
    if (tight || needed) {
        n = walk(p, tight, now_ms);
    }
    forget_strangers(p);
    pthread_mutex_unlock(&p->mutex);
    return n;
}
