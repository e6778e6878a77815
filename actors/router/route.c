/* route - what becomes of a message, by its head alone. */
#include "actors/router/router.h"
#include "proto/runtime/fault.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sysexits.h>
#include <unistd.h>

#define LAST_WORDS_MS 100 /* how long a dead worker is listened to at most */
#define LISTEN_MS 2

static const char *const counter_names[COUNT_SIZE] = {
    [COUNT_ROUTED] = "routed",   [COUNT_SETTLED] = "settled",
    [COUNT_BUSY] = "busy",       [COUNT_LOST] = "lost",
    [COUNT_DEATHS] = "deaths",   [COUNT_MALFORMED] = "malformed",
    [COUNT_VERSION] = "version", [COUNT_TYPE] = "unknown_type",
    [COUNT_TOO_BIG] = "too_big", [COUNT_UNREACHABLE] = "unreachable",
    [COUNT_REFUSED] = "refused",
};

static struct str
from_of(struct message *m)
{
    return (struct str){.p = zmq_msg_data(&m->from), .n = zmq_msg_size(&m->from)};
}

/* --- sending -------------------------------------------------------------------------------- */

/* False if nobody with this routing id is connected. */
static bool
send_route(struct router *self, struct str route)
{
    if (zmq_send(self->socket, route.p, route.n, ZMQ_SNDMORE | ZMQ_DONTWAIT) >= 0) {
        return true;
    }
    if (errno != EHOSTUNREACH && errno != EAGAIN) {
        log_fatal(EX_TEMPFAIL, "send_failed", "error=%s", log_quote(zmq_strerror(errno)));
    }
    self->counters[COUNT_UNREACHABLE]++;
    return false;
}

static void
send_head(struct router *self, const struct head *h)
{
    buf_clear(&self->scratch);
    head_encode(h, &self->scratch);
    zmq_send(self->socket, self->scratch.p, self->scratch.n, ZMQ_SNDMORE | ZMQ_DONTWAIT);
}

/* A message of our own. */
static void
say(struct router *self, struct str route, const struct head *h, struct str body)
{
    if (route.n == 0 || FAULT_AT("before_send", head_type_str(h->type)) ||
        !send_route(self, route)) {
        return;
    }
    send_head(self, h);
    zmq_send(self->socket, body.p ? body.p : "", body.n, ZMQ_DONTWAIT);
    (void)FAULT_AT("after_send", head_type_str(h->type));
}

/* Hands the frames on as they came. */
static bool
forward(struct router *self, struct str route, const struct head *h, struct message *m)
{
    (void)h; /* without fault points */
    if (FAULT_AT("before_send", head_type_str(h->type)) || !send_route(self, route)) {
        return false;
    }
    zmq_msg_send(&m->head, self->socket, ZMQ_SNDMORE | ZMQ_DONTWAIT);
    zmq_msg_send(&m->body, self->socket, ZMQ_DONTWAIT);
    self->counters[COUNT_ROUTED]++;
    (void)FAULT_AT("after_send", head_type_str(h->type));
    return true;
}

/* Hands a CALL on with the caller's routing id filled in. */
static bool
forward_call(struct router *self, struct str route, const struct head *h, struct message *m)
{
    if (FAULT_AT("before_send", head_type_str(h->type)) || !send_route(self, route)) {
        return false;
    }
    send_head(self, h);
    zmq_msg_send(&m->body, self->socket, ZMQ_DONTWAIT);
    self->counters[COUNT_ROUTED]++;
    (void)FAULT_AT("after_send", head_type_str(h->type));
    return true;
}

static void
answer_fail(struct router *self, struct str route, const struct head *h, int err, const char *why)
{
    struct buf body = {0};
    msgpack_packer pk;
    struct head reply = *h;

    msgpack_packer_init(&pk, &body, buf_msgpack_write);
    msgpack_pack_map(&pk, 2);
    pack_key(&pk, "code");
    pack_c(&pk, err_str(err));
    pack_key(&pk, "why");
    pack_c(&pk, why);
    reply.type = HEAD_FAIL;
    say(self, route, &reply, buf_str(&body));
    buf_fini(&body);
}

/* --- workers -------------------------------------------------------------------------------- */

/* What became of what a worker held. */
struct lost {
    struct router *router;
    struct str service;
    enum head_type type; /* HEAD_LOST; or HEAD_BUSY: it was never looked at */
};

static void
tell_holder(void *arg, const struct holding *held)
{
    struct lost *l = arg;
    struct str route = {.p = (const char *)held->route, .n = held->route_n};

    l->router->counters[l->type == HEAD_LOST ? COUNT_LOST : COUNT_BUSY]++;
    say(l->router, route,
        &(struct head){.type = l->type,
                       .service = l->service,
                       .id = held->id,
                       .attempt = held->attempt,
                       .generation = held->generation,
                       .route = route},
        STR(""));
}

void
router_forget(void *arg, struct worker *w)
{
    struct router *self = arg;
    struct watch *watch = *worker_data(w);

    loop_unwatch(self->loop, &watch->death);
    loop_cancel(self->loop, &watch->last_words);
    if (watch->pidfd >= 0) {
        close(watch->pidfd);
    }
    free(watch);
    *worker_data(w) = NULL;
}

void
router_lost(struct router *self, struct worker *w)
{
    char service[PROTO_MAX_SERVICE + 1];
    struct str name = worker_service(w);
    struct lost l = {.router = self, .type = HEAD_LOST};

    /* `w` goes before its holders are told: nothing may be given to it any more. */
    memcpy(service, name.p, name.n);
    l.service = (struct str){.p = service, .n = name.n};
    self->counters[COUNT_DEATHS]++;
    log_warn("worker_lost", "service=%.*s pid=%u held=%zu", STR_ARG(name), worker_pid(w),
             credit_held(w));
    router_forget(self, w);
    credit_close(w);
    credit_each_held(w, tell_holder, &l);
    credit_remove(self->credit, w);
}

/* Its connection is gone: ZeroMQ has fetched all that it said, and we read that before the next
 * look. Neither a message nor an unreachable one: not by say(), which has the fault points and
 * counts. */
static bool
is_disconnected(struct router *self, const struct worker *w)
{
    struct str route = worker_route(w);

    if (zmq_send(self->socket, route.p, route.n, ZMQ_SNDMORE | ZMQ_DONTWAIT) < 0) {
        return errno == EHOSTUNREACH;
    }
    send_head(self, &(struct head){.type = HEAD_HB});
    zmq_send(self->socket, "", 0, ZMQ_DONTWAIT);
    return false;
}

static void
listen_on(void *arg)
{
    struct watch *watch = arg;

    if (watch->disconnected || clock_ms() >= watch->dying_ms + LAST_WORDS_MS) {
        router_lost(watch->router, watch->worker);
        return;
    }
    watch->disconnected = is_disconnected(watch->router, watch->worker);
}

/* Its process is dead or its connection gone, but its last words, a DONE or the BYE, may still be
 * on their way: the news of a death overtakes them. It is given nothing more meanwhile. */
static void
dying(struct router *self, struct worker *w)
{
    struct watch *watch = *worker_data(w);

    credit_close(w);
    if (watch->last_words == NULL) {
        watch->dying_ms = clock_ms();
        watch->last_words = loop_timer(self->loop, 1, LISTEN_MS, listen_on, watch);
    }
}

static void
on_death(void *arg, int events)
{
    struct watch *watch = arg;

    (void)events;
    loop_unwatch(watch->router->loop, &watch->death);
    dying(watch->router, watch->worker);
}

/* The worker's process as we see it; 0 where we can't, or where it says none. Over ipc the kernel
 * knows who connected (the metadata "Peer-Address" ends in uid:gid:pid, pid 0 for a process outside
 * of our PID namespace): a number that a worker says of itself may be a stranger's here. Over tcp,
 * where the door has named the peer ("User-Id"), it always would be. */
static uint32_t
process_of(struct message *m, uint32_t said)
{
    const char *peer = zmq_msg_gets(&m->head, "Peer-Address");
    const char *pid = peer != NULL ? strrchr(peer, ':') : NULL;

    if (said == 0 || peer == NULL || peer[0] == '\0') {
        return said;
    }
    return pid != NULL && zmq_msg_gets(&m->head, "User-Id") == NULL
               ? (uint32_t)strtoul(pid + 1, NULL, 10)
               : 0;
}

/* The name that the list gives to a peer of another machine. */
static const char *
host_of(struct message *m)
{
    const char *name = zmq_msg_gets(&m->head, "User-Id");

    return name != NULL && name[0] != '\0' ? log_quote(name) : "-";
}

static void
watch_worker(struct router *self, struct worker *w)
{
    struct watch *watch = xcalloc(1, sizeof(*watch));
    uint32_t pid = worker_pid(w);

    watch->router = self;
    watch->worker = w;
    watch->heard_ms = clock_ms();
    watch->pidfd = pid > 0 ? (int)syscall(SYS_pidfd_open, (pid_t)pid, 0) : -1;
    if (watch->pidfd >= 0) {
        watch->death = loop_watch_fd(self->loop, watch->pidfd, LOOP_IN, on_death, watch);
    }
    *worker_data(w) = watch;
}

static void
tell_service_up(void *arg, struct worker *w)
{
    struct lost *l = arg;

    if (str_is(worker_service(w), "edge")) {
        say(l->router, worker_route(w),
            &(struct head){
                .type = HEAD_READY, .service = l->service, .generation = l->router->generation},
            STR(""));
    }
}

/* The slots that it says less what was still on its way to it: it could not know of that. Two
 * greetings may be on their way to it at once. */
static uint32_t
slots_of(const struct worker *w, const struct head *h)
{
    bool repeats = w != NULL && h->attempt > 0 && h->attempt < worker_given(w);
    uint32_t unseen = repeats ? worker_given(w) - h->attempt : 0;

    return h->count > unseen ? h->count - unseen : 0;
}

static void
worker_ready(struct router *self, struct message *m, const struct head *h)
{
    struct worker *w = credit_find(self->credit, from_of(m));
    struct lost up = {.router = self, .service = h->service};
    uint32_t slots = slots_of(w, h);

    /* The answer to the greeting of the router before us. What that one gave to the worker is still
     * on its way there, and the slots for it would come on top: our own greeting follows. */
    if (h->generation != 0 && h->generation != self->generation) {
        return;
    }
    if (w != NULL) {
        router_forget(self, w);
    }
    w = credit_ready(self->credit, from_of(m), h->service, slots, process_of(m, h->pid));
    watch_worker(self, w);
    log_debug("worker_ready", "service=%.*s slots=%u pid=%u host=%s", STR_ARG(h->service), h->count,
              worker_pid(w), host_of(m));
    if (h->service.n > 0 && h->count > 0) {
        credit_each(self->credit, tell_service_up, &up);
    }
}

/* What crossed its DRAIN on the way was never looked at: that is BUSY, not LOST. */
static void
worker_bye(struct router *self, struct message *m)
{
    struct worker *w = credit_find(self->credit, from_of(m));

    if (w != NULL) {
        struct lost l = {.router = self, .service = worker_service(w), .type = HEAD_BUSY};
        credit_close(w);
        credit_each_held(w, tell_holder, &l);
        router_forget(self, w);
        credit_remove(self->credit, w);
    }
}

static void
settled(struct router *self, struct message *m, const struct head *h)
{
    struct worker *w = credit_find(self->credit, from_of(m));

    if (w != NULL) {
        credit_drop(w, h->id);
    }
}

/* --- to a service --------------------------------------------------------------------------- */

/* CALL to `router`: what it counts, and who serves what. */
static void
answer_self(struct router *self, struct str caller, const struct head *h)
{
    struct buf body = {0};
    msgpack_packer pk;
    struct head reply = *h;

    msgpack_packer_init(&pk, &body, buf_msgpack_write);
    msgpack_pack_map(&pk, COUNT_SIZE + 1);
    pack_key(&pk, "generation");
    msgpack_pack_uint32(&pk, self->generation);
    for (int i = 0; i < COUNT_SIZE; i++) {
        pack_key(&pk, counter_names[i]);
        msgpack_pack_uint64(&pk, self->counters[i]);
    }
    reply.type = HEAD_RETURN;
    say(self, caller, &reply, buf_str(&body));
    buf_fini(&body);
}

static void
to_service(struct router *self, struct message *m, const struct head *h)
{
    bool is_call = h->type == HEAD_CALL;
    char route[PROTO_MAX_ROUTE];
    struct head out = *h;
    struct worker *w;

    /* What is sent is the socket's: a head that was decoded from it points to nothing then. */
    memcpy(route, h->route.p ? h->route.p : "", h->route.n);
    out.route.p = route;

    if (is_call) {
        out.route = from_of(m);
        if (str_is(h->service, "router")) {
            answer_self(self, out.route, h);
            return;
        }
    } else {
        settled(self, m, h); /* a stage that passes a unit on has settled it */
    }
    if (zmq_msg_size(&m->body) > PROTO_MAX_MESSAGE) {
        self->counters[COUNT_TOO_BIG]++;
        answer_fail(self, out.route, h, ERR_TOO_BIG, "body");
        return;
    }
    while ((w = credit_take(self->credit, h->service)) != NULL) {
        if (is_call ? forward_call(self, worker_route(w), &out, m)
                    : forward(self, worker_route(w), &out, m)) {
            credit_hold(w, &out, is_call);
            return;
        }
        dying(self, w);
    }
    self->counters[COUNT_BUSY]++;
    out.type = HEAD_BUSY;
    say(self, out.route, &out, STR(""));
}

/* An outcome or an answer, to whom it belongs. */
static void
to_owner(struct router *self, struct message *m, const struct head *h)
{
    settled(self, m, h);
    if (forward(self, h->route, h, m) && h->type == HEAD_DONE) {
        self->counters[COUNT_SETTLED]++;
    }
}

/* --- the switch ----------------------------------------------------------------------------- */

/* "Who are you?": a worker answers with its READY, which says how much of what we gave it has. */
static void
greet(struct router *self, struct message *m)
{
    const struct worker *w = credit_find(self->credit, from_of(m));

    say(self, from_of(m),
        &(struct head){.type = HEAD_READY,
                       .attempt = w != NULL ? worker_given(w) : 1,
                       .generation = self->generation},
        STR(""));
}

static void
by_type(struct router *self, struct message *m, const struct head *h)
{
    struct worker *w = credit_find(self->credit, from_of(m));

    (void)FAULT_AT("after_receive", head_type_str(h->type));
    if (w != NULL) {
        ((struct watch *)*worker_data(w))->heard_ms = clock_ms();
    }
    switch (h->type) {
    case HEAD_READY:
        worker_ready(self, m, h);
        break;
    case HEAD_CREDIT:
        if (w != NULL) {
            credit_add(w, h->count);
        }
        break;
    case HEAD_WORK:
    case HEAD_CALL:
        to_service(self, m, h);
        break;
    case HEAD_DONE:
    case HEAD_RETRY:
    case HEAD_FAIL:
    case HEAD_RETURN:
        to_owner(self, m, h);
        break;
    case HEAD_DRAIN:
        if (w != NULL) {
            credit_close(w);
        }
        break;
    case HEAD_BYE:
        worker_bye(self, m);
        break;
    case HEAD_HB:
        if (w == NULL) { /* taken for dead, by its silence, and alive: it doesn't know */
            greet(self, m);
        }
        break;
    default: /* BUSY and LOST are ours to say; anything else is from a newer peer */
        self->counters[COUNT_TYPE]++;
        answer_fail(self, from_of(m), h, ERR_VERSION, "type");
    }
}

void
router_route(struct router *self, struct message *m)
{
    struct head h = {0};
    int err;

    if (m->frames == 2 && zmq_msg_size(&m->head) == 0) { /* a (re)connection says hello */
        greet(self, m);
        return;
    }
    err = m->frames == 3 ? head_decode(zmq_msg_data(&m->head), zmq_msg_size(&m->head), &h)
                         : ERR_MALFORMED;
    if (err == ERR_VERSION) {
        self->counters[COUNT_VERSION]++;
        answer_fail(self, from_of(m), &(struct head){0}, ERR_VERSION, "version");
    } else if (err != 0) {
        self->counters[COUNT_MALFORMED]++;
        log_warn("malformed", "frames=%d size=%zu", m->frames, zmq_msg_size(&m->head));
        answer_fail(self, from_of(m), &(struct head){0}, err, "head");
    } else {
        by_type(self, m, &h);
    }
}
