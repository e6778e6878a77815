/* desk - where the worker threads of the HTTP server hand errands to the loop, and wait.
 *
 * The loop's thread owns the router's socket and the database's connection; worker threads only
 * read, check and write HTTP. An errand begins on the loop's thread and is done there, at once or
 * from a later callback; the worker waits for it with a deadline. A worker that gives up leaves the
 * errand to the loop: it has two owners, and the last one destroys it.
 */
#ifndef ACTORS_INGRESS_DESK_H
#define ACTORS_INGRESS_DESK_H

#include "proto/runtime/actor.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct desk;
struct errand;

/* To be the first member of a larger struct that holds question and answer. `begin` and what it
 * leads to write the answer, on the loop's thread, until errand_done(); the worker reads it after
 * desk_ask() has returned 0, and not otherwise. */
struct errand {
    void (*begin)(struct errand *e, void *context); /* loop thread; leads to one errand_done() */
    void (*destroy)(struct errand *e);              /* any thread */
    /* private */
    struct desk *desk;
    struct errand *next;             /* in the queue */
    struct errand *other, **other_p; /* among those that a worker waits for */
    pthread_cond_t done_cond;
    bool done;
    int err;
    int owners;
};

/* `waiting` (may be NULL) is told by a worker that it begins to wait, and that it has waited.
 * Takes errands in `loop`; `context` is handed to each begin(), and to `flush` (may be NULL) when
 * all that lay there has begun: the place to send together what they ask of the same service. */
struct desk *desk_open(struct loop *loop, void (*flush)(void *context),
                       void (*waiting)(bool begins), void *context);
/* From now on nothing is taken in (ERR_UNAVAILABLE); what has begun goes on. */
void desk_drain(struct desk *d);
/* True if no errand is open. */
bool desk_idle(struct desk *d);
/* From now on every errand, those that wait included, is answered ERR_UNAVAILABLE. */
void desk_close(struct desk *d);
/* After desk_close(), when no worker is left. Accepts NULL. */
void desk_free(struct desk **d_p);

/* Worker: hands `e` (from malloc) over and waits. 0 or what errand_done() was given; ERR_TIMEOUT;
 * ERR_UNAVAILABLE. Either way errand_release() it afterwards. */
int desk_ask(struct desk *d, struct errand *e, int64_t timeout_ms);
void errand_release(struct errand *e);

/* Loop: the answer is complete. The errand may be gone when this returns. */
void errand_done(struct errand *e, int err);

#endif
