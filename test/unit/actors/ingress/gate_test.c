#include "actors/ingress/server.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* A server that says how long a body was, and its clients, all over the loopback. */
static struct server *server;
static struct meter *meter;
static struct rate *flood;
static int port;

static const char *
serve(void *context, struct request *r, struct answer *a)
{
    (void)context;
    a->status = 200;
    a->type = TYPE_TEXT;
    buf_printf(&a->body, "%s %zu", r->address, r->body.n);
    return "test";
}

static void
refuse(const struct request *r, struct answer *a, int status, const char *detail)
{
    (void)r;
    answer_problem(a, status, detail, NULL);
}

static int
free_port(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(a);
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    cr_assert_eq(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    getsockname(fd, (struct sockaddr *)&a, &n);
    close(fd);
    return ntohs(a.sin_port);
}

static void
start(struct gate_settings set, unsigned posts)
{
    struct buf why = {0};

    port = free_port();
    meter = meter_new();
    flood = rate_new(posts, 60000, 1);
    set.bind = "127.0.0.1";
    set.port = port;
    set.connections = set.connections > 0 ? set.connections : 1000;
    set.flood = flood;
    set.meter = meter;
    set.refuse = refuse;
    server =
        server_start(&(struct server_settings){.gate = set, .threads = 1, .serve = serve}, &why);
    cr_assert_not_null(server, "%s", buf_c(&why));
    buf_fini(&why);
}

static void
stop(void)
{
    server_stop(&server);
    meter_free(&meter);
    rate_free(&flood);
}

TestSuite(gate, .fini = stop);

/* From 127.0.0.`from`. */
static int
dial(int from, const char *bytes)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_addr.s_addr = htonl(0x7f000000U + (unsigned)from)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    cr_assert_eq(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    a.sin_port = htons((uint16_t)port);
    cr_assert_eq(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    cr_assert_eq(send(fd, bytes, strlen(bytes), MSG_NOSIGNAL), (ssize_t)strlen(bytes));
    return fd;
}

/* What comes until `until` has come, or the end. */
static const char *
hear(int fd, const char *until)
{
    static char heard[65536];
    size_t n = 0;
    struct pollfd p = {.fd = fd, .events = POLLIN};

    heard[0] = '\0';
    while (strstr(heard, until) == NULL) {
        cr_assert_eq(poll(&p, 1, 20000), 1, "nothing after %s", heard);
        ssize_t got = recv(fd, heard + n, sizeof(heard) - 1 - n, 0);
        if (got <= 0) {
            return got == 0 ? heard : "reset";
        }
        n += (size_t)got;
        heard[n] = '\0';
    }
    return heard;
}

#define GET "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
#define POST "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n"

static void
expect_served(int from)
{
    char wanted[40];
    int fd = dial(from, GET);

    snprintf(wanted, sizeof(wanted), "127.0.0.%d 0", from);
    cr_expect_not_null(strstr(hear(fd, wanted), "HTTP/1.1 200 OK\r\n"));
    close(fd);
}

Test(gate, holds_any_number_of_slow_clients_beside_one_thread)
{
    static const char *const slow[] = {"", "GET / HT", POST "a", "\r\n"};
    int fds[200];

    start((struct gate_settings){0}, 0);
    for (size_t i = 0; i < 200; i++) {
        fds[i] = dial(2, slow[i % 4]);
    }
    expect_served(3);
    cr_assert_eq(send(fds[2], "bcde", 4, 0), 4);
    cr_expect_not_null(strstr(hear(fds[2], "127.0.0.2 5"), "200 OK"), "and they may go on");
    for (size_t i = 0; i < 200; i++) {
        close(fds[i]);
    }
}

Test(gate, answers_pipelined_requests_in_their_order)
{
    start((struct gate_settings){0}, 0);
    int fd = dial(2, GET POST "12345" GET "GET / HTTP/1.0\r\n\r\n" GET);
    const char *heard = hear(fd, "never");
    const char *second;

    cr_expect_not_null(second = strstr(heard, "127.0.0.2 5"));
    cr_expect_lt(strstr(heard, "127.0.0.2 0"), second);
    cr_expect_not_null(strstr(second, "Connection: close"), "HTTP/1.0 ends it");
    int answers = 0;
    for (const char *p = heard; (p = strstr(p, "HTTP/1.1 200")) != NULL; p++) {
        answers++;
    }
    cr_expect_eq(answers, 4);
    close(fd);
}

Test(gate, gives_the_place_of_an_addresss_slowest_to_its_next)
{
    start((struct gate_settings){.per_address = 2}, 0);
    int first = dial(2, "GET /");
    int second = dial(2, "GET /");
    int other = dial(3, "GET /");

    expect_served(2);
    cr_expect_null(strstr(hear(first, "x"), "HTTP"), "ended");
    cr_assert_eq(send(second, " HTTP/1.1\r\nHost: x\r\n\r\n", 22, 0), 22);
    cr_assert_eq(send(other, " HTTP/1.1\r\nHost: x\r\n\r\n", 22, 0), 22);
    cr_expect_not_null(strstr(hear(other, "127.0.0.3 0"), "200 OK"));
    cr_expect_not_null(strstr(hear(second, "127.0.0.2 0"), "200 OK"));
    close(first);
    close(second);
    close(other);
}

Test(gate, tells_a_flood_late_and_once_for_each_connection)
{
    start((struct gate_settings){.per_address = 2}, 1); /* ten requests a minute */
    int fd = dial(2, GET GET GET GET GET GET GET GET GET GET GET GET);
    const char *heard = hear(fd, "never");
    int again = dial(2, GET);
    int refused = 0;

    for (const char *p = heard; (p = strstr(p, "HTTP/1.1 429")) != NULL; p++) {
        refused++;
    }
    cr_expect_eq(refused, 1, "%s", heard);
    cr_expect_not_null(strstr(heard, "Retry-After: "));
    cr_expect_not_null(strstr(hear(again, "never"), "HTTP/1.1 429"));
    expect_served(3);
    close(fd);
    close(again);
}

/* A connection that is under way from 127.0.0.`from`; true once it is there. */
static bool
connects(int from, int timeout_ms)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_addr.s_addr = htonl(0x7f000000U + (unsigned)from)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    bool there;

    cr_assert_eq(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    a.sin_port = htons((uint16_t)port);
    connect(fd, (struct sockaddr *)&a, sizeof(a));
    there = poll(&p, 1, timeout_ms) == 1;
    close(fd);
    return there;
}

Test(gate, has_connections_of_an_address_that_has_no_room_dropped_for_a_while)
{
    bool dropped = false;

    start((struct gate_settings){.per_address = 1}, 1); /* ten requests a minute */
    int fd = dial(2, GET GET GET GET GET GET GET GET GET GET GET GET);
    hear(fd, "200 OK"); /* from now on it is at work or does penance, and has the only place */
    for (int i = 0; i < 1000 && !dropped; i++) {
        dropped = !connects(2, 300);
    }
    close(fd);
    cr_expect(dropped);
    expect_served(3);
    cr_expect(connects(2, 10000), "not for ever");
}

Test(gate, takes_a_flood_from_behind_a_proxy_for_one_clients)
{
    start((struct gate_settings){.per_address = 1, .proxies = 1}, 1);
    int fd = dial(2, "");

    for (int i = 0; i < 11; i++) {
        static const char ask[] = "GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n";
        cr_assert_eq(send(fd, ask, strlen(ask), 0), (ssize_t)strlen(ask));
        cr_expect_not_null(strstr(hear(fd, i < 10 ? "192.0.2.1 0" : "about:blank"), "keep-alive"));
    }
    static const char other[] = "GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 192.0.2.2\r\n\r\n";
    cr_assert_eq(send(fd, other, strlen(other), 0), (ssize_t)strlen(other));
    cr_expect_not_null(strstr(hear(fd, "192.0.2.2 0"), "200 OK"));
    expect_served(2); /* nor does the proxy's address have a limit of connections */
    close(fd);
}

Test(gate, keeps_a_bounded_number_of_bytes_and_serves_small_requests_beside)
{
    enum { LARGE = 400, HALF = 200 * 1024 };
    static char half[HALF];
    int fds[LARGE];

    start((struct gate_settings){0}, 0);
    memset(half, 'a', sizeof(half));
    for (int i = 0; i < LARGE; i++) { /* 80 MB */
        fds[i] = dial(2 + i % 200, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 262144\r\n\r\n");
        (void)!send(fds[i], half, sizeof(half), MSG_DONTWAIT | MSG_NOSIGNAL);
    }
    expect_served(250);
    for (int i = 0; i < LARGE; i++) {
        close(fds[i]);
    }
}

Test(gate, waits_for_the_answers_of_what_it_has_when_it_stops)
{
    start((struct gate_settings){0}, 0);
    int asked = dial(2, "");
    int silent = dial(2, "");

    expect_served(3);
    cr_assert_eq(send(asked, POST "12345", strlen(POST) + 5, 0), (ssize_t)strlen(POST) + 5);
    cr_expect_not_null(strstr(hear(asked, "127.0.0.2 5"), "200 OK"));
    server_stop(&server);
    cr_expect_str_empty(hear(silent, "x"));
    cr_expect_str_empty(hear(asked, "x"));
    close(asked);
    close(silent);
}
