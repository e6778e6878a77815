#include "actors/router/door.h"

#include "actors/router/allow.h"
#include "proto/err.h"
#include "proto/runtime/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <zmq.h>

#define SAY_MS 10000
#define SHAKING_MAX 64
#define ZAP_FRAMES 7

struct door {
    struct loop *loop;
    void *socket, *zap, *monitor;
    const char *list;
    uint64_t *refused;
    struct lifeline *lifeline;
    /* Connections that may still be shaking hands, and how many of them have: which ones, ZeroMQ
     * doesn't tell. */
    int shaking[SHAKING_MAX];
    size_t n, shaken;
    bool failed; /* the next one to be disconnected has been counted */
    /* The log. */
    uint64_t said;
    int64_t said_ms;
    const char *why;
    char from[64];
};

static void on_zap(void *arg, int events);
static void on_monitor(void *arg, int events);

struct door *
door_open(struct loop *loop, void *zmq, void *socket, const char *list, uint64_t *ret_refused,
          struct lifeline *lifeline)
{
    static const char domain[] = "fte", pipe[] = "inproc://door";
    struct door *d = xcalloc(1, sizeof(*d));

    d->loop = loop;
    d->socket = socket;
    d->list = list;
    d->refused = ret_refused;
    d->lifeline = lifeline;
    d->zap = zmq_socket(zmq, ZMQ_REP);
    d->monitor = zmq_socket(zmq, ZMQ_PAIR);
    if (zmq_bind(d->zap, "inproc://zeromq.zap.01") != 0 ||
        zmq_setsockopt(socket, ZMQ_ZAP_DOMAIN, domain, sizeof(domain) - 1) != 0 ||
        zmq_socket_monitor(socket, pipe,
                           ZMQ_EVENT_ACCEPTED | ZMQ_EVENT_DISCONNECTED |
                               ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH |
                               ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL |
                               ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL) != 0 ||
        zmq_connect(d->monitor, pipe) != 0) {
        log_fatal(EX_TEMPFAIL, "no_door", "error=%s", log_quote(zmq_strerror(errno)));
    }
    loop_watch_zmq(loop, d->zap, on_zap, d);
    loop_watch_zmq(loop, d->monitor, on_monitor, d);
    return d;
}

void
door_close(struct door **d_p)
{
    struct door *d = *d_p;

    if (d == NULL) {
        return;
    }
    zmq_socket_monitor(d->socket, NULL, 0);
    zmq_close(d->monitor);
    zmq_close(d->zap);
    free(d);
    *d_p = NULL;
}

/* --- what is refused ------------------------------------------------------------------------- */

void
door_tick(struct door *d)
{
    uint64_t n = d != NULL ? *d->refused - d->said : 0;
    char note[96];

    if (n == 0 || (d->said_ms != 0 && clock_ms() < d->said_ms + SAY_MS)) {
        return;
    }
    d->said = *d->refused;
    d->said_ms = clock_ms();
    log_warn("peer_refused", "why=%s from=%s count=%llu total=%llu", log_quote(d->why),
             log_quote(d->from), (unsigned long long)n, (unsigned long long)d->said);
    snprintf(note, sizeof(note), "%llu connections refused, the last: %s",
             (unsigned long long)d->said, d->why);
    lifeline_note(d->lifeline, note);
}

static void
refuse(struct door *d, const char *why, const char *from)
{
    ++*d->refused;
    d->why = why;
    snprintf(d->from, sizeof(d->from), "%s", from);
    door_tick(d);
}

/* --- keys ------------------------------------------------------------------------------------ */

/* One request of ZAP: version, request id, domain, address, routing id, mechanism, credentials. */
struct request {
    zmq_msg_t frames[ZAP_FRAMES];
    size_t n;
};

static struct str
frame(struct request *r, size_t i)
{
    return (struct str){.p = zmq_msg_data(&r->frames[i]), .n = zmq_msg_size(&r->frames[i])};
}

static bool
receive(struct door *d, struct request *r)
{
    bool more = true;

    for (r->n = 0; more && r->n < ZAP_FRAMES; r->n++) {
        zmq_msg_init(&r->frames[r->n]);
        if (zmq_msg_recv(&r->frames[r->n], d->zap, ZMQ_DONTWAIT) < 0) {
            break;
        }
        more = zmq_msg_more(&r->frames[r->n]);
    }
    return r->n > 0;
}

static void
request_fini(struct request *r)
{
    for (size_t i = 0; i < r->n; i++) {
        zmq_msg_close(&r->frames[i]);
    }
}

/* True, and the peer's name, if its key is on the list. */
static bool
is_allowed(struct door *d, struct request *r, char *ret_name)
{
    struct curve_key key;
    struct buf why = {0};
    bool ok = false;

    /* ZeroMQ has checked that the peer has the secret key of the public one that it shows. */
    if (r->n == ZAP_FRAMES && str_is(frame(r, 5), "CURVE") && frame(r, 6).n == 32) {
        zmq_z85_encode(key.z85, zmq_msg_data(&r->frames[6]), 32);
        ok = allow_find(d->list, &key, ret_name, &why) == 0;
    }
    if (why.n > 0) {
        log_error("no_list", "why=%s", log_quote(buf_c(&why)));
    }
    buf_fini(&why);
    return ok;
}

static void
answer(struct door *d, struct request *r, const char *status, const char *name)
{
    const char *frames[] = {status, "", name, ""};

    zmq_send(d->zap, "1.0", 3, ZMQ_SNDMORE | ZMQ_DONTWAIT);
    zmq_send(d->zap, frame(r, 1).p, frame(r, 1).n, ZMQ_SNDMORE | ZMQ_DONTWAIT);
    for (int i = 0; i < 4; i++) {
        zmq_send(d->zap, frames[i], strlen(frames[i]), ZMQ_DONTWAIT | (i < 3 ? ZMQ_SNDMORE : 0));
    }
}

static void
on_zap(void *arg, int events)
{
    struct door *d = arg;
    struct request r;
    char name[ALLOW_NAME_MAX + 1] = "", from[64] = "-";

    (void)events;
    if (receive(d, &r) && r.n == ZAP_FRAMES) {
        bool ok = is_allowed(d, &r, name);
        answer(d, &r, ok ? "200" : "400", name);
        if (!ok) {
            snprintf(from, sizeof(from), "%.*s", STR_ARG(frame(&r, 3)));
            refuse(d, "its key is not on the list of FTE_CURVE_CLIENTS", from);
        }
    }
    request_fini(&r);
}

/* --- what doesn't get that far --------------------------------------------------------------- */

static void
settle(struct door *d)
{
    if (d->shaken >= d->n) {
        d->n = d->shaken = 0;
    }
}

static bool
was_shaking(struct door *d, int fd)
{
    for (size_t i = 0; i < d->n; i++) {
        if (d->shaking[i] == fd) {
            d->shaking[i] = d->shaking[--d->n];
            return true;
        }
    }
    return false;
}

/* One that says nothing of ZeroMQ's is hung up on without a word of why. */
static void
disconnected(struct door *d, int fd)
{
    bool shaking = was_shaking(d, fd);

    if (shaking && !d->failed) {
        refuse(d, "it doesn't speak ZeroMQ", "-");
    }
    d->failed = false;
    settle(d);
}

static void
hear(struct door *d, unsigned event, uint32_t value)
{
    switch (event) {
    case ZMQ_EVENT_ACCEPTED:
        if (d->n == SHAKING_MAX) {
            d->n = d->shaken = 0;
        }
        d->shaking[d->n++] = (int)value;
        break;
    case ZMQ_EVENT_HANDSHAKE_SUCCEEDED:
        d->shaken++;
        settle(d);
        break;
    case ZMQ_EVENT_DISCONNECTED:
        disconnected(d, (int)value);
        break;
    case ZMQ_EVENT_HANDSHAKE_FAILED_AUTH: /* counted by on_zap() */
        d->failed = true;
        break;
    case ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL:
        d->failed = true;
        refuse(d,
               value == ZMQ_PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH ? "it shows no key"
               : value == ZMQ_PROTOCOL_ERROR_ZMTP_CRYPTOGRAPHIC
                   ? "it was given another FTE_CURVE_SERVER_KEY than ours"
                   : "it doesn't speak ZeroMQ",
               "-");
        break;
    default:
        d->failed = true;
        refuse(d, "it hung up, or said nothing for 5 s", "-");
    }
}

/* An event is two frames: number (16 bit) and value (32 bit), then the endpoint. */
static void
on_monitor(void *arg, int events)
{
    struct door *d = arg;
    zmq_msg_t event, endpoint;

    (void)events;
    zmq_msg_init(&event);
    zmq_msg_init(&endpoint);
    while (zmq_msg_recv(&event, d->monitor, ZMQ_DONTWAIT) >= 0 && zmq_msg_more(&event) &&
           zmq_msg_recv(&endpoint, d->monitor, ZMQ_DONTWAIT) >= 0) {
        uint16_t number;
        uint32_t value;
        struct str where = {.p = zmq_msg_data(&endpoint), .n = zmq_msg_size(&endpoint)};
        if (zmq_msg_size(&event) == sizeof(number) + sizeof(value) && where.n > 6 &&
            memcmp(where.p, "tcp://", 6) == 0) {
            memcpy(&number, zmq_msg_data(&event), sizeof(number));
            memcpy(&value, (char *)zmq_msg_data(&event) + sizeof(number), sizeof(value));
            hear(d, number, value);
        }
    }
    zmq_msg_close(&event);
    zmq_msg_close(&endpoint);
}
