#include "test/sim/net_private.h"

#include "proto/mem.h"

#include <stdlib.h>
#include <string.h>
#include <zmq.h>

#define EVENT_BYTES 6

struct net net;

static void try_connect(void *arg);

/* --- queues --------------------------------------------------------------------------------- */

void
net_queue_add(struct queue *q, struct msg *m)
{
    m->next = NULL;
    if (q->first == NULL) {
        q->last = &q->first;
    }
    *q->last = m;
    q->last = &m->next;
    q->n++;
}

struct msg *
net_queue_take(struct queue *q)
{
    struct msg *m = q->first;

    q->first = m->next;
    q->n--;
    return m;
}

void
net_msg_free(struct msg *m)
{
    for (int i = 0; i < m->n; i++) {
        free(m->frames[i].p);
    }
    free(m);
}

void
net_queue_clear(struct queue *q)
{
    while (q->first != NULL) {
        net_msg_free(net_queue_take(q));
    }
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
    net_queue_clear(&l->out);
    net_queue_clear(&l->back);
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
    m = net_queue_take(&l->out);
    net_queue_add(&l->router->in, m);
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
        struct msg *m = net_queue_take(&l->back);
        if (l->dealer != NULL) {
            net_queue_add(&l->dealer->in, m);
            world_wake(l->proc);
        } else {
            net_msg_free(m);
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
schedule(struct link *l)
{
    world_at(arrives_in(&l->out_us), NULL, out_arrives, arrival_of(l));
}

void
net_send_out(struct link *l, struct msg *m)
{
    net_queue_add(&l->out, m);
    if (l->router != NULL) {
        schedule(l);
    }
}

void
net_send_back(struct link *l, struct msg *m)
{
    net_queue_add(&l->back, m);
    world_at(arrives_in(&l->back_us), NULL, back_arrives, arrival_of(l));
}

/* --- connections ---------------------------------------------------------------------------- */

static void
lose(struct queue *q, size_t n)
{
    while (n-- > 0) {
        net_msg_free(net_queue_take(q));
    }
}

static size_t
some_of(size_t n)
{
    return random_below(&world.random, (uint32_t)n + 1);
}

void
net_disconnect(struct link *l)
{
    size_t kept = some_of(l->back.n);

    lose(&l->out, some_of(l->out.n));
    for (; kept > 0 && l->dealer != NULL; kept--) {
        net_queue_add(&l->dealer->in, net_queue_take(&l->back));
        world_wake(l->proc);
    }
    net_queue_clear(&l->back);
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
        /* As zmq_socket_monitor(3) has it: number and value, then the endpoint. */
        uint16_t event = ZMQ_EVENT_HANDSHAKE_SUCCEEDED;
        m = xcalloc(1, sizeof(*m));
        m->n = 2;
        m->frames[0] = (struct frame){.p = xcalloc(1, EVENT_BYTES), .n = EVENT_BYTES};
        memcpy(m->frames[0].p, &event, sizeof(event));
        m->frames[1] = (struct frame){.p = str_dup(STR("")), .n = 0};
        net_queue_add(&s->pair->in, m);
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
        schedule(l);
    }
    world_at(l->out.n > 0 ? l->out_us - world.now_us : world_delay(50, 500), l->proc, say_connected,
             l->proc->context);
}

void
net_connect(struct sock *dealer)
{
    struct link *l = xcalloc(1, sizeof(*l));

    l->proc = dealer->proc;
    l->dealer = dealer;
    memcpy(l->route, dealer->route, dealer->route_n);
    l->route_n = dealer->route_n;
    l->next = net.links;
    net.links = l;
    dealer->link = l;
    world_at(world_delay(50, 2000), l->proc, try_connect, l);
}

void
net_close(struct link *l)
{
    l->dealer = NULL;
    l->ending = true;
    net_queue_clear(&l->back);
    if (l->proc->killed && l->out.n > 0) {
        /* What had not left the process. Those are the last of the queue. */
        size_t left = some_of(l->out.n);
        struct queue kept = {0};
        for (; left > 0; left--) {
            net_queue_add(&kept, net_queue_take(&l->out));
        }
        net_queue_clear(&l->out);
        l->out = kept;
    }
    if (l->router == NULL) {
        forget(l);
    } else if (l->out.n == 0) {
        world_at(world_delay(10, 3000), NULL, gone, arrival_of(l));
    }
}

void
net_cut(struct proc *p)
{
    struct sockets *s = p->context;

    if (s != NULL && s->dealer != NULL && s->dealer->link->router != NULL) {
        report_event("cut %s.%d", p->name, p->number);
        net_disconnect(s->dealer->link);
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
    net_queue_add(&s->dealer->in, m);
    world_wake(p);
}

struct link *
net_find(struct str route)
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
