/* attack - one hostile client, or thousands of them, against an HTTP server on a loopback address.
 *
 *   attack KIND PORT SECONDS CONNECTIONS RATE ADDRESSES [PATH]
 *
 * Keeps CONNECTIONS open from ADDRESSES source addresses (127.1.x.y), RATE new ones a second at
 * most; what the server ends is opened again. Of the kinds `requests` and `connects` RATE is the
 * requests a second, all connections together. Prints "up" when all connections were opened once
 * (or couldn't be within 3 s), and at the end (or on SIGTERM) one line of JSON. Kinds:
 *
 *   idle      says nothing                      slowhead  a head, a byte a second
 *   slowbody  a body, a byte a second           stalled   200 KB of a body, then nothing
 *   chunked   a chunked body without end        toolong   more than its Content-Length, without end
 *   requests  keep-alive, closed loop           connects  a connection for each request
 *   reset     connects and resets               halfclose half a head, then its side is closed
 *   unread    pipelines requests and reads no answer
 *
 * Traffic goes to 127.0.0.1 only.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#define MAX_CONNECTIONS 20000
#define BLOCK 65536
#define STALL_AT 200000

enum kind {
    IDLE,
    SLOWHEAD,
    SLOWBODY,
    STALLED,
    CHUNKED,
    TOOLONG,
    REQUESTS,
    CONNECTS,
    RESET,
    HALFCLOSE,
    UNREAD,
    KINDS
};

static const char *const kind_names[KINDS] = {"idle",    "slowhead",  "slowbody", "stalled",
                                              "chunked", "toolong",   "requests", "connects",
                                              "reset",   "halfclose", "unread"};

struct conn {
    int fd; /* -1: closed */
    bool connected;
    bool asked; /* a request is out */
    size_t sent;
    int64_t next_us; /* of the next byte */
};

static struct {
    enum kind kind;
    int port;
    int connections, addresses;
    double rate;
    const char *path;
    int epoll;
    struct conn conns[MAX_CONNECTIONS];
    char head[1024];
    size_t head_n;
    char block[BLOCK];
    long opened, failed, ended, requests, answers, limited, bytes;
    unsigned next_address;
} at;

static volatile sig_atomic_t told_to_stop;

static void
on_term(int signal)
{
    (void)signal;
    told_to_stop = 1;
}

static int64_t
now_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* --- what is said ----------------------------------------------------------------------------- */

static void
prepare(void)
{
    static const char json[] = "Content-Type: application/json\r\n";
    const char *method = "POST";
    const char *more = "\r\n";
    char line[128] = "";

    memset(at.block, 'a', sizeof(at.block));
    switch (at.kind) {
    case SLOWBODY:
    case STALLED:
    case TOOLONG:
        snprintf(line, sizeof(line), "%sContent-Length: 262144\r\n", json);
        break;
    case CHUNKED:
        snprintf(line, sizeof(line), "%sTransfer-Encoding: chunked\r\n", json);
        for (size_t i = 0; i < sizeof(at.block); i += 4096) { /* 0xff9 and 7 bytes around it */
            memcpy(at.block + i, "ff9\r\n", 5);
            memcpy(at.block + i + 4094, "\r\n", 2);
        }
        break;
    case SLOWHEAD:
    case HALFCLOSE:
        method = "GET";
        more = "X-Slow: ";
        break;
    case IDLE:
    case REQUESTS:
    case CONNECTS:
    case RESET:
    case UNREAD:
    case KINDS:
        method = "GET";
        break;
    }
    at.head_n = (size_t)snprintf(at.head, sizeof(at.head), "%s %s HTTP/1.1\r\nHost: x\r\n%s%s",
                                 method, at.path, line, more);
    if (at.kind == UNREAD) {
        for (size_t i = 0; i < sizeof(at.block); i++) {
            at.block[i] = at.head[i % at.head_n];
        }
    }
}

/* --- connections ------------------------------------------------------------------------------ */

static void
end(struct conn *c)
{
    close(c->fd);
    *c = (struct conn){.fd = -1};
}

static void
open_conn(struct conn *c)
{
    struct sockaddr_in from = {.sin_family = AF_INET};
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)at.port)};
    unsigned i = at.next_address++ % (unsigned)at.addresses;
    struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = c};
    int on = 1;

    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    from.sin_addr.s_addr = htonl(0x7f010000 | i / 250 << 8 | (i % 250 + 1));
    *c = (struct conn){.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
    if (c->fd < 0) {
        at.failed++;
        return;
    }
    setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
    if (bind(c->fd, (struct sockaddr *)&from, sizeof(from)) != 0 ||
        (connect(c->fd, (struct sockaddr *)&to, sizeof(to)) != 0 && errno != EINPROGRESS) ||
        epoll_ctl(at.epoll, EPOLL_CTL_ADD, c->fd, &e) != 0) {
        at.failed++;
        end(c);
    }
}

static ssize_t
say(struct conn *c, const char *p, size_t n)
{
    ssize_t got = send(c->fd, p, n, MSG_NOSIGNAL | MSG_DONTWAIT);

    if (got > 0) {
        c->sent += (size_t)got;
        at.bytes += got;
    }
    return got;
}

static void
ask(struct conn *c)
{
    if (say(c, at.head, at.head_n) > 0) {
        c->asked = true;
        at.requests++;
    }
}

/* It has just been connected. */
static void
greet(struct conn *c)
{
    struct linger now = {.l_onoff = 1, .l_linger = 0};

    c->connected = true;
    at.opened++;
    c->next_us = now_us() + 1000000;
    switch (at.kind) {
    case RESET:
        setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
        end(c);
        break;
    case HALFCLOSE:
        ask(c);
        shutdown(c->fd, SHUT_WR);
        break;
    case SLOWHEAD:
    case SLOWBODY:
    case STALLED:
    case CHUNKED:
    case TOOLONG:
    case CONNECTS:
        ask(c);
        break;
    case IDLE:
    case REQUESTS:
    case UNREAD:
    case KINDS:
        break;
    }
}

/* Sends what doesn't wait for the clock. */
static void
flood(struct conn *c)
{
    size_t limit = at.kind == STALLED ? STALL_AT : (size_t)-1;
    /* A turn's worth: others are to be attacked as well. */
    for (int i = 0; i < 4 && c->sent < limit; i++) {
        size_t place = c->sent % sizeof(at.block);
        size_t left = sizeof(at.block) - place;
        if (say(c, at.block + place, left < limit - c->sent ? left : limit - c->sent) <= 0) {
            return;
        }
    }
}

/* One answer is whole in what comes at once, on the loopback and with answers of this size. */
static void
hear(struct conn *c)
{
    char answer[BLOCK];
    ssize_t n;

    while (at.kind != UNREAD && (n = recv(c->fd, answer, sizeof(answer), MSG_DONTWAIT)) != 0) {
        if (n < 0) {
            if (errno == EAGAIN) {
                return;
            }
            break;
        }
        if (c->asked && n > 12 && memcmp(answer, "HTTP/1.1 ", 9) == 0) {
            at.answers++;
            at.limited += memcmp(answer + 9, "429", 3) == 0;
            c->asked = false;
        }
    }
    if (at.kind != UNREAD) {
        at.ended++;
        end(c);
    }
}

static bool
is_flooding(void)
{
    return at.kind == STALLED || at.kind == CHUNKED || at.kind == TOOLONG || at.kind == UNREAD;
}

static void
on_event(struct conn *c, uint32_t events)
{
    if (c->fd < 0) {
        return;
    }
    if (!c->connected && (events & (EPOLLERR | EPOLLHUP)) != 0) {
        at.failed++;
        end(c);
        return;
    }
    if (!c->connected && (events & EPOLLOUT) != 0) {
        greet(c);
    }
    if (c->fd >= 0 && (events & EPOLLOUT) != 0 && is_flooding()) {
        flood(c);
    }
    if (c->fd >= 0 && (events & (EPOLLERR | EPOLLHUP)) != 0 && at.kind == UNREAD) {
        at.ended++;
        end(c);
    } else if (c->fd >= 0 && (events & (EPOLLIN | EPOLLERR | EPOLLHUP)) != 0) {
        hear(c);
    }
}

/* --- pace ------------------------------------------------------------------------------------- */

/* Opens what may be opened by now, ends what has had its answer, sends the bytes that are due. */
static void
turn(double *allowance, int64_t now)
{
    static unsigned at_conn;
    bool paced = at.kind == REQUESTS;

    for (int i = 0; i < at.connections; i++) {
        struct conn *c = &at.conns[(at_conn + (unsigned)i) % (unsigned)at.connections];
        if (c->fd < 0 && (paced || *allowance >= 1)) {
            *allowance -= paced ? 0 : 1;
            open_conn(c);
        } else if (c->fd >= 0 && c->connected && at.kind == REQUESTS && !c->asked &&
                   *allowance >= 1) {
            *allowance -= 1;
            ask(c);
        } else if (c->fd >= 0 && c->connected && at.kind == CONNECTS && !c->asked) {
            at.ended++;
            end(c);
        } else if (c->fd >= 0 && c->connected && now >= c->next_us &&
                   (at.kind == SLOWHEAD || at.kind == SLOWBODY)) {
            c->next_us = now + 1000000;
            say(c, "a", 1);
        } else if (c->fd >= 0 && c->connected && is_flooding() && now >= c->next_us) {
            c->next_us = now + 100000;
            flood(c);
        }
    }
    at_conn += 7;
}

static void
run(double seconds)
{
    struct epoll_event events[512];
    int64_t start = now_us(), last = start;
    double allowance = 0;
    bool up = false;

    while (last - start < (int64_t)(seconds * 1e6) && !told_to_stop) {
        int n = epoll_wait(at.epoll, events, 512, 1);
        int64_t now = now_us();
        for (int i = 0; i < n; i++) {
            on_event(events[i].data.ptr, events[i].events);
        }
        allowance += (double)(now - last) / 1e6 * at.rate;
        allowance = allowance < at.rate / 20 + 1 ? allowance : at.rate / 20 + 1;
        last = now;
        turn(&allowance, now);
        if (!up && (at.opened >= at.connections || now - start > 3000000)) {
            up = true;
            puts("up");
            fflush(stdout);
        }
    }
}

int
main(int argc, char **argv)
{
    struct rlimit files;

    if (argc < 7) {
        fprintf(stderr, "usage: attack KIND PORT SECONDS CONNECTIONS RATE ADDRESSES [PATH]\n");
        return EX_USAGE;
    }
    while (at.kind < KINDS && strcmp(argv[1], kind_names[at.kind]) != 0) {
        at.kind++;
    }
    at.port = atoi(argv[2]);
    at.connections = atoi(argv[4]);
    at.rate = atof(argv[5]);
    at.addresses = atoi(argv[6]);
    at.path = argc > 7 ? argv[7] : "/support/submit";
    if (at.kind == KINDS || at.connections < 1 || at.connections > MAX_CONNECTIONS ||
        at.addresses < 1) {
        fprintf(stderr, "attack: %s %s %s: not known, or out of range\n", argv[1], argv[4],
                argv[6]);
        return EX_USAGE;
    }
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    signal(SIGTERM, on_term);
    prepare();
    at.epoll = epoll_create1(EPOLL_CLOEXEC);
    for (int i = 0; i < at.connections; i++) {
        at.conns[i].fd = -1;
    }
    run(atof(argv[3]));
    printf(
        "{\"opened\": %ld, \"failed\": %ld, \"ended\": %ld, \"requests\": %ld, \"answers\": %ld, "
        "\"limited\": %ld, \"bytes\": %ld}\n",
        at.opened, at.failed, at.ended, at.requests, at.answers, at.limited, at.bytes);
    return 0;
}
