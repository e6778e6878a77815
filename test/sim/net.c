#include "test/sim/net.h"

#include "proto/mem.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

#define FRAMES 4
#define ROUTE 32

/* What stands in a zmq_msg_t. */
struct frame {
    char *p;
    size_t n;
    bool more;
    struct proc *from;
};

struct msg {
    struct msg *next;
    struct frame frames[FRAMES];
    int n, read;
};

struct queue {
    struct msg *first, **last;
    size_t n;
};

struct sock {
    int type;
    struct proc *proc;
    struct queue in;
    struct msg *building;
    struct link *link; /* DEALER; ROUTER: to whom it is building a message */
    char route[ROUTE];
    size_t route_n;
};

/* A DEALER's connection; lives on until what a dead one had sent is read. */
struct link {
    struct link *next;
    struct proc *proc;
    struct sock *dealer; /* NULL: closed */
    struct sock *router; /* NULL: not connected */
    char route[ROUTE];
    size_t route_n;
    struct queue out, back;
    int64_t out_us, back_us; /* the last arrival */
    unsigned epoch;
    bool ending;
};

struct sockets {
    struct sock *dealer, *pair;
};

static struct {
    const struct net_eyes *eyes;
    struct link *links;
    struct sock *router;
} net;

static void try_connect(void *arg);
static void disconnect(struct link *l);

/* --- queues --------------------------------------------------------------------------------- */

static void
queue_add(struct queue *q, struct msg *m)
{
    m->next = NULL;
    if (q->first == NULL) {
        q->last = &q->first;
    }
    *q->last = m;
    q->last = &m->next;
    q->n++;
}

static struct msg *
queue_take(struct queue *q)
{
    struct msg *m = q->first;

    q->first = m->next;
    q->n--;
    return m;
}

static void
msg_free(struct msg *m)
{
    for (int i = 0; i < m->n; i++) {
        free(m->frames[i].p);
    }
    free(m);
}

static void
queue_clear(struct queue *q)
{
    while (q->first != NULL) {
        msg_free(queue_take(q));
    }
}

static struct str
frame_str(const struct msg *m, int i)
{
    return i < m->n ? (struct str){m->frames[i].p, m->frames[i].n} : (struct str){0};
}

/* --- channels ------------------------------------------------------------------------------- */

struct arrival {
    struct link *link;
    unsigned epoch;
};

static void
forget(struct link *l)
{
    struct link **at = &net.links;

    while (*at != l) {
        at = &(*at)->next;
    }
    *at = l->next;
    queue_clear(&l->out);
    queue_clear(&l->back);
    if (net.eyes != NULL && l->router != NULL) {
        net.eyes->unreachable(l->proc);
    }
    /* The memory stays: an arrival may still point here. Freed with the run. */
    l->epoch++;
    l->router = NULL;
}

/* A dead one's last word has been said. */
static void
gone(void *arg)
{
    struct arrival *a = arg;

    if (a->epoch == a->link->epoch && a->link->ending && a->link->out.n == 0) {
        forget(a->link);
    }
    free(a);
}

static struct arrival *
arrival_of(struct link *l)
{
    struct arrival *a = xmalloc(sizeof(*a));

    *a = (struct arrival){.link = l, .epoch = l->epoch};
    return a;
}

static void
out_arrives(void *arg)
{
    struct arrival *a = arg;
    struct link *l = a->link;
    struct msg *m;

    if (a->epoch != l->epoch || l->router == NULL || l->out.n == 0) {
        free(a);
        return;
    }
    m = queue_take(&l->out);
    queue_add(&l->router->in, m);
    world_wake(l->router->proc);
    if (l->ending && l->out.n == 0) {
        world_at(world_delay(10, 3000), NULL, gone, a);
        return;
    }
    free(a);
}

static void
back_arrives(void *arg)
{
    struct arrival *a = arg;
    struct link *l = a->link;

    if (a->epoch == l->epoch && l->back.n > 0) {
        struct msg *m = queue_take(&l->back);
        if (l->dealer != NULL) {
            queue_add(&l->dealer->in, m);
            world_wake(l->proc);
        } else {
            msg_free(m);
        }
    }
    free(a);
}

/* In order: never before what was sent earlier. */
static int64_t
arrives_in(int64_t *last_us)
{
    int64_t at = world.now_us + world_delay(10, random_once_in(&world.random, 50) ? 20000 : 400);

    *last_us = at > *last_us ? at : *last_us;
    return *last_us - world.now_us;
}

static void
send_out(struct link *l)
{
    world_at(arrives_in(&l->out_us), NULL, out_arrives, arrival_of(l));
}

/* --- connections ---------------------------------------------------------------------------- */

static void
lose(struct queue *q, size_t n)
{
    while (n-- > 0) {
        msg_free(queue_take(q));
    }
}

static size_t
some_of(size_t n)
{
    return random_below(&world.random, (uint32_t)n + 1);
}

static void
disconnect(struct link *l)
{
    size_t kept = some_of(l->back.n);

    lose(&l->out, some_of(l->out.n));
    for (; kept > 0 && l->dealer != NULL; kept--) {
        queue_add(&l->dealer->in, queue_take(&l->back));
        world_wake(l->proc);
    }
    queue_clear(&l->back);
    l->epoch++;
    if (net.eyes != NULL) {
        net.eyes->unreachable(l->proc);
    }
    l->router = NULL;
    if (l->ending) {
        forget(l);
    } else {
        world_at(world_delay(20000, 500000), l->proc, try_connect, l);
    }
}

static void
say_connected(void *arg)
{
    struct sockets *s = arg;
    struct msg *m;

    if (s->pair != NULL) {
        m = xcalloc(1, sizeof(*m));
        m->n = 1;
        queue_add(&s->pair->in, m);
        world_wake(s->pair->proc);
    }
}

static void
try_connect(void *arg)
{
    struct link *l = arg;

    if (l->ending || l->dealer == NULL || l->router != NULL) {
        return;
    }
    if (net.router == NULL) {
        world_at(world_delay(20000, 500000), l->proc, try_connect, l);
        return;
    }
    l->router = net.router;
    for (size_t i = 0; i < l->out.n; i++) {
        send_out(l);
    }
    world_at(l->out.n > 0 ? l->out_us - world.now_us : world_delay(50, 500), l->proc, say_connected,
             l->proc->context);
}

void
net_cut(struct proc *p)
{
    struct sockets *s = p->context;

    if (s != NULL && s->dealer != NULL && s->dealer->link->router != NULL) {
        report_event("cut %s.%d", p->name, p->number);
        disconnect(s->dealer->link);
    }
}

void
net_say(struct proc *p, struct str head)
{
    struct sockets *s = p->context;
    struct msg *m = xcalloc(1, sizeof(*m));

    m->n = 2;
    m->frames[0] = (struct frame){.p = str_dup(head), .n = head.n, .more = true};
    m->frames[1] = (struct frame){.p = str_dup(STR("")), .n = 0};
    queue_add(&s->dealer->in, m);
    world_wake(p);
}

static struct link *
find(struct str route)
{
    struct link *l = net.links;

    while (l != NULL && !str_eq(route, (struct str){l->route, l->route_n})) {
        l = l->next;
    }
    return l;
}

bool
net_reaches(const struct proc *p)
{
    for (const struct link *l = net.links; l != NULL; l = l->next) {
        if (l->proc == p) {
            return l->router != NULL;
        }
    }
    return false;
}

void
net_begin(const struct net_eyes *eyes)
{
    memset(&net, 0, sizeof(net));
    net.eyes = eyes;
}

void
net_end(void)
{
    net.eyes = NULL;
    while (net.links != NULL) {
        forget(net.links);
    }
}

bool
world_readable(void *socket)
{
    return ((struct sock *)socket)->in.n > 0;
}

/* --- sockets -------------------------------------------------------------------------------- */

void *
zmq_ctx_new(void)
{
    if (world.current->context == NULL) {
        world.current->context = xcalloc(1, sizeof(struct sockets));
    }
    return world.current->context;
}

int
zmq_ctx_term(void *context)
{
    (void)context;
    return 0;
}

void *
zmq_socket(void *context, int type)
{
    struct sockets *all = context;
    struct sock *s = xcalloc(1, sizeof(*s));

    s->type = type;
    s->proc = world.current;
    if (type == ZMQ_DEALER) {
        all->dealer = s;
    } else if (type == ZMQ_PAIR) {
        all->pair = s;
    }
    return s;
}

int
zmq_setsockopt(void *socket, int option, const void *value, size_t n)
{
    struct sock *s = socket;

    if (option == ZMQ_ROUTING_ID) {
        REPORT_WANT(n <= ROUTE, "a routing id of %zu bytes", n);
        memcpy(s->route, value, n);
        s->route_n = n;
    }
    return 0;
}

int
zmq_socket_monitor(void *socket, const char *address, int events)
{
    (void)socket;
    (void)address;
    (void)events;
    return 0;
}

int
zmq_bind(void *socket, const char *address)
{
    struct sock *s = socket;

    (void)address;
    if (s->type == ZMQ_ROUTER) {
        net.router = s;
    }
    return 0;
}

int
zmq_connect(void *socket, const char *address)
{
    struct sock *s = socket;
    struct link *l;

    (void)address;
    if (s->type != ZMQ_DEALER) {
        return 0;
    }
    l = xcalloc(1, sizeof(*l));
    l->proc = s->proc;
    l->dealer = s;
    memcpy(l->route, s->route, s->route_n);
    l->route_n = s->route_n;
    l->next = net.links;
    net.links = l;
    s->link = l;
    world_at(world_delay(50, 2000), s->proc, try_connect, l);
    return 0;
}

static void
close_dealer(struct sock *s)
{
    struct link *l = s->link;
    struct sockets *all = s->proc->context;

    all->dealer = NULL;
    if (l == NULL) {
        return;
    }
    l->dealer = NULL;
    l->ending = true;
    queue_clear(&l->back);
    if (s->proc->killed && l->out.n > 0) {
        /* What had not left the process. Those are the last of the queue. */
        size_t left = some_of(l->out.n);
        struct queue kept = {0};
        for (; left > 0; left--) {
            queue_add(&kept, queue_take(&l->out));
        }
        queue_clear(&l->out);
        l->out = kept;
    }
    if (l->router == NULL) {
        forget(l);
    } else if (l->out.n == 0) {
        world_at(world_delay(10, 3000), NULL, gone, arrival_of(l));
    }
}

int
zmq_close(void *socket)
{
    struct sock *s = socket;
    struct sockets *all = s->proc->context;

    if (s->type == ZMQ_PAIR) {
        all->pair = NULL;
    } else if (s->type == ZMQ_DEALER) {
        close_dealer(s);
    } else {
        net.router = NULL;
        for (struct link *l = net.links, *next; l != NULL; l = next) {
            next = l->next;
            if (l->router == s) {
                disconnect(l);
            }
        }
    }
    queue_clear(&s->in);
    if (s->building != NULL) {
        msg_free(s->building);
    }
    free(s);
    return 0;
}

/* --- messages ------------------------------------------------------------------------------- */

static struct frame *
frame_of(const zmq_msg_t *m)
{
    return (struct frame *)(void *)(uintptr_t)m;
}

int
zmq_msg_init(zmq_msg_t *m)
{
    *frame_of(m) = (struct frame){0};
    return 0;
}

int
zmq_msg_close(zmq_msg_t *m)
{
    free(frame_of(m)->p);
    *frame_of(m) = (struct frame){0};
    return 0;
}

void *
zmq_msg_data(zmq_msg_t *m)
{
    return frame_of(m)->p;
}

size_t
zmq_msg_size(const zmq_msg_t *m)
{
    return frame_of(m)->n;
}

int
zmq_msg_more(const zmq_msg_t *m)
{
    return frame_of(m)->more;
}

const char *
zmq_msg_gets(const zmq_msg_t *m, const char *property)
{
    static char address[40];
    const struct proc *from = frame_of(m)->from;

    if (strcmp(property, "Peer-Address") != 0) {
        return NULL;
    }
    snprintf(address, sizeof(address), "0:0:%d", from->remote ? 0 : from->pid);
    return address;
}

const char *
zmq_strerror(int number)
{
    return strerror(number);
}

static void
seen_reading(const struct sock *s, const struct msg *m)
{
    if (net.eyes == NULL || s->proc->killed || m->n < 2) {
        return;
    }
    if (s->type == ZMQ_ROUTER) {
        net.eyes->router_got(m->frames[0].from, frame_str(m, 1));
    } else {
        net.eyes->actor_got(s->proc, frame_str(m, 0), frame_str(m, 1));
    }
}

int
zmq_msg_recv(zmq_msg_t *frame, void *socket, int flags)
{
    struct sock *s = socket;
    struct msg *m = s->in.first;
    struct frame *f = frame_of(frame);

    (void)flags;
    if (m == NULL) {
        errno = EAGAIN;
        return -1;
    }
    if (m->read == 0) {
        seen_reading(s, m);
    }
    free(f->p);
    *f = m->frames[m->read];
    m->frames[m->read].p = NULL;
    f->more = ++m->read < m->n;
    if (!f->more) {
        msg_free(queue_take(&s->in));
    }
    return (int)f->n;
}

/* Whole: on its way. */
static void
sent(struct sock *s, struct msg *m)
{
    struct link *l = s->link;

    if (s->proc->killed || l == NULL) {
        msg_free(m);
        return;
    }
    if (s->type == ZMQ_ROUTER) {
        net.eyes->router_sent(l->proc, frame_str(m, 0));
        queue_add(&l->back, m);
        world_at(arrives_in(&l->back_us), NULL, back_arrives, arrival_of(l));
        return;
    }
    /* A ROUTER puts the sender's route before it. */
    REPORT_WANT(m->n < FRAMES, "a message of %d frames", m->n);
    net.eyes->actor_sent(s->proc, frame_str(m, 0), frame_str(m, 1));
    memmove(m->frames + 1, m->frames, (size_t)m->n * sizeof(*m->frames));
    m->frames[0] =
        (struct frame){.p = str_dup((struct str){l->route, l->route_n}), .n = l->route_n};
    m->n++;
    for (int i = 0; i < m->n; i++) {
        m->frames[i].from = s->proc;
    }
    queue_add(&l->out, m);
    if (l->router != NULL) {
        send_out(l);
    }
}

/* Takes `p`. */
static int
send_frame(struct sock *s, char *p, size_t n, int flags)
{
    struct msg *m = s->building;

    if (m == NULL && s->type == ZMQ_ROUTER) {
        s->link = find((struct str){p, n});
        free(p);
        if (!s->proc->killed && (s->link == NULL || s->link->router != s)) {
            errno = EHOSTUNREACH;
            return -1;
        }
        s->building = xcalloc(1, sizeof(*m));
        return 0;
    }
    if (m == NULL) {
        m = s->building = xcalloc(1, sizeof(*m));
    }
    REPORT_WANT(m->n < FRAMES, "a message of too many frames");
    m->frames[m->n++] = (struct frame){.p = p, .n = n};
    if (!(flags & ZMQ_SNDMORE)) {
        s->building = NULL;
        sent(s, m);
    }
    return (int)n;
}

int
zmq_send(void *socket, const void *data, size_t n, int flags)
{
    return send_frame(socket, str_dup((struct str){data, n}), n, flags);
}

int
zmq_msg_send(zmq_msg_t *m, void *socket, int flags)
{
    struct frame f = *frame_of(m);

    *frame_of(m) = (struct frame){0};
    return send_frame(socket, f.p, f.n, flags);
}
