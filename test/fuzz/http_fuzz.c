/* http_fuzz - whatever comes over a connection, the real ingress behind its gate answers it in
 * sound HTTP: each answer is whole and of a kind that we give, what a stranger wrote is never
 * markup or a header in it, what two servers could read differently is refused and ends the
 * connection, and no message is accepted while nobody stores it.
 *
 * The process is ingress.c itself, with a desk that is closed: an errand to the log or to the
 * database is answered as when both are away. Each input is sent over one connection of its own.
 */
int ingress_main(int argc, char **argv);
#define main ingress_main
#include "actors/ingress/ingress.c" /* its table of routes is its own */
#undef main

#include "test/fuzz/fuzz.h"

#include <jansson.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>
#include <unistr.h>

#define THREADS 8
#define PROXIES 2
#define ANSWERS_MAX 1000
#define MARKUP "<fuzz>" /* stands in the dictionary; in an answer it must be escaped */

static struct ingress ingress;
static int port;

/* --- the server ------------------------------------------------------------------------------ */

/* What the head's check lets through. */
static const char *
checked_serve(void *context, struct request *r, struct answer *a)
{
    insist(r->path.n > 0 && r->path.n <= REQUEST_PATH_MAX);
    insist(r->has_length || r->length == 0);
    insist(strlen(r->address) < sizeof(r->address));
    insist(r->heading->field_n <= HEADING_FIELDS);
    return serve(context, r, a);
}

static int
free_port(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(a);
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    insist(bind(fd, (struct sockaddr *)&a, n) == 0);
    insist(getsockname(fd, (struct sockaddr *)&a, &n) == 0);
    close(fd);
    return ntohs(a.sin_port);
}

int LLVMFuzzerInitialize(int *argc, char ***argv);

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
    struct ingress *in = &ingress;
    struct server_settings settings = {
        .gate = {.bind = "127.0.0.1", .proxies = PROXIES, .connections = 1000, .refuse = refuse},
        .threads = THREADS,
        .serve = checked_serve,
        .context = in};
    struct buf why = {0};

    (void)argc;
    (void)argv;
    signal(SIGPIPE, SIG_IGN);
    buf_add_c(&in->secret, "a secret of the fuzzer's");
    in->public_url = "https://support.example.org";
    in->state_dir = "/nonexistent";
    in->proxies = PROXIES;
    in->rate = rate_new(0, 60 * 1000, 1);
    settings.gate.flood = in->flood = rate_new(0, 2000, 1);
    settings.gate.meter = in->meter = meter_new();
    in->desk = desk_open(loop_new(), append_flush, server_wait, in);
    desk_close(in->desk);
    for (int tries = 0; in->server == NULL && tries < 50; tries++) {
        port = settings.gate.port = free_port();
        in->server = server_start(&settings, &why);
    }
    insist(in->server != NULL);
    return 0;
}

/* --- a connection ---------------------------------------------------------------------------- */

/* Sends all of it, reads until the server closes. */
static void
talk(struct str input, struct buf *ret)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)port),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct linger now = {.l_onoff = 1}; /* no TIME_WAIT: there are more inputs than ports */
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ssize_t got = 1;

    insist(fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0);
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    if (input.n > 0) {
        insist(send(fd, input.p, input.n, MSG_NOSIGNAL) == (ssize_t)input.n || errno == EPIPE ||
               errno == ECONNRESET);
    }
    shutdown(fd, SHUT_WR);
    while (got > 0) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        int ready;
        while ((ready = poll(&p, 1, 20000)) < 0 && errno == EINTR) {
            /* libFuzzer looks at the clock by SIGALRM */
        }
        insist(ready == 1); /* the server neither answers nor closes */
        got = recv(fd, buf_reserve(ret, 16384), 16384, 0);
        ret->n += got > 0 ? (size_t)got : 0;
    }
    close(fd);
}

/* --- its answers ----------------------------------------------------------------------------- */

struct seen {
    int status;
    size_t length;
    bool has_length;
    bool close;
    struct str type;
};

static void
check_header(struct str name, struct str value, struct seen *s)
{
    static const char *const known[] = {"Content-Type",
                                        "Content-Length",
                                        "Cache-Control",
                                        "Connection",
                                        "Content-Security-Policy",
                                        "X-Content-Type-Options",
                                        "X-Frame-Options",
                                        "Referrer-Policy",
                                        "Cross-Origin-Opener-Policy",
                                        "Cross-Origin-Resource-Policy",
                                        "Location",
                                        "Allow",
                                        "Retry-After",
                                        "Vary",
                                        "ETag"};
    bool is_known = false;
    long long n = -1;

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        is_known = is_known || str_is(name, known[i]);
    }
    if (!is_known) {
        fprintf(stderr, "header %.*s\n", STR_ARG(name));
    }
    insist(is_known && is_line(value));
    if (str_is(name, "Content-Length")) {
        insist(!s->has_length && str_int(value, 0, 10000000, &n) == 0);
        s->has_length = true;
        s->length = (size_t)n;
    } else if (str_is(name, "Connection")) {
        insist(str_is(value, "close") || str_is(value, "keep-alive"));
        s->close = str_is(value, "close");
    } else if (str_is(name, "Content-Type")) {
        s->type = value;
    }
}

static struct str
take_line(struct str *rest)
{
    struct str line = take(rest, '\n');

    insist(line.n > 0 && line.p[line.n - 1] == '\r');
    line.n--;
    return line;
}

static bool
is_utf8(struct str s)
{
    return u8_check((const uint8_t *)s.p, s.n) == NULL;
}

static void
check_body(const struct seen *s, struct str body)
{
    json_t *json;

    if (begins(s->type, "application/json") || begins(s->type, "application/problem+json")) {
        json = json_loadb(body.p, body.n, 0, NULL);
        insist(json_is_object(json));
        json_decref(json);
    } else if (begins(s->type, "text/html")) {
        insist(is_utf8(body) && memmem(body.p, body.n, MARKUP, sizeof(MARKUP) - 1) == NULL);
    }
}

/* One answer off *rest. */
static struct seen
take_answer(struct str *rest, bool head_only)
{
    struct seen s = {0};
    struct str line = take_line(rest);
    char status[4] = "";

    insist(begins(line, "HTTP/1.1 ") && line.n > 13 && is_line(line));
    memcpy(status, line.p + 9, 3);
    s.status = atoi(status);
    insist(s.status >= 100 && s.status < 600);
    while ((line = take_line(rest)).n > 0) {
        struct str value = line;
        struct str name = take(&value, ':');
        check_header(name, str_trim(value), &s);
    }
    if (s.status == 100) {
        return s;
    }
    insist(s.has_length);
    if (!head_only) {
        insist(rest->n >= s.length);
        check_body(&s, (struct str){rest->p, s.length});
        rest->p += s.length;
        rest->n -= s.length;
    }
    return s;
}

/* --- what was asked -------------------------------------------------------------------------- */

static bool
same_name(struct str name, const char *lower)
{
    return name.n == strlen(lower) && strncasecmp(name.p, lower, name.n) == 0;
}

/* RFC 9110, 5.6.2: what a name is made of. */
static bool
is_token(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              memchr("!#$%&'*+-.^_`|~", c, 15) != NULL)) {
            return false;
        }
    }
    return s.n > 0;
}

static bool
is_number(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9') {
            return false;
        }
    }
    return s.n > 0;
}

/* A reader of the first head that is stricter than any server: what it finds dangerous is what two
 * servers on the way could take for different requests. */
static bool
is_dangerous(struct str input)
{
    size_t lengths = 0, hosts = 0;
    bool odd = false;

    (void)take(&input, '\n'); /* the request line */
    while (input.n > 0) {
        struct str value = take(&input, '\n');
        if (value.n == 0 || value.p[value.n - 1] != '\r') {
            return true;
        }
        value.n--;
        if (value.n == 0) {
            break;
        }
        struct str name = take(&value, ':');
        odd = odd || !is_token(name) || memchr(value.p, '\r', value.n) != NULL;
        lengths += same_name(name, "content-length");
        hosts += same_name(name, "host");
        odd = odd || same_name(name, "transfer-encoding") ||
              (same_name(name, "content-length") && !is_number(str_trim(value)));
    }
    return lengths > 1 || hosts > 1 || odd;
}

static bool
is_served(struct str input)
{
    return begins(input, "GET ") || begins(input, "POST ") || begins(input, "HEAD ");
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str input = {(const char *)data, size};
    struct buf all = {0};
    struct str rest;
    struct seen s = {0};
    size_t n = 0;

    talk(input, &all);
    rest = buf_str(&all);
    /* Answers to HEAD have no body; only of the first request is the method known here. */
    if (begins(input, "HEAD ")) {
        s = rest.n > 0 ? take_answer(&rest, true) : s;
        rest.n = 0;
    }
    while (rest.n > 0) {
        s = take_answer(&rest, false);
        insist(++n < ANSWERS_MAX);
        insist(s.status != 202 && s.status != 303); /* nobody has stored it */
        insist(rest.n == 0 || s.status == 100 || !s.close);
        if (memmem(data, size, "HEAD ", 5) != NULL) {
            break; /* perhaps a second request */
        }
        if (n == 1 && is_served(input) && is_dangerous(input)) {
            insist(s.close && rest.n == 0);
            insist(s.status >= 400);
        }
    }
    buf_fini(&all);
    return 0;
}
