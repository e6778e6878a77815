/* delivery - the life of a unit under way. Only the edge owns timers: whatever happens to a unit,
 * it ends settled, or goes again, or becomes a dead letter.
 *
 *   composing -> ready -> in flight -> (DONE) settled
 *                  ^         | RETRY, LOST, BUSY, deadline
 *                  +-- waiting              | FAIL, the fifth counted failure
 *                                         dying -> settled
 */
#include "actors/edge/backoff.h"
#include "actors/edge/edge.h"
#include "actors/edge/unit.h"

#include "db/log.h"
#include "proto/err.h"
#include "proto/runtime/fault.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#define CAP_CUT_MS 50 /* one shortage shrinks the flight once */

static void send_now(struct delivery *d);
static void deadline_over(void *arg);
static void wait_over(void *arg);
static void fail_counted(struct delivery *d, int err, struct str service, struct str why);
static void bury(struct delivery *d);

/* --- birth and end -------------------------------------------------------------------------- */

struct delivery *
delivery_new(struct edge *edge, struct conversation *c, struct record *records, struct id id)
{
    struct delivery *d = xcalloc(1, sizeof(*d));

    d->edge = edge;
    d->id = id;
    d->conversation = c;
    d->records = records;
    d->attempt = 1;
    d->state = DELIVERY_COMPOSING;
    HASH_ADD(hh, edge->deliveries, id.b, sizeof(d->id.b), d);
    edge->active++;
    return d;
}

static void
set_state(struct delivery *d, enum delivery_state state)
{
    d->edge->in_flight += state == DELIVERY_IN_FLIGHT;
    d->edge->in_flight -= d->state == DELIVERY_IN_FLIGHT;
    if (d->edge->suspect == d) {
        d->edge->suspect = NULL;
    }
    d->state = state;
    d->busy = false;
    loop_cancel(actor_loop(d->edge->actor), &d->timer);
}

static void
take_off_ready(struct delivery *d)
{
    struct delivery **p = &d->edge->ready;

    while (*p != NULL && *p != d) {
        p = &(*p)->ready_next;
    }
    if (*p == d) {
        *p = d->ready_next;
        if (*p == NULL) {
            d->edge->ready_last = p;
        }
    }
}

void
delivery_free(struct delivery *d)
{
    struct edge *edge = d->edge;

    if (!d->dropped) {
        if (d->state == DELIVERY_READY) {
            take_off_ready(d);
        }
        set_state(d, DELIVERY_DYING);
        HASH_DEL(edge->deliveries, d);
        edge->active--;
        while (d->records != NULL) {
            struct record *rec = d->records;
            d->records = rec->next;
            edge->held--;
            edge->held_bytes -= rec->body.n;
            free(rec);
        }
        buf_fini(&d->errors);
        d->dropped = true;
    }
    if (!d->asking) {
        free(d);
    }
}

static void
settled(struct delivery *d)
{
    struct edge *edge = d->edge;

    edge->count.settled++;
    conversation_settled(edge, d);
    delivery_pump(edge);
    if (edge->active < edge->cap - edge->cap / 4) {
        rlog_resume(edge->rlog);
    }
}

/* --- sending -------------------------------------------------------------------------------- */

static void
enqueue(struct delivery *d)
{
    struct edge *edge = d->edge;

    set_state(d, DELIVERY_READY);
    d->ready_next = NULL;
    if (edge->ready == NULL) {
        edge->ready_last = &edge->ready;
    }
    *edge->ready_last = d;
    edge->ready_last = &d->ready_next;
}

void
delivery_ready(struct delivery *d)
{
    enqueue(d);
    delivery_pump(d->edge);
}

/* It, or one of those that were in the same worker with it, kills workers. */
static bool
is_suspect(const struct delivery *d)
{
    return d->attempt >= EDGE_SUSPECT_FROM && d->err == ERR_LOST && SAFEGUARD("alone");
}

/* The first that may go. While a suspect is under way the others wait: what kills its worker takes
 * all that this one holds along, and so would count against those that are innocent. */
static struct delivery *
next_ready(const struct edge *edge)
{
    struct delivery *d = edge->ready;

    while (d != NULL && edge->suspect != NULL && is_suspect(d)) {
        d = d->ready_next;
    }
    return d;
}

void
delivery_pump(struct edge *edge)
{
    struct delivery *d;

    while (edge->in_flight < edge->cap && !edge->draining && actor_connected(edge->actor) &&
           (d = next_ready(edge)) != NULL) {
        if (!rlog_holds(edge->rlog, d->conversation->partition)) {
            return; /* the lease is renewed, or all of it is revoked */
        }
        take_off_ready(d);
        send_now(d);
        if (is_suspect(d)) {
            edge->suspect = d;
        }
    }
}

static void
send_now(struct delivery *d)
{
    struct edge *edge = d->edge;
    struct conversation *c = d->conversation;

    set_state(d, DELIVERY_IN_FLIGHT);
    d->generation++;
    edge->count.dispatched++;
    edge->count.redelivered += d->generation > 1;
    buf_clear(&edge->scratch);
    unit_encode(&(struct unit_head){.id = d->id,
                                    .key = c->key,
                                    .seq = ++edge->seq,
                                    .topic = TOPIC_INCOMING,
                                    .partition = c->partition,
                                    .deadline_us = clock_unix_us() + edge->deadline_ms * 1000,
                                    .errors = &d->errors,
                                    .error_n = d->error_n},
                d->records, &edge->scratch);
    actor_dispatch(edge->actor, EDGE_FIRST_SERVICE,
                   &(struct head){.id = d->id, .attempt = d->attempt, .generation = d->generation},
                   buf_str(&edge->scratch));
    d->timer = loop_timer(actor_loop(edge->actor), edge->deadline_ms, 0, deadline_over, d);
}

static void
deadline_over(void *arg)
{
    struct delivery *d = arg;

    d->timer = NULL;
    if (!SAFEGUARD("deadline")) {
        return;
    }
    fail_counted(d, ERR_TIMEOUT, STR("edge"), STR("no outcome in time"));
}

static void
wait_for(struct delivery *d, int64_t ms)
{
    if (ms == 0) {
        delivery_ready(d);
        return;
    }
    set_state(d, DELIVERY_WAITING);
    d->timer = loop_timer(actor_loop(d->edge->actor), ms, 0, wait_over, d);
    delivery_pump(d->edge); /* another suspect may go now */
}

static void
wait_over(void *arg)
{
    struct delivery *d = arg;

    d->timer = NULL;
    delivery_ready(d);
}

void
delivery_again(struct edge *edge)
{
    struct delivery *d, *next;

    if (!SAFEGUARD("generation")) {
        return;
    }
    /* None goes before all wait: what waited already would be sent to the new router and then be
     * taken for in flight under the old one, and a suspect's turn would go to the next. */
    HASH_ITER(hh, edge->deliveries, d, next)
    {
        if (d->state == DELIVERY_IN_FLIGHT || (d->state == DELIVERY_WAITING && d->busy)) {
            enqueue(d);
        }
    }
    delivery_pump(edge);
}

void
delivery_service_up(struct edge *edge)
{
    struct delivery *d, *next;

    HASH_ITER(hh, edge->deliveries, d, next)
    {
        if (d->state == DELIVERY_WAITING && d->busy) {
            delivery_ready(d);
        }
    }
}

/* --- outcomes ------------------------------------------------------------------------------- */

static void
grow(struct edge *edge)
{
    if (++edge->cap_credit >= edge->cap / 8) {
        edge->cap_credit = 0;
        edge->cap += edge->cap < EDGE_IN_FLIGHT_MAX;
    }
}

/* Somebody had no credit: fewer at a time. */
static void
shrink(struct edge *edge)
{
    int64_t now = clock_ms();

    if (now - edge->cap_cut_ms < CAP_CUT_MS) {
        return;
    }
    edge->cap_cut_ms = now;
    edge->cap_credit = 0;
    edge->cap = edge->in_flight < edge->cap ? edge->in_flight : edge->cap;
    edge->cap -= edge->cap / 4;
    if (edge->cap < EDGE_IN_FLIGHT_MIN) {
        edge->cap = EDGE_IN_FLIGHT_MIN;
    }
}

static void
note_failure(struct delivery *d, int err, struct str service, struct str why)
{
    size_t n = service.n < PROTO_MAX_SERVICE ? service.n : PROTO_MAX_SERVICE;
    char line[220];
    msgpack_packer pk;
    int len;

    d->err = err;
    memcpy(d->service, service.p ? service.p : "", n);
    d->service[n] = '\0';
    snprintf(d->why, sizeof(d->why), "%.*s", STR_ARG(why));
    while (!str_is_text(str_of(d->why))) { /* cut within a character */
        d->why[strlen(d->why) - 1] = '\0';
    }
    len = snprintf(line, sizeof(line), "%s: %s: %s", d->service, err_str(err), d->why);
    msgpack_packer_init(&pk, &d->errors, buf_msgpack_write);
    pack_str(&pk, (struct str){line, (size_t)len});
    d->error_n++;
}

static void
fail_patient(struct delivery *d, int err)
{
    bool busy = err == ERR_BUSY;

    if (busy) {
        shrink(d->edge);
    }
    wait_for(d, backoff_patient_ms(++d->patience));
    d->busy = busy;
}

static void
fail_counted(struct delivery *d, int err, struct str service, struct str why)
{
    note_failure(d, err, service, why);
    d->patience = 0;
    log_warn("failed", "unit=%s attempt=%u service=%s code=%s", log_id(d->id), d->attempt,
             d->service, err_str(err));
    if (d->attempt >= EDGE_ATTEMPTS) {
        bury(d);
        return;
    }
    wait_for(d, backoff_counted_ms(d->attempt++));
}

void
delivery_outcome(struct edge *edge, const struct head *h, int err, struct str why)
{
    struct delivery *d;

    HASH_FIND(hh, edge->deliveries, h->id.b, sizeof(h->id.b), d);
    if (d == NULL || d->state == DELIVERY_DYING || d->state == DELIVERY_COMPOSING) {
        edge->count.ignored++;
        return;
    }
    if (h->type == HEAD_DONE) { /* of any delivery: it is durable */
        grow(edge);
        settled(d);
        return;
    }
    if (d->state != DELIVERY_IN_FLIGHT || h->generation != d->generation ||
        (h->type == HEAD_LOST && !SAFEGUARD("lost"))) {
        edge->count.ignored++;
        return;
    }
    if (h->type == HEAD_FAIL) {
        note_failure(d, err, h->service, why);
        bury(d);
    } else if (err_is_patient(err)) {
        fail_patient(d, err);
    } else {
        fail_counted(d, err, h->service, why);
    }
}

void
delivery_refuse(struct delivery *d, int err, const char *why)
{
    note_failure(d, err, STR("edge"), str_of(why));
    bury(d);
}

/* --- asking the log ------------------------------------------------------------------------- */

static void
composed(void *arg, int err)
{
    struct delivery *d = arg;

    d->asking = false;
    if (d->dropped) {
        delivery_free(d);
    } else if (err == 0) {
        delivery_ready(d);
    } else if (err == ERR_LOST) {
        return; /* it will be revoked */
    } else {
        delivery_compose(d);
    }
}

void
delivery_compose(struct delivery *d)
{
    int64_t offsets[ENVELOPE_MAX_MESSAGES];
    size_t n = 0;

    for (const struct record *r = d->records; r != NULL; r = r->next) {
        assert(n < ENVELOPE_MAX_MESSAGES);
        offsets[n++] = r->offset;
    }
    d->asking = true;
    rlog_compose(d->edge->rlog, d->conversation->partition, d->id, offsets, n, composed, d);
}

static void
bury_again(void *arg)
{
    struct delivery *d = arg;

    d->timer = NULL;
    bury(d);
}

static void
buried(void *arg, int err)
{
    struct delivery *d = arg;
    struct edge *edge = d->edge;

    d->asking = false;
    if (d->dropped) {
        delivery_free(d);
        return;
    }
    switch (err) {
    case 0:
        edge->count.dead++;
        log_error("dead_letter", "unit=%s attempts=%u service=%s code=%s why=%s", log_id(d->id),
                  d->attempt, d->service, err_str(d->err), log_quote(d->why));
        settled(d);
        break;
    case ERR_CONFLICT: /* a late success */
        settled(d);
        break;
    case ERR_LOST:
        break; /* it will be revoked */
    default:
        d->timer = loop_timer(actor_loop(edge->actor), 1000, 0, bury_again, d);
    }
}

static void
bury(struct delivery *d)
{
    struct conversation *c = d->conversation;
    struct id ids[2 * ENVELOPE_MAX_MESSAGES];
    struct str bodies[ENVELOPE_MAX_MESSAGES];
    const struct record *newest = d->records;
    size_t id_n = 0, n = 0;

    for (const struct record *r = d->records; r != NULL && n < ENVELOPE_MAX_MESSAGES; r = r->next) {
        if (id_n < ENVELOPE_MAX_MESSAGES) {
            id_n += unit_message_ids(r->body, ids + id_n);
        }
        bodies[n++] = r->body;
        newest = r;
    }
    set_state(d, DELIVERY_DYING);
    d->asking = true;
    rlog_bury(d->edge->rlog,
              &(struct rlog_dead){.partition = c->partition,
                                  .offset = newest->offset,
                                  .unit = d->id,
                                  .key = c->key,
                                  .link = unit_link(d->records->body),
                                  .message_ids = ids,
                                  .message_n = id_n,
                                  .bodies = bodies,
                                  .body_n = n,
                                  .trace = d->records->trace,
                                  .received_us = d->records->received_us,
                                  .err = d->err,
                                  .service = str_of(d->service),
                                  .why = d->why,
                                  .attempts = d->attempt},
              buried, d);
}
