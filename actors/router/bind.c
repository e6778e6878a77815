/* bind - where the router listens: for its own machine, and for others. */
#include "actors/router/router.h"
#include "proto/runtime/curve.h"
#include "proto/runtime/endpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

static bool listen_ok(const char *value, struct buf *ret_why);

const struct option router_options[] = {
    {.name = "FTE_ROUTER_LISTEN",
     .type = OPTION_TEXT,
     .value_default = "",
     .min = 1,
     .max = 300,
     .allowed = "tcp://ADDRESS:PORT",
     .valid = listen_ok,
     .help = "Where the router also listens, for actors on other machines; needs keys."},
    {.name = "FTE_CURVE_SERVER_SECRET",
     .type = OPTION_TEXT,
     .value_default = "",
     .min = 1,
     .max = 4000,
     .allowed = CURVE_KEY_ALLOWED,
     .valid = curve_key_ok,
     .secret = true,
     .help = "The router's secret key, where it listens on a tcp address."},
    {.name = "FTE_CURVE_CLIENTS",
     .type = OPTION_PATH,
     .value_default = "",
     .valid = allow_ok,
     .allowed = "a file with a public key and a name in each line",
     .help = "Whose actors may connect to the router by tcp; read anew for each connection."},
    OPTION_END,
};

static bool
listen_ok(const char *value, struct buf *ret_why)
{
    (void)ret_why;
    return endpoint_path(value) == NULL && endpoint_ok(value);
}

/* The tcp address among our endpoints, or NULL. At most one: what is in FTE_ROUTER comes first. */
static const char *
tcp_of(const char *endpoint)
{
    const char *listen = option_text(router_options, "FTE_ROUTER_LISTEN");

    if (endpoint_path(endpoint) == NULL) {
        return endpoint;
    }
    return listen[0] != '\0' ? listen : NULL;
}

/* One line for what is missing. */
static bool
keys_allowed(const char *endpoint, struct buf *ret_fault)
{
    const char *tcp = tcp_of(endpoint), *listen = option_text(router_options, "FTE_ROUTER_LISTEN");

    if (endpoint_path(endpoint) == NULL && listen[0] != '\0') {
        buf_printf(ret_fault,
                   "FTE_ROUTER_LISTEN=\"%.100s\" is not allowed beside FTE_ROUTER=\"%.100s\": the "
                   "router listens on one tcp address",
                   listen, endpoint);
        return false;
    }
    if (tcp != NULL && (option_text(router_options, "FTE_CURVE_SERVER_SECRET")[0] == '\0' ||
                        option_text(router_options, "FTE_CURVE_CLIENTS")[0] == '\0')) {
        buf_printf(ret_fault,
                   "%s=\"%.100s\" is not allowed without FTE_CURVE_SERVER_SECRET and "
                   "FTE_CURVE_CLIENTS: tcp needs keys (fte keygen)",
                   tcp == endpoint ? "FTE_ROUTER" : "FTE_ROUTER_LISTEN", tcp);
        return false;
    }
    return true;
}

bool
router_allowed(void)
{
    struct buf endpoint = {0}, fault = {0};
    bool ok = endpoint_router(&endpoint, &fault) == 0 && keys_allowed(buf_c(&endpoint), &fault);

    if (!ok) {
        fprintf(stderr, "fte-router: %s\n", buf_c(&fault));
    }
    buf_fini(&endpoint);
    buf_fini(&fault);
    return ok;
}

/* Nobody else may bind here: a second bind of an ipc path steals it without an error. */
static int
lock_path(const char *path)
{
    char lock[4200];
    char *slash;
    int fd;

    snprintf(lock, sizeof(lock), "%s", path);
    slash = strrchr(lock, '/');
    if (slash != NULL && slash != lock) {
        *slash = '\0';
        mkdir(lock, 0700);
        if (chmod(lock, 0700) != 0) {
            fprintf(stderr, "fte-router: %s: %s\n", lock, strerror(errno));
            return -1;
        }
    }
    snprintf(lock, sizeof(lock), "%s.lock", path);
    fd = open(lock, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0) {
        fprintf(stderr, "fte-router: %s: %s\n", lock, strerror(errno));
    } else if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        fprintf(stderr, "fte-router: another router has bound %s already\n", path);
        close(fd);
        fd = -1;
    }
    return fd;
}

static void
open_socket(struct router *self)
{
    int64_t max = 4 * PROTO_MAX_MESSAGE;
    int on = 1, none = 0, linger = 1000, handshake = 5000;

    self->zmq = zmq_ctx_new();
    self->socket = zmq_socket(self->zmq, ZMQ_ROUTER);
    zmq_setsockopt(self->socket, ZMQ_ROUTER_MANDATORY, &on, sizeof(on));
    zmq_setsockopt(self->socket, ZMQ_ROUTER_HANDOVER, &on, sizeof(on));
    zmq_setsockopt(self->socket, ZMQ_SNDHWM, &none, sizeof(none));
    zmq_setsockopt(self->socket, ZMQ_RCVHWM, &none, sizeof(none));
    zmq_setsockopt(self->socket, ZMQ_LINGER, &linger, sizeof(linger));
    zmq_setsockopt(self->socket, ZMQ_MAXMSGSIZE, &max, sizeof(max));
    zmq_setsockopt(self->socket, ZMQ_HANDSHAKE_IVL, &handshake, sizeof(handshake));
}

static int
bind_to(struct router *self, const char *endpoint)
{
    if (zmq_bind(self->socket, endpoint) == 0) {
        return 0;
    }
    fprintf(stderr, "fte-router: cannot bind %s: %s\n", endpoint, zmq_strerror(errno));
    return EX_CONFIG;
}

/* An option of a socket holds for what is bound after it: what is bound already, the socket of this
 * machine, stays without keys. */
static int
bind_tcp(struct router *self, const char *endpoint)
{
    const char *list = option_text(router_options, "FTE_CURVE_CLIENTS");
    struct curve_key secret;
    struct buf why = {0};
    int code;

    if (curve_key_read(option_text(router_options, "FTE_CURVE_SERVER_SECRET"), &secret, &why) !=
        0) {
        fprintf(stderr, "fte-router: FTE_CURVE_SERVER_SECRET: %s\n", buf_c(&why));
        buf_fini(&why);
        return EX_CONFIG;
    }
    self->door = door_open(self->loop, self->zmq, self->socket, list,
                           &self->counters[COUNT_REFUSED], &self->lifeline);
    curve_be_server(self->socket, &secret);
    explicit_bzero(&secret, sizeof(secret));
    curve_tcp(self->socket, endpoint);
    code = bind_to(self, endpoint);
    if (code == 0) {
        log_info("listening", "endpoint=%s", log_quote(endpoint));
    }
    return code;
}

int
router_bind(struct router *self)
{
    struct buf endpoint = {0}, fault = {0};
    const char *path, *tcp;
    int code = EX_CONFIG;

    if (endpoint_router(&endpoint, &fault) != 0) {
        fprintf(stderr, "fte-router: %s\n", buf_c(&fault));
        goto done;
    }
    path = endpoint_path(buf_c(&endpoint));
    tcp = tcp_of(buf_c(&endpoint));
    if (path != NULL && (self->lock_fd = lock_path(path)) < 0) {
        goto done;
    }
    open_socket(self);
    code = path != NULL ? bind_to(self, buf_c(&endpoint)) : 0;
    if (code == 0 && tcp != NULL) {
        code = bind_tcp(self, tcp);
    }
done:
    buf_fini(&endpoint);
    buf_fini(&fault);
    return code;
}
