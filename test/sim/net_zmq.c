/* ZeroMQ's functions, as far as our programs use them. Each has the name of the real one, which is
 * therefore not linked. */
#include "test/sim/net_private.h"

#include "proto/mem.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

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

    (void)address;
    if (s->type == ZMQ_DEALER) {
        net_connect(s);
    }
    return 0;
}

int
zmq_close(void *socket)
{
    struct sock *s = socket;
    struct sockets *all = s->proc->context;

    if (s->type == ZMQ_PAIR) {
        all->pair = NULL;
    } else if (s->type == ZMQ_DEALER) {
        all->dealer = NULL;
        if (s->link != NULL) {
            net_close(s->link);
        }
    } else {
        net.router = NULL;
        for (struct link *l = net.links, *next; l != NULL; l = next) {
            next = l->next;
            if (l->router == s) {
                net_disconnect(l);
            }
        }
    }
    net_queue_clear(&s->in);
    if (s->building != NULL) {
        net_msg_free(s->building);
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
    if (net.eyes == NULL || s->proc->killed || m->n < 2 || s->type == ZMQ_PAIR) {
        return;
    }
    if (s->type == ZMQ_ROUTER) {
        net.eyes->router_got(m->frames[0].from, net_frame(m, 1));
    } else {
        net.eyes->actor_got(s->proc, net_frame(m, 0), net_frame(m, 1));
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
        net_msg_free(net_queue_take(&s->in));
    }
    return (int)f->n;
}

/* Whole: on its way. */
static void
sent(struct sock *s, struct msg *m)
{
    struct link *l = s->link;

    if (s->proc->killed || l == NULL) {
        net_msg_free(m);
        return;
    }
    if (s->type == ZMQ_ROUTER) {
        net.eyes->router_sent(l->proc, net_frame(m, 0));
        net_send_back(l, m);
        return;
    }
    /* A ROUTER puts the sender's route before it. */
    REPORT_WANT(m->n < FRAMES, "a message of %d frames", m->n);
    net.eyes->actor_sent(s->proc, net_frame(m, 0), net_frame(m, 1));
    memmove(m->frames + 1, m->frames, (size_t)m->n * sizeof(*m->frames));
    m->frames[0] =
        (struct frame){.p = str_dup((struct str){l->route, l->route_n}), .n = l->route_n};
    m->n++;
    for (int i = 0; i < m->n; i++) {
        m->frames[i].from = s->proc;
    }
    net_send_out(l, m);
}

/* Takes `p`. */
static int
send_frame(struct sock *s, char *p, size_t n, int flags)
{
    struct msg *m = s->building;

    if (m == NULL && s->type == ZMQ_ROUTER) {
        s->link = net_find((struct str){p, n});
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
