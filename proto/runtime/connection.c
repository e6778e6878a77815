/* connection - the socket to the router: opened, watched, and opened anew where the router has
 * refused it. */
#include "proto/runtime/actor_private.h"
#include "proto/runtime/curve.h"
#include "proto/runtime/endpoint.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

#define AGAIN_MS 1000
#define COMPLAIN_MS 10000

static const char out_of_reach[] = "the router is out of reach";

bool
connection_allowed(struct actor *self)
{
    struct buf endpoint = {0}, fault = {0};
    bool ok = endpoint_router(&endpoint, &fault) == 0;

    /* Without keys nothing of a customer's leaves the machine. */
    if (ok && endpoint_path(buf_c(&endpoint)) == NULL &&
        (actor_text(self, "FTE_CURVE_SERVER_KEY")[0] == '\0' ||
         actor_text(self, "FTE_CURVE_SECRET")[0] == '\0')) {
        buf_printf(&fault,
                   "FTE_ROUTER=\"%.100s\" is not allowed without FTE_CURVE_SERVER_KEY and "
                   "FTE_CURVE_SECRET: tcp needs keys (fte keygen)",
                   buf_c(&endpoint));
        ok = false;
    }
    if (!ok) {
        fprintf(stderr, "fte-%s: %s\n", self->spec->name, buf_c(&fault));
    }
    buf_fini(&endpoint);
    buf_fini(&fault);
    return ok;
}

/* --- what the monitor tells ------------------------------------------------------------------ */

static void
apart(struct actor *self, const char *why)
{
    if (self->apart == NULL) {
        self->announced = false; /* no heartbeats are kept for a router that is away */
        actor_hold(self, why);
    } else if (self->apart != why) {
        lifeline_degraded(&self->lifeline, why);
    }
    self->apart = why;
    if (self->complained_ms == 0 || clock_ms() >= self->complained_ms + COMPLAIN_MS) {
        self->complained_ms = clock_ms();
        log_warn("router_unreachable", "why=%s", log_quote(why));
    }
}

/* An empty message asks the router for its READY. (ZMQ_PROBE_ROUTER does that for the first
 * connection only: libzmq 4.3.4 keeps the pipe over a reconnect and doesn't probe again.) */
static void
together(struct actor *self)
{
    if (self->apart != NULL) {
        self->apart = NULL;
        self->complained_ms = 0;
        actor_release(self);
    }
    zmq_send(self->socket, "", 0, ZMQ_DONTWAIT);
}

static void
connect_again(void *arg)
{
    struct actor *self = arg;

    self->again = NULL;
    zmq_disconnect(self->socket, buf_c(&self->endpoint));
    zmq_connect(self->socket, buf_c(&self->endpoint));
}

/* A handshake that was refused by the other side: libzmq takes that for final, we don't, since a
 * key may be put on the router's list at any time. */
static void
refused(struct actor *self, const char *why)
{
    apart(self, why);
    if (self->again == NULL) {
        self->again = loop_timer(self->loop, AGAIN_MS, 0, connect_again, self);
    }
}

static void
hear(struct actor *self, unsigned event)
{
    if (event == ZMQ_EVENT_HANDSHAKE_SUCCEEDED) {
        together(self);
    } else if (!self->remote) {
        return; /* on this machine a router is back in milliseconds, and there are no keys */
    } else if (event == ZMQ_EVENT_HANDSHAKE_FAILED_AUTH) {
        refused(self, "the router doesn't know the key of FTE_CURVE_SECRET");
    } else if (event == ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL) {
        refused(self, "at FTE_ROUTER is no router with keys");
    } else if (event == ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL) {
        apart(self, "the router hung up: is FTE_CURVE_SERVER_KEY its key?");
    } else if (self->apart == NULL) {
        apart(self, out_of_reach);
    }
}

/* An event is two frames: number (16 bit) and value (32 bit), then the endpoint. */
static void
on_monitor(void *arg, int events)
{
    struct actor *self = arg;
    zmq_msg_t frame;
    uint16_t event;

    (void)events;
    zmq_msg_init(&frame);
    while (zmq_msg_recv(&frame, self->monitor, ZMQ_DONTWAIT) >= 0) {
        if (zmq_msg_more(&frame) && zmq_msg_size(&frame) == 6) {
            memcpy(&event, zmq_msg_data(&frame), sizeof(event));
            hear(self, event);
        }
    }
    zmq_msg_close(&frame);
}

/* --- opening --------------------------------------------------------------------------------- */

static void
set_int(void *socket, int option, int value)
{
    zmq_setsockopt(socket, option, &value, sizeof(value));
}

static void
watch_connection(struct actor *self)
{
    static const char pipe[] = "inproc://connected";

    zmq_socket_monitor(self->socket, pipe,
                       ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH |
                           ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL |
                           ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL | ZMQ_EVENT_DISCONNECTED);
    self->monitor = zmq_socket(self->zmq, ZMQ_PAIR);
    zmq_connect(self->monitor, pipe);
    loop_watch_zmq(self->loop, self->monitor, on_monitor, self);
}

static void
use_keys(struct actor *self)
{
    struct curve_key server, secret;
    struct buf why = {0};

    /* A file may have changed since the settings were checked. */
    if (curve_key_read(actor_text(self, "FTE_CURVE_SERVER_KEY"), &server, &why) != 0 ||
        curve_key_read(actor_text(self, "FTE_CURVE_SECRET"), &secret, &why) != 0) {
        log_fatal(EX_CONFIG, "no_key", "why=%s", log_quote(buf_c(&why)));
    }
    curve_be_client(self->socket, &server, &secret);
    curve_tcp(self->socket, buf_c(&self->endpoint));
    explicit_bzero(&secret, sizeof(secret));
}

static void
open_socket(struct actor *self)
{
    struct id incarnation = id_random();
    int64_t max = 4 * PROTO_MAX_MESSAGE;

    memcpy(self->route, incarnation.b, ROUTE_SIZE);
    self->route[0] |= 0x80; /* a routing id must not begin with a zero byte (zmq_setsockopt(3)) */
    self->zmq = zmq_ctx_new();
    self->socket = zmq_socket(self->zmq, ZMQ_DEALER);
    zmq_setsockopt(self->socket, ZMQ_ROUTING_ID, self->route, ROUTE_SIZE);
    zmq_setsockopt(self->socket, ZMQ_MAXMSGSIZE, &max, sizeof(max));
    set_int(self->socket, ZMQ_SNDHWM, 0);
    set_int(self->socket, ZMQ_RCVHWM, 0);
    set_int(self->socket, ZMQ_LINGER, 1000);
    set_int(self->socket, ZMQ_RECONNECT_IVL, 20);
    set_int(self->socket, ZMQ_RECONNECT_IVL_MAX, 500);
}

int
connection_open(struct actor *self, loop_watch_fn *on_message)
{
    struct buf fault = {0};

    if (endpoint_router(&self->endpoint, &fault) != 0) {
        fprintf(stderr, "fte-%s: %s\n", self->spec->name, buf_c(&fault));
        buf_fini(&fault);
        return EX_CONFIG;
    }
    self->remote = endpoint_path(buf_c(&self->endpoint)) == NULL;
    open_socket(self);
    watch_connection(self);
    if (self->remote) {
        use_keys(self);
        self->apart = out_of_reach;
        actor_hold(self, self->apart);
    }
    if (zmq_connect(self->socket, buf_c(&self->endpoint)) != 0) {
        log_warn("connect_failed", "error=%s", log_quote(zmq_strerror(errno)));
        return EX_CONFIG;
    }
    loop_watch_zmq(self->loop, self->socket, on_message, self);
    return 0;
}

void
connection_close(struct actor *self)
{
    loop_cancel(self->loop, &self->again);
    if (self->socket != NULL) {
        zmq_socket_monitor(self->socket, NULL, 0);
        zmq_close(self->monitor);
        zmq_close(self->socket);
    }
    if (self->zmq != NULL) {
        zmq_ctx_term(self->zmq);
    }
    buf_fini(&self->endpoint);
}
