/* credit - who serves what, how many slots each has free, and what each holds. Pure: no sockets, no
 * clock. All of it is soft state: a new router starts empty and the workers tell it again. */
#ifndef ROUTER_CREDIT_H
#define ROUTER_CREDIT_H

#include "proto/head.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct credit; /* the table */
struct worker; /* one peer that said READY; valid until credit_remove() */

/* One unit in a worker's hands: enough to tell its owner when the worker dies. */
struct holding {
    struct id id;
    bool is_call;
    uint32_t attempt, generation;
    uint8_t route[PROTO_MAX_ROUTE];
    size_t route_n;
};

struct credit *credit_new(void);
void credit_free(struct credit **c_p);

/* The worker with this routing id, or NULL. */
struct worker *credit_find(struct credit *c, struct str route);
/* A worker says READY. `service` may be empty: one that only asks. A second READY of the same
 * routing id sets its slots anew. */
struct worker *credit_ready(struct credit *c, struct str route, struct str service, uint32_t slots,
                            uint32_t pid);
void credit_add(struct worker *w, uint32_t slots);
/* Gets nothing more (it drains), but keeps what it holds. */
void credit_close(struct worker *w);
/* Forgets it. */
void credit_remove(struct credit *c, struct worker *w);

/* The worker of `service` with most free slots, which loses one; NULL where none has a free slot.
 * Workers with equally many take turns. */
struct worker *credit_take(struct credit *c, struct str service);
/* True if any worker serves it, free or not. */
bool credit_serves(struct credit *c, struct str service);

/* The worker holds the unit now / no more (false: it did not). */
void credit_hold(struct worker *w, const struct head *h, bool is_call);
bool credit_drop(struct worker *w, struct id id);
size_t credit_held(const struct worker *w);
/* Calls fn for each unit that the worker holds. */
void credit_each_held(struct worker *w, void (*fn)(void *arg, const struct holding *h), void *arg);

struct str worker_route(const struct worker *w);
struct str worker_service(const struct worker *w);
uint32_t worker_pid(const struct worker *w);
uint32_t worker_free(const struct worker *w);
/* How often it was chosen, plus 1; a second READY doesn't change it. */
uint32_t worker_given(const struct worker *w);
/* A place for the router's own things (its watch on the process). */
void **worker_data(struct worker *w);
/* Calls fn for every worker; fn may remove the one that it is given. */
void credit_each(struct credit *c, void (*fn)(void *arg, struct worker *w), void *arg);

#endif
