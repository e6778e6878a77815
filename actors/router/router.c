/* router - carry messages between actors, against credit.
 *
 *   everyone --(WORK, CALL, outcomes)--> router --> a worker of the service, or who waits for it
 *
 * It reads heads and never bodies, and keeps nothing that matters: who serves what, how many slots
 * are free, and which units a worker holds, so that the edge hears at once when a worker dies.
 * Killed, it is back in milliseconds under a new generation; the workers say READY again, the edge
 * delivers again what was on its way. Without credit it says BUSY: no queue grows here.
 */
#include "actors/router/router.h"

#include "proto/runtime/fault.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <sysexits.h>
#include <unistd.h>

#define RECEIVE_MAX 1024 /* messages in one turn */
#define SILENCE_MS 3000  /* a worker whose process can't be seen is lost when silent so long */

static void on_socket(void *arg, int events);
static void on_signal(void *arg, int events);
static void on_tick(void *arg);

static void
open_signals(struct router *self)
{
    sigset_t set;

    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_BLOCK, &set, NULL);
    self->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    loop_watch_fd(self->loop, self->signal_fd, LOOP_IN, on_signal, self);
}

int
main(int argc, char **argv)
{
    struct router self = {.lock_fd = -1};
    struct id random = id_random();
    int code;

    log_init("router");
    if (argc > 2 || (argc == 2 && strcmp(argv[1], "--check") != 0)) {
        fprintf(stderr, "usage: fte-router [--check]\n");
        return EX_USAGE;
    }
    option_load("router", router_options);
    if (!router_allowed()) {
        return EX_CONFIG;
    }
    if (argc == 2) {
        printf("fte-router: configuration OK\n");
        return EX_OK;
    }
    fault_init("router");
    lifeline_init(&self.lifeline);
    self.loop = loop_new();
    self.credit = credit_new();
    memcpy(&self.generation, random.b, sizeof(self.generation));
    self.generation |= 1; /* never 0 */
    open_signals(&self);
    code = router_bind(&self);
    if (code == 0) {
        loop_watch_zmq(self.loop, self.socket, on_socket, &self);
        loop_timer(self.loop, 0, LIFELINE_TICK_MS / 2, on_tick, &self);
        lifeline_ready(&self.lifeline);
        log_info("ready", "generation=%u", self.generation);
        loop_run(self.loop);
    }
    router_close(&self);
    return code;
}

void
router_close(struct router *self)
{
    credit_each(self->credit, router_forget, self);
    credit_free(&self->credit);
    door_close(&self->door);
    if (self->socket != NULL) {
        zmq_close(self->socket);
    }
    if (self->zmq != NULL) {
        zmq_ctx_term(self->zmq);
    }
    if (self->signal_fd >= 0) {
        close(self->signal_fd);
    }
    if (self->lock_fd >= 0) {
        close(self->lock_fd);
    }
    buf_fini(&self->scratch);
    loop_free(&self->loop);
}

static void
on_signal(void *arg, int events)
{
    struct router *self = arg;
    (void)events;
    loop_stop(self->loop);
}

/* A worker whose process we can't see: silence is all that tells of its death. */
static void
check_silence(void *arg, struct worker *w)
{
    struct router *self = arg;
    struct watch *watch = *worker_data(w);

    if (watch->pidfd < 0 && clock_ms() - watch->heard_ms > SILENCE_MS) {
        router_lost(self, w);
    }
}

/* We ourselves were stopped or starved for so long: what they said meanwhile is still to be read.
 */
static void
excuse(void *arg, struct worker *w)
{
    struct watch *watch = *worker_data(w);

    watch->heard_ms += *(int64_t *)arg;
}

static void
tick(struct router *self)
{
    if (lifeline_tick(&self->lifeline, self->counters[COUNT_SETTLED], 0) < 0) {
        log_fatal(EX_TEMPFAIL, "supervisor_gone", "%s", "");
    }
}

static void
on_tick(void *arg)
{
    struct router *self = arg;
    int64_t late_ms = clock_ms() - self->ticked_ms - LIFELINE_TICK_MS / 2;

    self->ticked_ms = clock_ms();
    if (late_ms > 0) {
        credit_each(self->credit, excuse, &late_ms);
    }
    tick(self);
    credit_each(self->credit, check_silence, self);
    door_tick(self->door);
}

/* --- one message ---------------------------------------------------------------------------- */

/* Reads [sender][head][body]; false if there is none. A message with other frames is counted. */
static bool
receive(struct router *self, struct message *m)
{
    zmq_msg_t *frames[] = {&m->from, &m->head, &m->body};
    bool more = true;
    int n = 0;

    zmq_msg_init(&m->from);
    zmq_msg_init(&m->head);
    zmq_msg_init(&m->body);
    while (more) {
        zmq_msg_t extra;
        zmq_msg_t *frame = n < 3 ? frames[n] : &extra;
        if (n >= 3) {
            zmq_msg_init(&extra);
        }
        if (zmq_msg_recv(frame, self->socket, ZMQ_DONTWAIT) < 0) {
            return false;
        }
        more = zmq_msg_more(frame);
        if (n >= 3) {
            zmq_msg_close(&extra);
        }
        n++;
    }
    m->frames = n;
    return true;
}

static void
on_socket(void *arg, int events)
{
    struct router *self = arg;
    struct message m;

    (void)events;
    for (int i = 0; i < RECEIVE_MAX; i++) {
        bool got = receive(self, &m);
        if (got) {
            router_route(self, &m);
        }
        zmq_msg_close(&m.from);
        zmq_msg_close(&m.head);
        zmq_msg_close(&m.body);
        if (!got) {
            break;
        }
    }
    if (self->counters[COUNT_SETTLED] > 0 && !self->lifeline.told_settled) {
        tick(self); /* the first: back at work */
    }
}
