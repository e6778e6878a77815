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
    } else {
        conn_event(h, c); /* one who asks at once isn't to be taken for one who waits */
    }
}

void
conn_end(struct conn_house *h, struct conn *c)
{
    if (c->fd < 0) {
        return;
    }
    close(c->fd);
    c->fd = -1;
    h->paused -= c->paused;
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

void
conn_phase(struct conn_house *h, struct conn *c, enum crowd_phase to)
{
    crowd_phase(h->crowd, &c->member, to, h->now_ms);
}

void
conn_pause(struct conn_house *h, struct conn *c)
{
    h->paused += !c->paused;
    c->paused = true;
}

bool
conn_is_awaited(const struct conn *c)
{
    return c->fd >= 0 && (c->member.phase == CROWD_IDLE || c->member.phase == CROWD_HEAD ||
                          c->member.phase == CROWD_BODY);
}

void
conn_look_again(struct conn_house *h, struct conn *c)
{
    struct epoll_event again = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = c};

    epoll_ctl(h->epoll, EPOLL_CTL_MOD, c->fd, &again);
}

/* --- answering ------------------------------------------------------------------------------- */

/* Reads and forgets what still comes: a socket that is closed with unread bytes takes the answer
 * with it. */
static void
linger(struct conn_house *h, struct conn *c)
{
    ssize_t n;

    if (h->linger_left == 0) {
        conn_pause(h, c);
        return;
    }
    n = recv(c->fd, h->scratch, sizeof(h->scratch), 0);
    if (n > 0) {
        c->dropped += (size_t)n;
        h->linger_left -= h->linger_left < (size_t)n ? h->linger_left : (size_t)n;
    }
    if (n == 0 || (n < 0 && errno != EAGAIN) || c->dropped >= LINGER_BYTES) {
        conn_end(h, c);
    } else if (n > 0) {
        conn_look_again(h, c);
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
        conn_phase(h, c, CROWD_IDLE);
    } else {
        shutdown(c->fd, SHUT_WR);
        conn_phase(h, c, CROWD_LINGER);
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

/* A refusal as the client prefers it, where it could say so. */
static void
write_refusal(struct conn_house *h, struct conn *c, struct refusal bad, unsigned wait_s)
{
    const struct request *r = c->job != NULL && c->job->sound ? &c->job->request : NULL;
    struct answer a = {0};

    if (r != NULL) {
        h->set.refuse(r, &a, bad.status, bad.detail);
    } else {
        answer_problem(&a, bad.status, bad.detail, NULL);
    }
    if (bad.status == 405) { /* a method that no address knows */
        answer_header(&a, "Allow", "GET, HEAD, POST");
    }
    if (wait_s > 0) {
        answer_header(&a, "Retry-After", "%u", wait_s);
    }
    answer_encode(&a, r != NULL && r->head_only, c->keep, &c->out);
    answer_fini(&a);
    meter_request(h->set.meter, "refused", bad.status, 0);
    job_free(&c->job);
}

void
conn_refuse(struct conn_house *h, struct conn *c, struct refusal bad)
{
    c->keep = false;
    write_refusal(h, c, bad, 0);
    conn_forget(c);
    conn_phase(h, c, CROWD_WRITE);
    write_out(h, c);
}

/* A proxy speaks for many: it is told at once, and keeps its connection. */
void
conn_refuse_flood(struct conn_house *h, struct conn *c, unsigned wait_s)
{
    static const struct refusal flood = {
        429, "Too many requests came from your network address. Please wait a little."};
    const struct request *r = c->job != NULL && c->job->sound ? &c->job->request : NULL;

    c->rude = h->set.proxies == 0;
    c->keep = !c->rude && r != NULL && r->keep && r->length == 0 &&
              request_header(r, "Transfer-Encoding") == NULL;
    write_refusal(h, c, flood, wait_s);
    if (!c->keep) {
        conn_forget(c);
    }
    conn_phase(h, c, c->rude ? CROWD_PENANCE : CROWD_WRITE);
    if (!c->rude) {
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
    conn_phase(h, c, CROWD_WRITE);
    conn_event(h, c);
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
        conn_take_in(h, c);
        break;
    case CROWD_WRITE:
        write_out(h, c);
        conn_advance(h, c);
        if (conn_is_awaited(c)) {
            conn_take_in(h, c); /* edges that came while we were at work were not looked at */
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
        conn_phase(h, c, CROWD_WRITE);
        write_out(h, c);
        return;
    }
    h->reaped += c->member.phase != CROWD_LINGER && c->member.phase != CROWD_IDLE;
    if (c->member.phase == CROWD_HEAD && conn_unused(c).n > 0) {
        conn_refuse(h, c, head);
    } else if (c->member.phase == CROWD_BODY) {
        conn_refuse(h, c, body);
    } else {
        conn_end(h, c);
    }
}
