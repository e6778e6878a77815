/* actor - how a process of the pipeline lives.
 *
 * main() of an actor is a designated-initialiser `struct actor_spec` and `return actor_run (...)`.
 * The runtime owns the rest: settings, log, signals, lifeline, the connection to the router with
 * its credit, batches, calls to other actors, drain on SIGTERM. Everything here is called by the
 * one thread that runs the loop.
 *
 * A *unit* is one thing to be settled: an envelope (WORK) or a question (CALL). Whatever happens,
 * each unit that a handler was given is settled exactly once, by one of the unit_*() functions, at
 * once or later from a callback. Until then the unit and all that it points at may be used.
 */
#ifndef PROTO_RUNTIME_ACTOR_H
#define PROTO_RUNTIME_ACTOR_H

#include "proto/envelope.h"
#include "proto/err.h"
#include "proto/head.h"
#include "proto/runtime/log.h"
#include "proto/runtime/loop.h"
#include "proto/runtime/option.h"

#include <stddef.h>
#include <stdint.h>

#define ACTOR_BATCH_MAX 32

struct actor; /* this process */

struct unit {
    struct head head; /* who asks, which attempt; borrowed text lives as long as the unit */
    struct envelope *envelope; /* WORK: checked and decoded; CALL: NULL */
    msgpack_object body;       /* CALL: the decoded question (a map); WORK: nil */
    void *data;                /* the actor's own; freed by the actor before it settles */
    struct unit *next;         /* the actor's own, to chain units that wait for something */
};

struct actor_spec {
    const char *name;    /* "ticketer": in logs and, with fte- before it, the binary */
    const char *service; /* what it serves; NULL where it only asks (ingress) */
    const struct option
        *options;        /* ends with OPTION_END; the runtime's own rows need not be there */
    size_t context_size; /* bytes of zeroed memory for actor_context() */
    unsigned slots;      /* units it takes at a time: its credit; 0 = 256 */

    /* Opens what is needed. 0, or an exit code (78: configuration) after logging why. */
    int (*init)(struct actor *self);
    /* 1..32 units that were queued, WORK only or CALL only. The next batch comes when all of this
     * one are settled, or at once where `overlapped` is set. A unit at its third or later attempt
     * comes alone, so that one bad message can't take others with it. */
    void (*work)(struct actor *self, struct unit **units, size_t n);
    void (*call)(struct actor *self, struct unit **units, size_t n);
    bool overlapped;
    /* SIGTERM: take in nothing new. Then the process ends as soon as it holds no unit and drained()
     * (where given) says true; it is asked at the end of each turn. */
    void (*drain)(struct actor *self);
    bool (*drained)(struct actor *self);
    /* Closes what init opened; accepts a half-made context. */
    void (*fini)(struct actor *self);

    /* --- for the edge only: it alone originates WORK --- */
    /* What became of a delivery: h->type is DONE, RETRY, FAIL, BUSY or LOST, h->service says who
     * says so (or, for BUSY and LOST, who was meant); `err` and `why` for all but DONE. */
    void (*outcome)(struct actor *self, const struct head *h, int err, struct str why);
    /* A router that is new to us: whatever was on its way in the old one is gone. */
    void (*router_changed)(struct actor *self, uint32_t generation);
    /* A service has a worker again. */
    void (*service_up)(struct actor *self, struct str service);
};

/* The life of the process, from argv to exit code. Understands --check (settings only). */
int actor_run(const struct actor_spec *spec, int argc, char **argv);

void *actor_context(struct actor *self);
struct loop *actor_loop(struct actor *self);
const char *actor_name(const struct actor *self);
/* Values of the spec's option table. */
const char *actor_text(const struct actor *self, const char *option);
long long actor_int(const struct actor *self, const char *option);
double actor_float(const struct actor *self, const char *option);
bool actor_bool(const struct actor *self, const char *option);
/* Until every hold has been given back the actor does not say READY: say hold in init, release when
 * a connection is up. Holding again later (connection lost) announces DEGRADED on the lifeline. */
void actor_hold(struct actor *self, const char *why);
void actor_release(struct actor *self);
/* Ends the process after what it holds is settled, with this exit code. */
void actor_stop(struct actor *self, int exit_code);
/* Tells long waits inside a handler to the supervisor. */
void actor_tick(struct actor *self);
/* True while the router knows us (since its last READY). */
bool actor_connected(const struct actor *self);

/* --- settling WORK ------------------------------------------------------------------------- */
/* Its effects are durable and there is nothing more to do: the edge acknowledges it. */
void unit_done(struct actor *self, struct unit *u);
/* Its effects are durable: hand it to `service` with the section added. The receiver settles it. */
void unit_pass(struct actor *self, struct unit *u, const char *service, const char *section,
               struct str packed);
/* Temporary: deliver again. `err` says why; where err_is_patient (err) it does not count as an
 * attempt. `why` is for people, in a word or two without anything personal. */
void unit_retry(struct actor *self, struct unit *u, int err, const char *why);
/* Permanent: dead letter. */
void unit_reject(struct actor *self, struct unit *u, int err, const char *why);

/* --- settling a CALL ----------------------------------------------------------------------- */
void unit_return(struct actor *self, struct unit *u, struct str packed);
/* unit_retry() and unit_reject() answer a CALL with FAIL and the code. */

/* --- asking -------------------------------------------------------------------------------- */
/* err is 0 and `body` the answer (borrowed for the callback); or an enum err and body is nil:
 * ERR_BUSY, ERR_LOST, ERR_TIMEOUT from the way there, or what the other side answered. */
typedef void call_fn(struct actor *self, void *arg, int err, const msgpack_object *body);
/* Asks `service`. fn is called exactly once, within timeout_ms, never from inside this function. */
void actor_call(struct actor *self, const char *service, struct str packed, int64_t timeout_ms,
                call_fn *fn, void *arg);

/* --- originating (the edge) ---------------------------------------------------------------- */
/* Sends an encoded envelope to `service`; h gives id, attempt and generation. Its end is told to
 * spec.outcome. */
void actor_dispatch(struct actor *self, const char *service, const struct head *h,
                    struct str envelope);

#endif
