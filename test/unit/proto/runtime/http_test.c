/* Against a server that lives in the same loop, and does what its path says. */
#include "proto/runtime/http.h"

#include "proto/err.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct peer {
    int fd;
    struct loop_watch *watch;
    struct buf in;
};

static struct {
    struct loop *loop;
    struct http *http;
    struct loop_watch *accepting;
    struct peer peers[128];
    int fd, port, peer_n, request_n;
    char last[4096]; /* the newest request, head and body */
} house;

static void
say(struct peer *p, const char *answer)
{
    cr_assert_eq(write(p->fd, answer, strlen(answer)), (ssize_t)strlen(answer));
}

static void
hang_up(struct peer *p)
{
    loop_unwatch(house.loop, &p->watch);
    close(p->fd);
    buf_fini(&p->in);
}

static void
serve(struct peer *p, const char *request)
{
    house.request_n++;
    snprintf(house.last, sizeof(house.last), "%s", request);
    if (strstr(request, " /ok ")) {
        say(p, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nX-Request-Id: r7\r\n"
               "Content-Length: 5\r\n\r\nhello");
    } else if (strstr(request, " /busy ")) {
        say(p, "HTTP/1.1 503 Busy\r\nRetry-After: 2\r\nContent-Length: 0\r\n\r\n");
    } else if (strstr(request, " /moved ")) {
        say(p, "HTTP/1.1 302 Found\r\nLocation: /ok\r\nContent-Length: 0\r\n\r\n");
    } else if (strstr(request, " /endless ")) {
        say(p, "HTTP/1.1 200 "
               "OK\r\n\r\naaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
    } else if (strstr(request, " /cut ")) {
        hang_up(p);
    } /* else it is silent */
}

static void
read_peer(void *arg, int events)
{
    struct peer *p = arg;
    ssize_t n = read(p->fd, buf_reserve(&p->in, 4096), 4096);
    const char *end, *length;

    (void)events;
    if (n <= 0) {
        hang_up(p);
        return;
    }
    p->in.n += (size_t)n;
    end = strstr(buf_c(&p->in), "\r\n\r\n");
    if (end == NULL) {
        return;
    }
    length = strcasestr(p->in.p, "\r\nContent-Length: ");
    if (length == NULL || strlen(end + 4) >= (size_t)atol(length + 18)) {
        struct buf request = p->in;
        p->in = (struct buf){0};
        serve(p, request.p);
        buf_fini(&request);
    }
}

static void
take_peer(void *arg, int events)
{
    struct peer *p = &house.peers[house.peer_n++];

    (void)arg, (void)events;
    cr_assert_lt(house.peer_n, 128);
    p->fd = accept(house.fd, NULL, NULL);
    p->watch = loop_watch_fd(house.loop, p->fd, LOOP_IN, read_peer, p);
}

static void
open_house(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(a);

    setenv("http_proxy", "http://127.0.0.1:1", 1); /* nobody listens: whoever asks it fails */
    house.loop = loop_new();
    house.http = http_new(house.loop, 4);
    house.fd = socket(AF_INET, SOCK_STREAM, 0);
    cr_assert_eq(bind(house.fd, (struct sockaddr *)&a, sizeof(a)), 0);
    cr_assert_eq(listen(house.fd, 128), 0);
    getsockname(house.fd, (struct sockaddr *)&a, &n);
    house.port = ntohs(a.sin_port);
    house.accepting = loop_watch_fd(house.loop, house.fd, LOOP_IN, take_peer, NULL);
}

static void
close_house(void)
{
    http_free(&house.http);
    for (int i = 0; i < house.peer_n; i++) {
        if (house.peers[i].watch != NULL) {
            hang_up(&house.peers[i]);
        }
    }
    loop_unwatch(house.loop, &house.accepting);
    close(house.fd);
    loop_free(&house.loop);
}

TestSuite(http, .init = open_house, .fini = close_house, .timeout = 20);

struct seen {
    int n, err, status;
    int64_t retry_after_ms;
    bool reached;
    char body[128], type[64], request_id[64], absent[64], why[256];
};

static void
see(void *arg, const struct http_answer *a)
{
    struct seen *s = arg;

    s->n++;
    s->err = a->err;
    s->status = a->status;
    s->retry_after_ms = a->retry_after_ms;
    s->reached = a->reached;
    snprintf(s->body, sizeof(s->body), "%.*s", STR_ARG(a->body));
    snprintf(s->type, sizeof(s->type), "%s", a->content_type);
    snprintf(s->request_id, sizeof(s->request_id), "%s", http_header(a, "x-request-id"));
    snprintf(s->absent, sizeof(s->absent), "%s", http_header(a, "X-Absent"));
    snprintf(s->why, sizeof(s->why), "%s", a->why);
}

static struct http_call *
ask(const char *path, struct str body, int64_t timeout_ms, struct seen *s)
{
    static const char *const headers[] = {"Authorization: Bearer t0k3n", NULL};
    char url[128];

    snprintf(url, sizeof(url), "http://127.0.0.1:%d%s", house.port, path);
    return http_send(house.http,
                     &(struct http_request){.method = body.p ? "POST" : "GET",
                                            .url = url,
                                            .headers = headers,
                                            .body = body,
                                            .timeout_ms = timeout_ms,
                                            .answer_max = 32},
                     see, s);
}

static void
turn_until(const int *n, int wanted)
{
    for (int64_t end = clock_ms() + 10000; *n < wanted && clock_ms() < end;) {
        loop_turn(house.loop, 100);
    }
    cr_assert_eq(*n, wanted);
}

Test(http, an_answer_has_its_status_headers_and_body)
{
    struct seen s = {0};

    ask("/ok", STR("{\"a\":1}"), 5000, &s);
    cr_assert_eq(s.n, 0, "called from inside");
    turn_until(&s.n, 1);
    cr_assert_eq(s.err, 0, "%s", s.why);
    cr_assert_eq(s.status, 200);
    cr_assert_str_eq(s.body, "hello");
    cr_assert_str_eq(s.type, "text/plain");
    cr_assert_str_eq(s.request_id, "r7");
    cr_assert_str_eq(s.absent, "");
    cr_assert(s.reached);
    cr_assert_not_null(strstr(house.last, "POST /ok HTTP/1.1\r\n"));
    cr_assert_not_null(strstr(house.last, "Authorization: Bearer t0k3n\r\n"));
    cr_assert_not_null(strstr(house.last, "\r\n\r\n{\"a\":1}"));
    cr_assert_null(strstr(house.last, "Expect"));
}

Test(http, a_connection_is_used_again)
{
    struct seen s = {0};

    for (int i = 1; i <= 5; i++) {
        ask("/ok", (struct str){0}, 5000, &s);
        turn_until(&s.n, i);
    }
    cr_assert_eq(house.peer_n, 1);
    cr_assert_eq(house.request_n, 5);
}

Test(http, a_hundred_at_once_share_the_allowed_connections)
{
    struct seen s = {0};

    for (int i = 0; i < 100; i++) {
        ask("/ok", (struct str){0}, 10000, &s);
    }
    turn_until(&s.n, 100);
    cr_assert_eq(s.err, 0, "%s", s.why);
    cr_assert_leq(house.peer_n, 4);
}

Test(http, a_status_is_no_error_and_says_when_to_come_back)
{
    struct seen s = {0};

    ask("/busy", (struct str){0}, 5000, &s);
    turn_until(&s.n, 1);
    cr_assert_eq(s.err, 0);
    cr_assert_eq(s.status, 503);
    cr_assert_eq(s.retry_after_ms, 2000);
}

Test(http, a_redirect_is_told_and_not_followed)
{
    struct seen s = {0};

    ask("/moved", (struct str){0}, 5000, &s);
    turn_until(&s.n, 1);
    cr_assert_eq(s.status, 302);
    cr_assert_eq(house.request_n, 1);
}

Test(http, silence_ends_in_time_and_may_have_been_heard)
{
    struct seen s = {0};

    ask("/silent", (struct str){0}, 100, &s);
    turn_until(&s.n, 1);
    cr_assert_eq(s.err, ERR_TIMEOUT, "%s", s.why);
    cr_assert(s.reached);
    cr_assert_eq(s.status, 0);
}

Test(http, waiting_for_a_connection_counts_as_time)
{
    static struct seen slow; /* told when the client closes, after this function */
    struct seen s = {0};
    int64_t start = clock_ms();

    for (int i = 0; i < 4; i++) {
        ask("/silent", (struct str){0}, 8000, &slow);
    }
    turn_until(&house.request_n, 4);
    ask("/ok", (struct str){0}, 100, &s);
    turn_until(&s.n, 1);
    cr_assert_eq(s.err, ERR_TIMEOUT, "%s", s.why);
    cr_assert_not(s.reached, "it never had a connection");
    cr_assert_lt(clock_ms() - start, 4000);
}

Test(http, a_connection_that_is_cut_after_the_request_may_have_been_heard)
{
    struct seen s = {0};

    ask("/cut", STR("x"), 5000, &s);
    turn_until(&s.n, 1);
    cr_assert_eq(s.err, ERR_UNAVAILABLE, "%s", s.why);
    cr_assert(s.reached);
}

Test(http, a_refused_connection_was_certainly_not_heard)
{
    struct seen s = {0};

    loop_unwatch(house.loop, &house.accepting);
    close(house.fd);
    ask("/ok", (struct str){0}, 5000, &s);
    turn_until(&s.n, 1);
    cr_assert_eq(s.err, ERR_UNAVAILABLE);
    cr_assert_not(s.reached);
    cr_assert_neq(s.why[0], '\0');
}

Test(http, more_than_the_allowed_bytes_are_not_read)
{
    struct seen s = {0};

    ask("/endless", (struct str){0}, 5000, &s);
    turn_until(&s.n, 1);
    cr_assert_eq(s.err, ERR_TOO_BIG);
}

Test(http, what_is_no_web_address_is_refused)
{
    struct seen s = {0};
    struct http_request r = {.method = "GET", .url = "file:///etc/passwd", .timeout_ms = 1000};

    http_send(house.http, &r, see, &s);
    turn_until(&s.n, 1);
    cr_assert_eq(s.err, ERR_INVALID);
    r.url = "http://[";
    http_send(house.http, &r, see, &s);
    turn_until(&s.n, 2);
    cr_assert_eq(s.err, ERR_INVALID);
    cr_assert_not(s.reached);
}

Test(http, a_cancelled_call_says_nothing_and_others_go_on)
{
    struct seen cancelled = {0}, other = {0};
    struct http_call *call = ask("/silent", (struct str){0}, 5000, &cancelled);

    turn_until(&house.request_n, 1);
    ask("/ok", (struct str){0}, 5000, &other);
    http_cancel(house.http, &call);
    cr_assert_null(call);
    turn_until(&other.n, 1);
    cr_assert_eq(other.err, 0);
    cr_assert_eq(cancelled.n, 0);
}

Test(http, closing_the_client_ends_what_is_under_way)
{
    struct seen s = {0};

    ask("/silent", (struct str){0}, 5000, &s);
    turn_until(&house.request_n, 1);
    http_free(&house.http);
    cr_assert_eq(s.n, 1);
    cr_assert_eq(s.err, ERR_UNAVAILABLE);
    cr_assert(s.reached);
}

static void
ask_again(void *arg, const struct http_answer *a)
{
    struct seen *s = arg;

    if (a != NULL) {
        see(s, a);
    }
    if (s->n < 3) {
        char url[64];
        snprintf(url, sizeof(url), "http://127.0.0.1:%d/ok", house.port);
        http_send(house.http,
                  &(struct http_request){
                      .method = "GET", .url = url, .timeout_ms = 5000, .answer_max = 32},
                  ask_again, s);
    }
}

Test(http, the_next_request_may_be_sent_from_the_answer_of_the_last)
{
    struct seen s = {0};

    ask_again(&s, NULL);
    turn_until(&s.n, 3);
    cr_assert_eq(s.status, 200);
    cr_assert_eq(house.peer_n, 1);
}
