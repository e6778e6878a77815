/* The reading half of conn: bytes become heads, bodies and jobs. */
#include "actors/ingress/conn.h"

#include "proto/clock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define RESUME_MAX 64             /* connections that go on at a time */
#define SMALL_BODY (16 * 1024)    /* bodies are read so far, however much others keep */
#define LINGER_PACE (1024 * 1024) /* bytes thrown away in a time, of all together */
#define YOUNG_MS 1000             /* a body that is awaited for so long may be ended for another */

/* --- what came ----------------------------------------------------------------------------- */

struct str
conn_unused(const struct conn *c)
{
    return (struct str){c->in.p != NULL ? c->in.p + c->at : NULL, c->in.n - c->at};
}

static void
used(struct conn *c, size_t n)
{
    c->at += n;
    c->seen = 0;
    if (c->at == c->in.n) {
        buf_fini(&c->in); /* idle connections keep nothing */
        c->at = 0;
    }
}

static void
keep(struct conn *c, const char *p, size_t n)
{
    if (c->at > 0) {
        c->in.n -= c->at;
        memmove(c->in.p, c->in.p + c->at, c->in.n);
        c->at = 0;
    }
    buf_add(&c->in, p, n);
}

void
conn_forget(struct conn *c)
{
    buf_fini(&c->in);
    c->at = 0;
    c->seen = 0;
}

static size_t
job_bytes(const struct job *job)
{
    return job != NULL ? sizeof(*job) + job->head.cap + job->request.body.cap : 0;
}

/* --- reading --------------------------------------------------------------------------------- */

static void
hand_over(struct conn_house *h, struct conn *c)
{
    struct job *job = c->job;

    c->job = NULL;
    c->lent = job_bytes(job);
    job->keep = job->request.keep;
    conn_phase(h, c, CROWD_WORK);
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
        conn_refuse(h, c, bad);
        return;
    }
    conn_phase(h, c, CROWD_BODY);
    if (waits && r->length > 0 && conn_unused(c).n == 0) {
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
    buf_add(&job->head, conn_unused(c).p, n);
    used(c, n);
    bad = heading_parse(job->head.p, n, &job->heading);
    inet_ntop(AF_INET, &address, peer, sizeof(peer));
    if (bad.status == 0) {
        bad = request_init(&job->heading, peer, h->set.proxies, &job->request);
        job->sound = true;
    }
    wait_s =
        rate_take(h->set.flood, job->sound ? job->request.address : peer, RATE_LOOK, h->now_ms);
    if (wait_s > 0) {
        conn_refuse_flood(h, c, wait_s);
    } else if (bad.status != 0) {
        conn_refuse(h, c, bad);
    } else {
        expect_body(h, c);
    }
}

/* What came is no head. */
static void
refuse_head(struct conn_house *h, struct conn *c, struct refusal bad)
{
    struct in_addr address = {.s_addr = c->member.address};
    char peer[INET_ADDRSTRLEN];
    unsigned wait_s;

    inet_ntop(AF_INET, &address, peer, sizeof(peer));
    wait_s = rate_take(h->set.flood, peer, RATE_LOOK, h->now_ms);
    if (wait_s > 0) {
        conn_refuse_flood(h, c, wait_s);
    } else {
        conn_refuse(h, c, bad);
    }
}

static void
read_head(struct conn_house *h, struct conn *c)
{
    static const struct refusal unsound = {400, "The request's head could not be understood."};
    static const struct refusal too_long = {431, "The request's head has more than 16384 bytes."};
    struct str in = conn_unused(c);
    size_t n = in.n < HEADING_MAX ? in.n : HEADING_MAX;
    size_t head_n;

    if (!c->forgiven && in.n >= 2 && memcmp(in.p, "\r\n", 2) == 0) {
        c->forgiven = true; /* an empty line before a request was once in use: one is forgiven */
        used(c, 2);
        return;
    }
    switch (heading_scan(in.p, n, &c->seen, &head_n)) {
    case HEADING_WHOLE:
        begin_job(h, c, head_n);
        break;
    case HEADING_BAD:
        refuse_head(h, c, unsound);
        break;
    case HEADING_MORE:
        if (n == HEADING_MAX) {
            refuse_head(h, c, too_long);
        }
        break;
    }
}

static void
read_body(struct conn_house *h, struct conn *c)
{
    struct buf *body = &c->job->request.body;
    size_t wanted = c->job->request.length - body->n;
    struct str in = conn_unused(c);
    size_t n = in.n < wanted ? in.n : wanted;

    if (n > 0) {
        buf_add(body, in.p, n);
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
            if (conn_is_awaited(c)) {
                conn_refuse(h, c, full);
            } else if (c->member.phase == CROWD_WRITE) {
                conn_end(h, c);
            }
            return;
        }
        conn_end(h, (struct conn *)leaver);
        h->reaped++;
    }
}

void
conn_advance(struct conn_house *h, struct conn *c)
{
    size_t before;
    enum crowd_phase was;

    do {
        before = conn_unused(c).n;
        was = c->member.phase;
        if (!conn_is_awaited(c)) {
            break;
        }
        if (was == CROWD_IDLE && before > 0) {
            conn_phase(h, c, CROWD_HEAD);
        } else if (was == CROWD_HEAD && before > 0) {
            read_head(h, c);
        } else if (was == CROWD_BODY) {
            read_body(h, c);
        }
    } while (c->fd >= 0 && (conn_unused(c).n != before || c->member.phase != was));
    if (c->fd >= 0) {
        weigh(h, c);
    }
}

/* A large body waits, unread, while there is no room: thousands of these may not cost us more than
 * their room, and no time. */
static bool
must_pause(struct conn_house *h, struct conn *c)
{
    struct crowd_member *first;

    while (c->member.phase == CROWD_BODY && c->job->request.body.n >= SMALL_BODY &&
           crowd_is_full(h->crowd)) {
        first = crowd_first(h->crowd, CROWD_BODY);
        if (first == &c->member ||
            h->now_ms < first->until_ms - crowd_limit(CROWD_BODY) + YOUNG_MS) {
            return true;
        }
        conn_end(h, (struct conn *)first);
        h->reaped++;
    }
    return false;
}

void
conn_take_in(struct conn_house *h, struct conn *c)
{
    for (size_t taken = 0; conn_is_awaited(c);) {
        if (must_pause(h, c)) {
            conn_pause(h, c);
            return;
        }
        if (taken >= CONN_READ) {
            conn_look_again(h, c);
            return;
        }
        ssize_t n = recv(c->fd, h->scratch, sizeof(h->scratch), 0);
        if (n < 0 && errno == EAGAIN) {
            return;
        }
        if (n <= 0) {
            conn_end(h, c);
            return;
        }
        taken += (size_t)n;
        keep(c, h->scratch, (size_t)n);
        conn_advance(h, c);
    }
}

/* Those of a phase that were paused, up to so many: the rest wouldn't find room. */
static void
resume(struct conn_house *h, enum crowd_phase phase)
{
    struct crowd_member *m = crowd_first(h->crowd, phase);
    int left = RESUME_MAX;

    while (m != NULL && h->paused > 0 && left > 0) {
        struct conn *c = (struct conn *)m;
        m = m->next;
        if (c->paused) {
            c->paused = false;
            h->paused--;
            left--;
            conn_look_again(h, c);
        }
    }
}

void
conn_resume(struct conn_house *h)
{
    h->linger_left = LINGER_PACE;
    if (h->paused > 0) {
        resume(h, CROWD_LINGER);
    }
    if (h->paused > 0 && !crowd_is_full(h->crowd)) {
        resume(h, CROWD_BODY);
    }
}
