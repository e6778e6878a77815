/* patience - how long a connection may keep a worker thread without saying anything whole.
 *
 * CivetWeb's own timeout starts again with each byte of a body, and a keep-alive connection holds
 * its thread while it is idle. So every connection is entered here with what it is waiting for, and
 * patience_sweep() ends the reading side of those that take too long: their thread sees the end of
 * the stream, can still answer, and is free. While few threads are left, patience is short, and
 * then connections that have not sent a whole head are looked at too (else CivetWeb's timeout
 * does).
 *
 * CivetWeb tells neither a connection's descriptor nor, before the first head, its address. So a
 * descriptor is found by its peer's address, and one that belongs to no known connection is a
 * stranger: in its first head, or waiting for a thread. Strangers with bytes that nobody has read
 * yet are waiting for us, not we for them, and are left alone. Any thread.
 */
#ifndef ACTORS_INGRESS_PATIENCE_H
#define ACTORS_INGRESS_PATIENCE_H

#include <stdbool.h>
#include <stdint.h>

enum patience_phase {
    PATIENCE_HEAD, /* the first request's head is awaited */
    PATIENCE_IDLE, /* another request may follow on the connection */
    PATIENCE_BODY, /* a body is being read, or what the client still sends is thrown away */
    PATIENCE_WORK, /* we are at work: the client waits for us */
};

struct patience;
struct patience_entry;

/* `threads` connections can be open at a time; `port` is the server's own. */
struct patience *patience_new(unsigned threads, int port);
void patience_free(struct patience **p_p); /* accepts NULL */

/* A thread has taken a connection. */
struct patience_entry *patience_enter(struct patience *p, int64_t now_ms);
/* Its peer: an IPv4 address as text, and a port. Accepts NULL. */
void patience_name(struct patience *p, struct patience_entry *e, const char *address, int port);
void patience_phase(struct patience *p, struct patience_entry *e, enum patience_phase phase,
                    int64_t now_ms);
/* Forgets it; to be called before the descriptor is closed. Accepts NULL. */
void patience_leave(struct patience *p, struct patience_entry *e);
/* How long it has been in its phase. */
int64_t patience_age(struct patience *p, const struct patience_entry *e, int64_t now_ms);
/* True if the sweep has ended it. */
bool patience_ended(struct patience *p, const struct patience_entry *e);

/* Ends those that are too slow; how many. */
unsigned patience_sweep(struct patience *p, int64_t now_ms);
/* The connection's own thread, after its last answer: reads and forgets what still comes, for at
 * most `ms`. Where mg_read() can't be called (it must not be where there is no whole head), and
 * closing with unread bytes would take the answer with it. */
void patience_linger(struct patience *p, const struct patience_entry *e, int ms);
/* Ends the reading side of every connection and the listening: the server is about to stop, and its
 * threads would else look at the clock every two seconds only. */
void patience_end_all(struct patience *p);
/* Connections that are open; true in *ret_tight while threads are scarce: don't keep them alive. */
unsigned patience_open(struct patience *p, bool *ret_tight);

/* Milliseconds that a phase may take. Pure. */
int64_t patience_limit(enum patience_phase phase, bool tight);

#endif
