#include "actors/ingress/gate.h"

#include "actors/ingress/ban.h"
#include "actors/ingress/conn.h"
#include "proto/clock.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKLOG 4096   /* the system's own limit is not above it */
#define ACCEPT_TURN 16 /* connections that are taken before others have their turn */
#define EVENTS 256
#define REST_MS 100 /* without descriptors, nothing is accepted for so long */
#define FAREWELL_MS 2000
#define LATE_TURN 64 /* of those who are late */
#define RESUME_MS 20
#define RECEIVE_BYTES (64 * 1024) /* what the system keeps of one connection, */
#define SEND_BYTES (128 * 1024)   /* and for it */

struct gate {
    struct conn_house house;
    pthread_t thread;
    int listener; /* -1: closed */
    int wake_fd;
    struct ban ban;
    bool resting; /* until rest_until_ms */
    int64_t rest_until_ms;
    int64_t resume_ms;     /* when those who were paused are looked at */
    pthread_mutex_t mutex; /* guards what follows */
    struct job *answered;
    bool closing;
};

/* --- who comes ------------------------------------------------------------------------------- */

static void
listen_to(struct gate *g, bool on)
{
    struct epoll_event e = {.events = on ? EPOLLIN : 0, .data.ptr = &g->listener};

    epoll_ctl(g->house.epoll, EPOLL_CTL_MOD, g->listener, &e);
    g->resting = !on;
    g->rest_until_ms = g->house.now_ms + REST_MS;
}

/* Ends whoever can leave most easily; false: nobody can. */
static bool
end_one(struct gate *g)
{
    struct crowd_member *leaver = crowd_leaver(g->house.crowd);

    if (leaver != NULL) {
        conn_end(&g->house, (struct conn *)leaver);
        g->house.reaped++;
    }
    return leaver != NULL;
}

static void
admit(struct gate *g, int fd, uint32_t address)
{
    struct crowd_member *leaver;

    if (!crowd_make_room(g->house.crowd, address, &leaver)) {
        conn_reset(fd);
        meter_turned_away(g->house.set.meter, 1);
        if (g->house.set.proxies == 0) {
            ban_count(&g->ban, address, g->house.now_ms);
        }
        return;
    }
    if (leaver != NULL) {
        conn_end(&g->house, (struct conn *)leaver);
        g->house.reaped++;
    }
    conn_begin(&g->house, fd, address);
}

static void
accept_some(struct gate *g)
{
    for (int i = 0; i < ACCEPT_TURN; i++) {
        struct sockaddr_in peer = {0};
        socklen_t n = sizeof(peer);
        int fd = accept4(g->listener, (struct sockaddr *)&peer, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            admit(g, fd, peer.sin_addr.s_addr);
        } else if (errno == EAGAIN) {
            return;
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            if (!end_one(g)) {
                listen_to(g, false); /* else we would be woken again and again */
                return;
            }
        }
        /* else: it has gone again, or the network says something of it */
    }
}

/* --- what comes back ------------------------------------------------------------------------- */

void
gate_answer(struct gate *g, struct job *job)
{
    uint64_t one = 1;
    bool first;

    pthread_mutex_lock(&g->mutex);
    first = g->answered == NULL;
    job->next = g->answered;
    g->answered = job;
    pthread_mutex_unlock(&g->mutex);
    if (first) {
        ssize_t n = write(g->wake_fd, &one, sizeof(one));
        (void)n;
    }
}

/* True while the gate is to stay open. */
static bool
take_answers(struct gate *g)
{
    struct job *jobs;
    bool closing;

    pthread_mutex_lock(&g->mutex);
    jobs = g->answered;
    g->answered = NULL;
    closing = g->closing;
    pthread_mutex_unlock(&g->mutex);
    while (jobs != NULL) {
        struct job *next = jobs->next;
        conn_answer(&g->house, jobs);
        jobs = next;
    }
    return !closing;
}

/* --- the thread ------------------------------------------------------------------------------ */

static void
see_late(struct gate *g)
{
    struct crowd_member *m;

    for (int i = 0; i < LATE_TURN; i++) {
        m = crowd_late(g->house.crowd, g->house.now_ms);
        if (m == NULL) {
            break;
        }
        conn_late(&g->house, (struct conn *)m);
    }
    if (g->house.now_ms >= g->resume_ms) {
        g->resume_ms = g->house.now_ms + RESUME_MS;
        conn_resume(&g->house);
        ban_tidy(&g->ban, g->house.now_ms);
    }
    if (g->resting && g->listener >= 0 && g->house.now_ms >= g->rest_until_ms) {
        listen_to(g, true);
    }
}

static void
turn(struct gate *g, int wait_ms)
{
    struct epoll_event events[EVENTS];
    int n = epoll_wait(g->house.epoll, events, EVENTS, wait_ms);

    g->house.now_ms = clock_ms();
    for (int i = 0; i < n; i++) {
        void *of = events[i].data.ptr;
        if (of == &g->listener) {
            accept_some(g);
        } else if (of == &g->wake_fd) {
            uint64_t count;
            ssize_t got = read(g->wake_fd, &count, sizeof(count));
            (void)got;
        } else {
            conn_event(&g->house, of);
        }
    }
}

/* Everything but the waiting: deadlines, figures, memory. */
static void
end_turn(struct gate *g)
{
    struct conn_house *h = &g->house;

    see_late(g);
    conn_sweep(h);
    meter_connections(h->set.meter, crowd_size(h->crowd));
    if (h->reaped > 0) {
        meter_reaped(h->set.meter, h->reaped);
        h->reaped = 0;
    }
}

/* Nobody comes any more, and whoever is not being answered goes. */
static void
say_farewell(struct gate *g)
{
    struct conn_house *h = &g->house;
    int64_t until_ms = clock_ms() + FAREWELL_MS;
    struct crowd_member *m;

    close(g->listener);
    g->listener = -1;
    while (crowd_size(h->crowd) > 0 && (h->working > 0 || h->now_ms < until_ms)) {
        while (end_one(g)) {
        }
        end_turn(g);
        if (crowd_size(h->crowd) > 0) {
            turn(g, 20);
            take_answers(g);
        }
    }
    while ((m = crowd_late(h->crowd, INT64_MAX)) != NULL) {
        conn_end(h, (struct conn *)m);
    }
    conn_sweep(h);
}

/* How long nothing has to be done if nothing happens; -1: for ever. */
static int
wait_ms(const struct gate *g)
{
    int ms = crowd_wait_ms(g->house.crowd, g->house.now_ms);
    int most = g->house.paused > 0 ? RESUME_MS : g->resting || g->ban.n > 0 ? REST_MS : -1;

    return most >= 0 && (ms < 0 || ms > most) ? most : ms;
}

static void *
run(void *arg)
{
    struct gate *g = arg;

    while (take_answers(g)) {
        end_turn(g);
        turn(g, wait_ms(g));
    }
    say_farewell(g);
    return NULL;
}

/* --- opening and closing --------------------------------------------------------------------- */

/* Takes all the descriptors that the system allows; how many connections that is. */
static unsigned
allow_files(unsigned wanted)
{
    struct rlimit files;

    if (getrlimit(RLIMIT_NOFILE, &files) != 0) {
        return wanted;
    }
    rlim_t had = files.rlim_cur;
    files.rlim_cur = files.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &files) != 0) {
        files.rlim_cur = had;
    }
    rlim_t room = files.rlim_cur > 2 * GATE_FILES ? files.rlim_cur - GATE_FILES : GATE_FILES;
    return room < wanted ? (unsigned)room : wanted;
}

static int
open_listener(const struct gate_settings *set)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)set->port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int receive = RECEIVE_BYTES;
    int send = SEND_BYTES;
    int on = 1;

    inet_pton(AF_INET, set->bind, &a.sin_addr);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    /* These are those of all that it accepts. */
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive, sizeof(receive));
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &send, sizeof(send));
    if (bind(fd, (struct sockaddr *)&a, sizeof(a)) != 0 || listen(fd, BACKLOG) != 0) {
        int err = errno;
        close(fd);
        errno = err;
        return -1;
    }
    return fd;
}

struct gate *
gate_open(const struct gate_settings *settings, struct buf *ret_why)
{
    struct epoll_event e = {.events = EPOLLIN};
    int listener = open_listener(settings);
    struct gate *g;

    if (listener < 0) {
        buf_add_c(ret_why, strerror(errno));
        return NULL;
    }
    g = xcalloc(1, sizeof(*g));
    g->house.set = *settings;
    g->house.crowd = crowd_new(allow_files(settings->connections),
                               settings->proxies > 0 ? 0 : settings->per_address, GATE_BYTES);
    g->house.now_ms = clock_ms();
    g->house.epoll = epoll_create1(EPOLL_CLOEXEC);
    g->listener = g->ban.listener = listener;
    g->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    pthread_mutex_init(&g->mutex, NULL);
    e.data.ptr = &g->listener;
    epoll_ctl(g->house.epoll, EPOLL_CTL_ADD, g->listener, &e);
    e.data.ptr = &g->wake_fd;
    epoll_ctl(g->house.epoll, EPOLL_CTL_ADD, g->wake_fd, &e);
    int err = pthread_create(&g->thread, NULL, run, g);
    assert(err == 0); /* it is the first of this process: there is room for it */
    return g;
}

void
gate_close(struct gate **g_p)
{
    struct gate *g = *g_p;
    uint64_t one = 1;

    if (g == NULL) {
        return;
    }
    pthread_mutex_lock(&g->mutex);
    g->closing = true;
    pthread_mutex_unlock(&g->mutex);
    ssize_t n = write(g->wake_fd, &one, sizeof(one));
    (void)n;
    pthread_join(g->thread, NULL);
    close(g->house.epoll);
    close(g->wake_fd);
    crowd_free(&g->house.crowd);
    pthread_mutex_destroy(&g->mutex);
    free(g);
    *g_p = NULL;
}
