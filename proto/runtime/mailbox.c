/* mailbox - units from the router to the handler, and their settling back. */
#include "proto/runtime/actor_private.h"
#include "proto/runtime/fault.h"

#include <stdlib.h>
#include <sysexits.h>

static void
append(struct mailbox *box, struct held *u)
{
    u->prev = box->last;
    u->next = NULL;
    if (box->last != NULL) {
        box->last->next = u;
    } else {
        box->first = u;
    }
    box->last = u;
    box->n++;
}

static struct held *
take_first(struct mailbox *box)
{
    struct held *u = box->first;

    box->first = u->next;
    if (box->first != NULL) {
        box->first->prev = NULL;
    } else {
        box->last = NULL;
    }
    box->n--;
    return u;
}

/* --- sending -------------------------------------------------------------------------------- */

void
mailbox_send(struct actor *self, const struct head *h, struct str body)
{
    struct buf *b = &self->scratch;

    if (FAULT_AT("before_send", head_type_str(h->type))) {
        return; /* lost on the way: what a cut connection does */
    }
    buf_clear(b);
    head_encode(h, b);
    /* HWM is 0 (credit bounds what is on its way), so this never waits. */
    if (zmq_send(self->socket, b->p, b->n, ZMQ_SNDMORE | ZMQ_DONTWAIT) < 0 ||
        zmq_send(self->socket, body.p ? body.p : "", body.n, ZMQ_DONTWAIT) < 0) {
        log_fatal(EX_TEMPFAIL, "send_failed", "type=%s error=%s", head_type_str(h->type),
                  log_quote(zmq_strerror(errno)));
    }
    (void)FAULT_AT("after_send", head_type_str(h->type));
}

void
error_pack(int err, const char *why, struct buf *out)
{
    msgpack_packer pk;

    msgpack_packer_init(&pk, out, buf_msgpack_write);
    msgpack_pack_map(&pk, 2);
    pack_key(&pk, "code");
    pack_c(&pk, err_str(err));
    pack_key(&pk, "why");
    pack_c(&pk, why ? why : "");
}

int
error_unpack(struct str body, msgpack_unpacked *u, struct str *ret_why)
{
    struct str code;

    *ret_why = (struct str){0};
    if (body_decode(body.p, body.n, u) != 0) {
        return ERR_INTERNAL;
    }
    code = map_str(&u->data, "code");
    *ret_why = map_str(&u->data, "why");
    return code.n > 0 ? err_parse(code.p, code.n) : ERR_INTERNAL;
}

/* --- receiving ------------------------------------------------------------------------------ */

static struct held *
held_new(const struct head *h)
{
    struct held *u = xcalloc(1, sizeof(*u));

    u->unit.head = *h;
    memcpy(u->service, h->service.p, h->service.n);
    memcpy(u->route, h->route.p, h->route.n);
    u->unit.head.service.p = u->service;
    u->unit.head.route.p = (const char *)u->route;
    u->unit.body.type = MSGPACK_OBJECT_NIL;
    msgpack_unpacked_init(&u->question);
    return u;
}

static void
held_free(struct held *u)
{
    envelope_free(&u->unit.envelope);
    msgpack_unpacked_destroy(&u->question);
    free(u->bytes);
    free(u);
}

static void
refuse(struct actor *self, const struct head *h, int err, const char *why)
{
    struct buf body = {0};
    struct head reply = *h;

    self->refused++;
    self->freed++;
    log_warn("refused", "type=%s code=%s field=%s", head_type_str(h->type), err_str(err), why);
    error_pack(err, why, &body);
    reply.type = HEAD_FAIL;
    mailbox_send(self, &reply, buf_str(&body));
    buf_fini(&body);
}

/* A delivery that overtakes an earlier one of the same unit: the unit in our hands takes over the
 * newer attempt and generation, so that its outcome counts, and the second copy is not needed. */
static bool
overtakes(struct actor *self, const struct head *h)
{
    struct held *u;

    HASH_FIND(hh, self->by_id, h->id.b, sizeof(h->id.b), u);
    if (u == NULL) {
        return false;
    }
    u->unit.head.attempt = h->attempt;
    u->unit.head.generation = h->generation;
    u->unit.head.route.n = h->route.n;
    memcpy(u->route, h->route.p, h->route.n);
    self->freed++;
    return true;
}

static void
receive_work(struct actor *self, const struct head *h, struct str body)
{
    struct envelope *e = NULL;
    const char *why = "";
    struct held *u;
    int err;

    if (overtakes(self, h)) {
        return;
    }
    err = envelope_decode(body.p, body.n, &e, &why);
    if (err == 0 && !id_eq(e->id, h->id)) {
        envelope_free(&e);
        err = ERR_MALFORMED;
        why = "id";
    }
    if (err != 0) {
        refuse(self, h, err, why);
        return;
    }
    u = held_new(h);
    u->unit.envelope = e;
    HASH_ADD(hh, self->by_id, unit.head.id.b, sizeof(u->unit.head.id.b), u);
    append(&self->work, u);
    self->held++;
}

static void
receive_call(struct actor *self, const struct head *h, struct str body)
{
    struct held *u = held_new(h);
    int err = 0;

    /* The message is gone when the handler runs, and msgpack points into the bytes that it reads.
     */
    u->bytes = str_dup(body);
    err = body_decode(u->bytes, body.n, &u->question);

    if (err == 0 && u->question.data.type != MSGPACK_OBJECT_MAP) {
        err = ERR_MALFORMED;
    }
    if (err != 0) {
        refuse(self, h, err, "body");
        held_free(u);
        return;
    }
    u->unit.body = u->question.data;
    append(&self->call, u);
    self->held++;
}

void
mailbox_receive(struct actor *self, const struct head *h, struct str body)
{
    self->greeting++;
    if (h->type == HEAD_WORK && self->spec->work != NULL) {
        receive_work(self, h, body);
    } else if (h->type == HEAD_CALL && self->spec->call != NULL) {
        receive_call(self, h, body);
    } else {
        refuse(self, h, ERR_INVALID, "type");
    }
}

/* --- handing out ---------------------------------------------------------------------------- */

static size_t
take_batch(struct actor *self, struct mailbox *box, struct unit **ret)
{
    size_t n = 0;

    while (box->first != NULL && n < ACTOR_BATCH_MAX) {
        struct held *u = take_first(box);
        (void)FAULT_AT("before_work", log_id(u->unit.head.id));
        u->in_hand = true;
        self->in_hand++;
        ret[n++] = &u->unit;
    }
    return n;
}

static void
hand_out(struct actor *self, struct mailbox *box,
         void (*fn)(struct actor *, struct unit **, size_t))
{
    struct unit *units[ACTOR_BATCH_MAX];

    while (box->first != NULL && (self->spec->overlapped || self->in_hand == 0)) {
        size_t n = take_batch(self, box, units);
        fn(self, units, n);
    }
}

void
mailbox_turn(struct actor *self)
{
    hand_out(self, &self->call, self->spec->call);
    hand_out(self, &self->work, self->spec->work);
    if (self->freed > 0 && self->announced) {
        mailbox_send(self,
                     &(struct head){.type = HEAD_CREDIT,
                                    .service = str_of(self->spec->service),
                                    .count = self->freed},
                     STR(""));
        self->freed = 0;
    }
}

void
mailbox_fini(struct actor *self)
{
    while (self->work.first != NULL) {
        struct held *u = take_first(&self->work);
        HASH_DEL(self->by_id, u);
        held_free(u);
    }
    while (self->call.first != NULL) {
        held_free(take_first(&self->call));
    }
    /* Units in hand belong to a handler that is gone: the edge delivers them again. */
    while (self->by_id != NULL) {
        struct held *u = self->by_id;
        HASH_DEL(self->by_id, u);
        held_free(u);
    }
}

/* --- settling ------------------------------------------------------------------------------- */

static void
settle(struct actor *self, struct unit *unit, uint32_t type, struct str service, struct str body)
{
    struct held *u = (struct held *)unit;
    struct head h = unit->head;

    h.type = type;
    h.service = service;
    if (!FAULT_AT("before_settle", log_id(unit->head.id))) {
        mailbox_send(self, &h, body);
    }
    if (unit->envelope != NULL) {
        HASH_DEL(self->by_id, u);
    }
    self->in_hand--;
    self->held--;
    self->freed++;
    self->settled += self->spec->outcome == NULL;
    held_free(u);
}

static struct str
own_service(const struct actor *self)
{
    return str_of(self->spec->service);
}

void
unit_done(struct actor *self, struct unit *u)
{
    settle(self, u, HEAD_DONE, own_service(self), STR(""));
}

void
unit_pass(struct actor *self, struct unit *u, const char *service, const char *section,
          struct str packed)
{
    struct buf body = {0};

    envelope_encode(u->envelope, section, packed, &body);
    if (body.n > PROTO_MAX_BODY) {
        buf_fini(&body);
        unit_reject(self, u, ERR_TOO_BIG, section);
        return;
    }
    settle(self, u, HEAD_WORK, str_of(service), buf_str(&body));
    buf_fini(&body);
}

static void
settle_error(struct actor *self, struct unit *u, uint32_t type, int err, const char *why)
{
    struct buf body = {0};

    error_pack(err, why, &body);
    settle(self, u, type, own_service(self), buf_str(&body));
    buf_fini(&body);
}

void
unit_retry(struct actor *self, struct unit *u, int err, const char *why)
{
    bool is_call = u->envelope == NULL;

    if (!err_is_patient(err)) {
        log_warn("retry", "unit=%s attempt=%u code=%s why=%s", log_id(u->head.id), u->head.attempt,
                 err_str(err), log_quote(why));
    }
    settle_error(self, u, is_call ? HEAD_FAIL : HEAD_RETRY, err, why);
}

void
unit_reject(struct actor *self, struct unit *u, int err, const char *why)
{
    log_error("rejected", "unit=%s code=%s why=%s", log_id(u->head.id), err_str(err),
              log_quote(why));
    settle_error(self, u, HEAD_FAIL, err, why);
}

void
unit_return(struct actor *self, struct unit *u, struct str packed)
{
    settle(self, u, HEAD_RETURN, own_service(self), packed);
}

void
actor_dispatch(struct actor *self, const char *service, const struct head *h, struct str envelope)
{
    struct head out = *h;

    out.type = HEAD_WORK;
    out.service = str_of(service);
    out.route = (struct str){.p = (const char *)self->route, .n = sizeof(self->route)};
    mailbox_send(self, &out, envelope);
}
