#include "actors/ingress/conn.h"

#include "proto/clock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define LINGER_BYTES (1536 * 1024) /* thrown away of one connection */
#define LINGER_TURN (256 * 1024)   /* and before others have their turn */

static void advance(struct conn_house *h, struct conn *c);

/* --- beginning and end ----------------------------------------------------------------------- */

static void
job_free(struct job **job_p)
{
    struct job *job = *job_p;

    if (job != NULL) {
        request_fini(&job->request);
        buf_fini(&job->head);
        buf_fini(&job->out);
        free(job);
        *job_p = NULL;
    }
}

static size_t
job_bytes(const struct job *job)
{
    return job != NULL ? sizeof(*job) + job->head.cap + job->request.body.cap : 0;
}

void
conn_reset(int fd)
{
    struct linger now = {.l_onoff = 1, .l_linger = 0};

    setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    close(fd);
}

void
conn_begin(struct conn_house *h, int fd, uint32_t address)
{
    struct conn *c = xcalloc(1, sizeof(*c));
    /* Edges only: one that waits for us may send, hang up or reset without waking us. */
    struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = c};

    c->fd = fd;
    crowd_enter(h->crowd, &c->member, address, h->now_ms);
    if (epoll_ctl(h->epoll, EPOLL_CTL_ADD, fd, &e) != 0) {
        conn_end(h, c);
    }
}

void
conn_end(struct conn_house *h, struct conn *c)
{
    if (c->fd < 0) {
        return;
    }
    if (c->rude) {
        conn_reset(c->fd);
    } else {
        close(c->fd);
    }
    c->fd = -1;
    crowd_leave(h->crowd, &c->member);
    job_free(&c->job);
    buf_fini(&c->in);
    buf_fini(&c->out);
    c->next_ended = h->ended;
    h->ended = c;
}

void
conn_sweep(struct conn_house *h)
{
    while (h->ended != NULL) {
        struct conn *c = h->ended;
        h->ended = c->next_ended;
        free(c);
    }
}

static void
phase(struct conn_house *h, struct conn *c, enum crowd_phase to)
{
    crowd_phase(h->crowd, &c->member, to, h->now_ms);
}

static bool
is_awaited(const struct conn *c)
{
    return c->fd >= 0 && (c->member.phase == CROWD_IDLE || c->member.phase == CROWD_HEAD ||
                          c->member.phase == CROWD_BODY);
}

/* Forgets the first `n` bytes of what came. */
static void
used(struct conn *c, size_t n)
{
    c->in.n -= n;
    memmove(c->in.p, c->in.p + n, c->in.n);
    if (c->in.n == 0) {
        buf_fini(&c->in); /* idle connections keep nothing */
    }
    c->seen = 0;
}

/* --- answering ------------------------------------------------------------------------------- */

/* Reads and forgets what still comes: a socket that is closed with unread bytes takes the answer
 * with it. */
static void
linger(struct conn_house *h, struct conn *c)
{
    struct epoll_event again = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = c};
    size_t turn = 0;
    ssize_t n = 0;

    while (turn < LINGER_TURN && c->dropped < LINGER_BYTES &&
           (n = recv(c->fd, h->scratch, sizeof(h->scratch), 0)) > 0) {
        turn += (size_t)n;
        c->dropped += (size_t)n;
    }
    if (n == 0 || (n < 0 && errno != EAGAIN) || c->dropped >= LINGER_BYTES) {
        conn_end(h, c);
    } else if (n > 0) {
        epoll_ctl(h->epoll, EPOLL_CTL_MOD, c->fd, &again); /* more is there: wakes us again */
    }
}

/* The answer is out. */
static void
answered(struct conn_house *h, struct conn *c)
{
    buf_fini(&c->out);
    c->written = 0;
    if (c->rude) {
        conn_end(h, c);
    } else if (c->keep) {
        c->forgiven = false;
        phase(h, c, CROWD_IDLE);
    } else {
        shutdown(c->fd, SHUT_WR);
        phase(h, c, CROWD_LINGER);
        linger(h, c);
    }
}

static void
write_out(struct conn_house *h, struct conn *c)
{
    while (c->written < c->out.n) {
        ssize_t n = send(c->fd, c->out.p + c->written, c->out.n - c->written, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN) {
            return;
        }
        if (n < 0) {
            conn_end(h, c);
            return;
        }
        c->written += (size_t)n;
    }
    answered(h, c);
}

/* Refuses what came, and ends the connection: where the next request begins can't be told. `job`
 * may be NULL, where the head could not be read. */
static void
refuse(struct conn_house *h, struct conn *c, const struct job *job, struct refusal bad)
{
    struct answer a = {0};

    if (job != NULL) {
        h->set.refuse(&job->request, &a, bad.status, bad.detail);
    } else {
        answer_problem(&a, bad.status, bad.detail, NULL);
    }
    answer_encode(&a, job != NULL && job->request.head_only, false, &c->out);
    answer_fini(&a);
    meter_request(h->set.meter, "refused", bad.status, 0);
    c->keep = false;
    buf_fini(&c->in);
    job_free(&c->job);
    phase(h, c, CROWD_WRITE);
    write_out(h, c);
}

/* Its address asks far more than it may. A proxy speaks for many: it is told at once, and keeps its
 * connection. */
static void
refuse_flood(struct conn_house *h, struct conn *c, unsigned wait_s)
{
    struct answer a = {0};

    h->set.refuse(&c->job->request, &a, 429,
                  "Too many requests came from your network address. Please wait a little.");
    answer_header(&a, "Retry-After", "%u", wait_s);
    c->keep = h->set.proxies > 0 && c->job->request.keep && c->job->request.length == 0;
    c->rude = h->set.proxies == 0;
    answer_encode(&a, c->job->request.head_only, c->keep, &c->out);
    answer_fini(&a);
    meter_request(h->set.meter, "refused", 429, 0);
    job_free(&c->job);
    if (c->rude) {
        buf_fini(&c->in);
        phase(h, c, CROWD_PENANCE);
    } else {
        phase(h, c, CROWD_WRITE);
        write_out(h, c);
    }
}

void
conn_answer(struct conn_house *h, struct job *job)
{
    struct conn *c = job->conn;

    h->working--;
    c->lent = 0;
    c->out = job->out;
    job->out = (struct buf){0};
    c->keep = job->keep;
    job_free(&job);
    phase(h, c, CROWD_WRITE);
    write_out(h, c);
    advance(h, c);
    if (is_awaited(c)) {
        conn_event(h, c); /* edges that came while we were at work were not looked at */
    }
}

/* --- reading --------------------------------------------------------------------------------- */

static void
hand_over(struct conn_house *h, struct conn *c)
{
    struct job *job = c->job;

    c->job = NULL;
    c->lent = job_bytes(job);
    job->keep = job->request.keep;
    phase(h, c, CROWD_WORK);
    h->working++;
    h->set.take(h->set.context, job);
}

/* The request's head is sound. Is its body wanted? */
static void
expect_body(struct conn_house *h, struct conn *c)
{
    static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
    const struct request *r = &c->job->request;
    bool waits = r->has_length && r->heading->minor > 0 && request_header(r, "Expect") != NULL;
    struct refusal bad = {0, NULL};

    if (r->length > FORM_MAX_BODY || waits) {
        bad = request_check_body(r);
    }
    if (bad.status != 0) {
        refuse(h, c, c->job, bad);
        return;
    }
    phase(h, c, CROWD_BODY);
    if (waits && r->length > 0 && c->in.n == 0) {
        /* So little always fits: nothing else is on its way to this client. */
        ssize_t n = send(c->fd, go_on, sizeof(go_on) - 1, MSG_NOSIGNAL);
        (void)n;
    }
}

/* A whole head has come, of `n` bytes. */
static void
begin_job(struct conn_house *h, struct conn *c, size_t n)
{
    struct job *job = xcalloc(1, sizeof(*job));
    struct in_addr address = {.s_addr = c->member.address};
    char peer[INET_ADDRSTRLEN];
    struct refusal bad;
    unsigned wait_s;

    c->job = job;
    job->conn = c;
    job->start_us = clock_unix_us();
    buf_add(&job->head, c->in.p, n);
    used(c, n);
    bad = heading_parse(job->head.p, n, &job->heading);
    if (bad.status != 0) {
        refuse(h, c, NULL, bad);
        return;
    }
    inet_ntop(AF_INET, &address, peer, sizeof(peer));
    bad = request_init(&job->heading, peer, h->set.proxies, &job->request);
    if (bad.status != 0) {
        refuse(h, c, job, bad);
        return;
    }
    wait_s = rate_take(h->set.flood, job->request.address, RATE_LOOK, h->now_ms);
    if (wait_s > 0) {
        refuse_flood(h, c, wait_s);
        return;
    }
    expect_body(h, c);
}

static void
read_head(struct conn_house *h, struct conn *c)
{
    static const struct refusal unsound = {400, "The request's head could not be understood."};
    static const struct refusal too_long = {431, "The request's head has more than 16384 bytes."};
    size_t n = c->in.n < HEADING_MAX ? c->in.n : HEADING_MAX;
    size_t head_n;

    if (!c->forgiven && c->in.n >= 2 && memcmp(c->in.p, "\r\n", 2) == 0) {
        c->forgiven = true; /* an empty line before a request was once in use: one is forgiven */
        used(c, 2);
        return;
    }
    switch (heading_scan(c->in.p, n, &c->seen, &head_n)) {
    case HEADING_WHOLE:
        begin_job(h, c, head_n);
        break;
    case HEADING_BAD:
        refuse(h, c, NULL, unsound);
        break;
    case HEADING_MORE:
        if (n == HEADING_MAX) {
            refuse(h, c, NULL, too_long);
        }
        break;
    }
}

static void
read_body(struct conn_house *h, struct conn *c)
{
    struct buf *body = &c->job->request.body;
    size_t wanted = c->job->request.length - body->n;
    size_t n = c->in.n < wanted ? c->in.n : wanted;

    if (n > 0) {
        buf_add(body, c->in.p, n);
        used(c, n);
    }
    if (n == wanted) {
        hand_over(h, c);
    }
}

/* All of them together may keep so much and no more. */
static void
weigh(struct conn_house *h, struct conn *c)
{
    static const struct refusal full = {503, "Too much is being received just now."};
    size_t bytes = c->in.cap + c->out.cap + c->lent + job_bytes(c->job);
    struct crowd_member *leaver;

    while ((leaver = crowd_weigh(h->crowd, &c->member, bytes)) != NULL) {
        if (leaver == &c->member) {
            if (is_awaited(c)) {
                refuse(h, c, c->job, full);
            }
            return;
        }
        conn_end(h, (struct conn *)leaver);
        h->reaped++;
    }
}

/* Goes on with what came, as far as it goes. */
static void
advance(struct conn_house *h, struct conn *c)
{
    size_t before;
    enum crowd_phase was;

    do {
        before = c->in.n;
        was = c->member.phase;
        if (!is_awaited(c)) {
            break;
        }
        if (was == CROWD_IDLE && before > 0) {
            phase(h, c, CROWD_HEAD);
        } else if (was == CROWD_HEAD && before > 0) {
            read_head(h, c);
        } else if (was == CROWD_BODY) {
            read_body(h, c);
        }
    } while (c->fd >= 0 && (c->in.n != before || c->member.phase != was));
    if (c->fd >= 0) {
        weigh(h, c);
    }
}

static void
take_in(struct conn_house *h, struct conn *c)
{
    while (is_awaited(c)) {
        ssize_t n = recv(c->fd, h->scratch, sizeof(h->scratch), 0);
        if (n < 0 && errno == EAGAIN) {
            return;
        }
        if (n <= 0) {
            conn_end(h, c);
            return;
        }
        buf_add(&c->in, h->scratch, (size_t)n);
        advance(h, c);
    }
}

/* --- what happens ---------------------------------------------------------------------------- */

void
conn_event(struct conn_house *h, struct conn *c)
{
    if (c->fd < 0) {
        return;
    }
    switch (c->member.phase) {
    case CROWD_IDLE:
    case CROWD_HEAD:
    case CROWD_BODY:
        take_in(h, c);
        break;
    case CROWD_WRITE:
        write_out(h, c);
        advance(h, c);
        if (is_awaited(c)) {
            take_in(h, c);
        }
        break;
    case CROWD_LINGER:
        linger(h, c);
        break;
    case CROWD_PENANCE:
    case CROWD_WORK:
    case CROWD_PHASES:
        break;
    }
}

void
conn_late(struct conn_house *h, struct conn *c)
{
    static const struct refusal head = {408, "The request did not arrive in time."};
    static const struct refusal body = {408, "The body did not arrive in time."};

    if (c->member.phase == CROWD_PENANCE) {
        phase(h, c, CROWD_WRITE);
        write_out(h, c);
        return;
    }
    h->reaped += c->member.phase != CROWD_LINGER && c->member.phase != CROWD_IDLE;
    if (c->member.phase == CROWD_HEAD && c->in.n > 0) {
        refuse(h, c, NULL, head);
    } else if (c->member.phase == CROWD_BODY) {
        refuse(h, c, c->job, body);
    } else {
        conn_end(h, c);
    }
}
