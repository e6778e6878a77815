/* net_private - the inside of the network: net.c (channels and connections), net_zmq.c (the
 * functions of ZeroMQ on them). */
#ifndef SIM_NET_PRIVATE_H
#define SIM_NET_PRIVATE_H

#include "test/sim/net.h"

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

struct net {
    const struct net_eyes *eyes;
    struct link *links;
    struct sock *router;
};
extern struct net net;

/* The frame, borrowed; empty where there is none. */
static inline struct str
net_frame(const struct msg *m, int i)
{
    return i < m->n ? (struct str){m->frames[i].p, m->frames[i].n} : (struct str){0};
}

void net_queue_add(struct queue *q, struct msg *m);
struct msg *net_queue_take(struct queue *q);
void net_queue_clear(struct queue *q);
void net_msg_free(struct msg *m);

/* The connection with this routing id, or NULL. */
struct link *net_find(struct str route);
/* A DEALER connects; again and again until there is a router. */
void net_connect(struct sock *dealer);
/* Its process has closed it, or is dead: what it has sent still arrives, or a part of it. */
void net_close(struct link *l);
/* The connection is gone, with what it loses. */
void net_disconnect(struct link *l);
/* A whole message, on its way to the router, or from it. */
void net_send_out(struct link *l, struct msg *m);
void net_send_back(struct link *l, struct msg *m);

#endif
