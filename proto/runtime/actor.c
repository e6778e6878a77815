/* actor - the life of a process: settings, signals, router, lifeline, drain. */
#include "proto/runtime/actor_private.h"
#include "proto/runtime/curve.h"
#include "proto/runtime/endpoint.h"
#include "proto/runtime/fault.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sysexits.h>
#include <unistd.h>

#define RECEIVE_MAX 512 /* messages taken from the socket in one turn */

static bool
router_ok(const char *value, struct buf *ret_why)
{
    (void)ret_why;
    return endpoint_ok(value);
}

static const struct option own_options[] = {
    {.name = "FTE_LOG_LEVEL",
     .type = OPTION_CHOICE,
     .value_default = "info",
     .choices = "debug|info|warn|error",
     .help = "How much is written to the log."},
    {.name = "FTE_STATE_DIR",
     .type = OPTION_TEXT,
     .value_default = "var",
     .min = 1,
     .max = 4000,
     .allowed = "a directory that can be written to, of at most 4000 bytes",
     .help = "The directory that holds sockets, the embedded database and generated secrets."},
    {.name = "FTE_ROUTER",
     .type = OPTION_TEXT,
     .value_default = "",
     .min = 1,
     .max = 300,
     .allowed = ENDPOINT_ALLOWED,
     .valid = router_ok,
     .help = "The router's socket; by default it is in FTE_STATE_DIR. A tcp address needs keys."},
    {.name = "FTE_CURVE_SERVER_KEY",
     .type = OPTION_TEXT,
     .value_default = "",
     .min = 1,
     .max = 4000,
     .allowed = CURVE_KEY_ALLOWED,
     .valid = curve_key_ok,
     .help = "The public key of the router, where FTE_ROUTER is a tcp address."},
    {.name = "FTE_CURVE_SECRET",
     .type = OPTION_TEXT,
     .value_default = "",
     .min = 1,
     .max = 4000,
     .allowed = CURVE_KEY_ALLOWED,
     .valid = curve_key_ok,
     .secret = true,
     .help = "The secret key of this host, where FTE_ROUTER is a tcp address."},
    OPTION_END,
};

/* --- faces ---------------------------------------------------------------------------------- */

void *
actor_context(struct actor *self)
{
    return self->context;
}

struct loop *
actor_loop(struct actor *self)
{
    return self->loop;
}

const char *
actor_name(const struct actor *self)
{
    return self->spec->name;
}

const char *
actor_text(const struct actor *self, const char *option)
{
    return option_text(self->options, option);
}

long long
actor_int(const struct actor *self, const char *option)
{
    return option_int(self->options, option);
}

double
actor_float(const struct actor *self, const char *option)
{
    return option_float(self->options, option);
}

bool
actor_bool(const struct actor *self, const char *option)
{
    return option_bool(self->options, option);
}

bool
actor_connected(const struct actor *self)
{
    return self->announced;
}

/* --- being ready ---------------------------------------------------------------------------- */

static void
announce(struct actor *self)
{
    unsigned slots = self->spec->slots ? self->spec->slots : DEFAULT_SLOTS;

    if (self->holds > 0 || self->generation == 0 || self->announced || self->draining) {
        return;
    }
    /* What we still hold from an earlier router is not offered to the new one. */
    self->freed = 0;
    self->announced = true;
    mailbox_send(self,
                 &(struct head){.type = HEAD_READY,
                                .service = str_of(self->spec->service),
                                .attempt = self->greeting,
                                .generation = self->generation,
                                .count = self->spec->service && slots > self->held
                                             ? slots - (uint32_t)self->held
                                             : 0,
                                .pid = self->remote ? 0 : (uint32_t)getpid()},
                 STR(""));
    if (!self->lined) {
        self->lined = true;
        lifeline_ready(&self->lifeline);
        log_info("ready", "service=%s", self->spec->service ? self->spec->service : "-");
    }
}

void
actor_hold(struct actor *self, const char *why)
{
    if (self->holds++ == 0) {
        lifeline_degraded(&self->lifeline, why);
        if (self->lined) {
            log_warn("degraded", "why=%s", log_quote(why));
        }
    }
}

void
actor_release(struct actor *self)
{
    if (--self->holds == 0) {
        lifeline_degraded(&self->lifeline, NULL);
        if (self->lined) {
            log_info("recovered", "%s", "");
        }
        announce(self);
    }
}

/* --- messages ------------------------------------------------------------------------------- */

static void
router_said_ready(struct actor *self, const struct head *h)
{
    if (h->service.n > 0) {
        if (self->spec->service_up != NULL) {
            self->spec->service_up(self, h->service);
        }
        return;
    }
    if (self->generation != 0 && h->generation != self->generation) {
        log_info("router_changed", "generation=%u", h->generation);
    }
    bool changed = h->generation != self->generation;
    self->generation = h->generation;
    self->greeting = h->attempt;
    self->announced = false;
    announce(self);
    if (changed) {
        question_fail_all(self, ERR_BUSY);
        if (self->spec->router_changed != NULL) {
            self->spec->router_changed(self, h->generation);
        }
    }
}

static void
tell_outcome(struct actor *self, const struct head *h, struct str body)
{
    msgpack_unpacked u;
    struct str why = {0};
    int err = 0;

    msgpack_unpacked_init(&u);
    if (h->type == HEAD_BUSY) {
        err = ERR_BUSY;
    } else if (h->type == HEAD_LOST) {
        err = ERR_LOST;
    } else if (h->type != HEAD_DONE) {
        err = error_unpack(body, &u, &why);
    }
    if (self->spec->outcome != NULL) {
        self->settled += h->type == HEAD_DONE;
        self->spec->outcome(self, h, err, why);
    }
    msgpack_unpacked_destroy(&u);
}

static void
dispatch(struct actor *self, const struct head *h, struct str body)
{
    (void)FAULT_AT("after_receive", head_type_str(h->type));
    switch (h->type) {
    case HEAD_WORK:
    case HEAD_CALL:
        mailbox_receive(self, h, body);
        break;
    case HEAD_RETURN:
    case HEAD_FAIL:
    case HEAD_BUSY:
    case HEAD_LOST:
        if (!question_answer(self, h, body) && h->type != HEAD_RETURN) {
            tell_outcome(self, h, body);
        }
        break;
    case HEAD_DONE:
    case HEAD_RETRY:
        tell_outcome(self, h, body);
        break;
    case HEAD_READY:
        router_said_ready(self, h);
        break;
    case HEAD_HB:
        break;
    case HEAD_DRAIN:
        actor_stop(self, EX_OK);
        break;
    default: /* the number comes from outside: a type that we do not know is counted */
        self->refused++;
        log_warn("refused", "type=%u", h->type);
    }
}

/* Takes one message (head and body frame) from the socket. False if there is none. */
static bool
receive_one(struct actor *self)
{
    zmq_msg_t head, body;
    struct head h = {0};
    int err;

    zmq_msg_init(&head);
    if (zmq_msg_recv(&head, self->socket, ZMQ_DONTWAIT) < 0) {
        zmq_msg_close(&head);
        return false;
    }
    zmq_msg_init(&body);
    if (zmq_msg_more(&head)) {
        zmq_msg_recv(&body, self->socket, ZMQ_DONTWAIT);
    }
    for (bool more = zmq_msg_more(&body); more;) { /* no message of ours has a third frame */
        zmq_msg_t extra;
        zmq_msg_init(&extra);
        zmq_msg_recv(&extra, self->socket, ZMQ_DONTWAIT);
        more = zmq_msg_more(&extra);
        zmq_msg_close(&extra);
    }
    err = head_decode(zmq_msg_data(&head), zmq_msg_size(&head), &h);
    if (err == 0) {
        dispatch(self, &h, (struct str){.p = zmq_msg_data(&body), .n = zmq_msg_size(&body)});
    } else if (zmq_msg_size(&head) > 0) {
        self->refused++;
        log_warn("refused", "code=%s", err_str(err));
    }
    zmq_msg_close(&head);
    zmq_msg_close(&body);
    return true;
}

static void
on_router(void *arg, int events)
{
    struct actor *self = arg;

    (void)events;
    for (int i = 0; i < RECEIVE_MAX && receive_one(self); i++) {
    }
}

/* --- ending --------------------------------------------------------------------------------- */

void
actor_stop(struct actor *self, int exit_code)
{
    if (self->draining) {
        return;
    }
    self->draining = true;
    self->exit_code = exit_code;
    log_info("draining", "held=%zu", self->held);
    if (self->announced) {
        mailbox_send(self,
                     &(struct head){.type = HEAD_DRAIN, .service = str_of(self->spec->service)},
                     STR(""));
    }
    if (self->spec->drain != NULL) {
        self->spec->drain(self);
    }
}

static void
turn_end(void *arg)
{
    struct actor *self = arg;

    mailbox_turn(self);
    if (self->settled > 0 && !self->lifeline.told_settled) {
        actor_tick(self); /* the first: back at work */
    }
    if (self->draining && self->held == 0 &&
        (self->spec->drained == NULL || self->spec->drained(self))) {
        mailbox_send(self, &(struct head){.type = HEAD_BYE, .service = str_of(self->spec->service)},
                     STR(""));
        loop_stop(self->loop);
    }
}

static void
on_signal(void *arg, int events)
{
    struct actor *self = arg;
    struct signalfd_siginfo si;

    (void)events;
    while (read(self->signal_fd, &si, sizeof(si)) == (ssize_t)sizeof(si)) {
        actor_stop(self, EX_OK);
    }
}

void
actor_tick(struct actor *self)
{
    if (lifeline_tick(&self->lifeline, self->settled, self->held) < 0) {
        log_fatal(EX_TEMPFAIL, "supervisor_gone", "%s", "");
    }
}

static void
on_tick(void *arg)
{
    struct actor *self = arg;

    actor_tick(self);
    /* Where the router can't see our process (another machine, another PID namespace) it must hear
     * from us; we can't know which it is. Whom it doesn't know it tells READY, so one that was lost
     * comes again. */
    self->beat = !self->beat;
    if (self->beat && (self->announced || self->holds == 0)) {
        mailbox_send(self, &(struct head){.type = HEAD_HB}, STR(""));
    }
}

/* --- birth ---------------------------------------------------------------------------------- */

static void
merge_options(struct actor *self)
{
    size_t n = 0, own = sizeof(own_options) / sizeof(own_options[0]);

    for (const struct option *o = self->spec->options; o != NULL && o->name != NULL; o++) {
        n++;
    }
    self->options = xcalloc(n + own, sizeof(*self->options));
    if (n > 0) {
        memcpy(self->options, self->spec->options, n * sizeof(*self->options));
    }
    memcpy(self->options + n, own_options, sizeof(own_options));
}

static void
open_signals(struct actor *self)
{
    sigset_t set;

    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_BLOCK, &set, NULL); /* before any thread is born: they inherit it */
    self->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    loop_watch_fd(self->loop, self->signal_fd, LOOP_IN, on_signal, self);
}

static void
close_all(struct actor *self)
{
    question_fail_all(self, ERR_UNAVAILABLE);
    if (self->spec->fini != NULL && self->context != NULL) {
        self->spec->fini(self);
    }
    mailbox_fini(self);
    connection_close(self);
    if (self->signal_fd >= 0) {
        close(self->signal_fd);
    }
    loop_free(&self->loop);
    buf_fini(&self->scratch);
    free(self->context);
    free(self->options);
}

int
actor_run(const struct actor_spec *spec, int argc, char **argv)
{
    struct actor self = {.spec = spec, .signal_fd = -1};
    int code;

    log_init(spec->name);
    merge_options(&self);
    if (argc > 2 || (argc == 2 && strcmp(argv[1], "--check") != 0)) {
        fprintf(stderr, "usage: fte-%s [--check]\n", spec->name);
        return EX_USAGE;
    }
    option_load(spec->name, self.options);
    if (!connection_allowed(&self)) {
        free(self.options);
        return EX_CONFIG;
    }
    if (argc == 2) {
        free(self.options);
        printf("fte-%s: configuration OK\n", spec->name);
        return EX_OK;
    }
    log_init(spec->name); /* again: FTE_CONFIG may have set the level */
    fault_init(spec->name);
    lifeline_init(&self.lifeline);
    self.loop = loop_new();
    open_signals(&self);
    self.context = xcalloc(1, spec->context_size);
    code = connection_open(&self, on_router);
    if (code == 0 && spec->init != NULL) {
        code = spec->init(&self);
    }
    if (code == 0) {
        loop_timer(self.loop, 0, LIFELINE_TICK_MS / 2, on_tick, &self);
        loop_at_turn_end(self.loop, turn_end, &self);
        loop_run(self.loop);
        code = self.exit_code;
    }
    close_all(&self);
    return code;
}
