#include "proto/runtime/http.h"

#include "proto/err.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct http_call {
    struct http *http;
    struct http_call *next, **prev_p; /* all of one client */
    CURL *easy;
    struct curl_slist *headers;
    struct buf request, answer;
    struct loop_timer *deadline;
    size_t answer_max;
    bool too_big;
    char why[CURL_ERROR_SIZE];
    http_done_fn *fn;
    void *arg;
};

struct http {
    struct loop *loop;
    CURLM *multi;
    struct loop_timer *timer;
    struct http_call *calls;
};

static void finish(struct http *h);
static void too_late(void *arg);

/* --- libcurl in the loop --------------------------------------------------------------------- */

struct socket_watch {
    struct http *http;
    curl_socket_t fd;
    struct loop_watch *watch;
};

static void
socket_ready(void *arg, int events)
{
    struct socket_watch *w = arg;
    struct http *h = w->http;
    int running, bits = (events & LOOP_IN ? CURL_CSELECT_IN : 0) |
                        (events & LOOP_OUT ? CURL_CSELECT_OUT : 0);

    curl_multi_socket_action(h->multi, w->fd, bits, &running); /* may free w */
    finish(h);
}

static int
socket_changed(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket)
{
    struct http *h = arg;
    struct socket_watch *w = socket;
    int events = (what & CURL_POLL_IN ? LOOP_IN : 0) | (what & CURL_POLL_OUT ? LOOP_OUT : 0);

    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        if (w != NULL) {
            loop_unwatch(h->loop, &w->watch);
            free(w);
            curl_multi_assign(h->multi, fd, NULL);
        }
        return 0;
    }
    if (w == NULL) {
        w = xcalloc(1, sizeof(*w));
        w->http = h;
        w->fd = fd;
        w->watch = loop_watch_fd(h->loop, fd, events, socket_ready, w);
        curl_multi_assign(h->multi, fd, w);
    } else {
        loop_watch_events(w->watch, events);
    }
    return 0;
}

static void
time_over(void *arg)
{
    struct http *h = arg;
    int running;

    h->timer = NULL;
    curl_multi_socket_action(h->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    finish(h);
}

static int
timer_changed(CURLM *multi, long ms, void *arg)
{
    struct http *h = arg;

    (void)multi;
    loop_cancel(h->loop, &h->timer);
    if (ms >= 0) {
        h->timer = loop_timer(h->loop, ms, 0, time_over, h);
    }
    return 0;
}

/* --- life ------------------------------------------------------------------------------------ */

struct http *
http_new(struct loop *loop, long connections)
{
    struct http *h = xcalloc(1, sizeof(*h));

    curl_global_init(CURL_GLOBAL_DEFAULT); /* counts its callers */
    h->loop = loop;
    h->multi = curl_multi_init();
    if (h->multi == NULL) {
        abort(); /* no memory */
    }
    curl_multi_setopt(h->multi, CURLMOPT_SOCKETFUNCTION, socket_changed);
    curl_multi_setopt(h->multi, CURLMOPT_SOCKETDATA, h);
    curl_multi_setopt(h->multi, CURLMOPT_TIMERFUNCTION, timer_changed);
    curl_multi_setopt(h->multi, CURLMOPT_TIMERDATA, h);
    curl_multi_setopt(h->multi, CURLMOPT_MAX_HOST_CONNECTIONS, connections);
    curl_multi_setopt(h->multi, CURLMOPT_MAXCONNECTS, connections);
    return h;
}

/* Takes the call out of the client, which may end before the call then. */
static void
call_leave(struct http_call *c)
{
    *c->prev_p = c->next;
    if (c->next != NULL) {
        c->next->prev_p = c->prev_p;
    }
    loop_cancel(c->http->loop, &c->deadline);
    curl_multi_remove_handle(c->http->multi, c->easy);
}

static void
call_free(struct http_call *c)
{
    curl_easy_cleanup(c->easy);
    curl_slist_free_all(c->headers);
    buf_fini(&c->request);
    buf_fini(&c->answer);
    free(c);
}

void
http_free(struct http **h_p)
{
    struct http *h = *h_p;

    if (h == NULL) {
        return;
    }
    while (h->calls != NULL) {
        struct http_call *c = h->calls;
        call_leave(c);
        c->fn(c->arg, &(struct http_answer){.err = ERR_UNAVAILABLE,
                                            .content_type = "",
                                            .reached = true,
                                            .why = "the client is closed",
                                            .call = c});
        call_free(c);
    }
    curl_multi_cleanup(h->multi);
    loop_cancel(h->loop, &h->timer);
    curl_global_cleanup();
    free(h);
    *h_p = NULL;
}

/* --- a request ------------------------------------------------------------------------------- */

static size_t
take_body(char *p, size_t size, size_t n, void *arg)
{
    struct http_call *c = arg;

    if (size * n > c->answer_max - c->answer.n) {
        c->too_big = true;
        return 0; /* ends the transfer */
    }
    buf_add(&c->answer, p, size * n);
    return size * n;
}

static void
set_request(struct http_call *c, const struct http_request *request)
{
    CURL *easy = c->easy;

    for (size_t i = 0; request->headers != NULL && request->headers[i] != NULL; i++) {
        c->headers = curl_slist_append(c->headers, request->headers[i]);
    }
    /* No waiting for 100 Continue: our bodies are small. */
    c->headers = curl_slist_append(c->headers, "Expect:");
    curl_easy_setopt(easy, CURLOPT_URL, request->url);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, c->headers);
    if (request->body.p != NULL) {
        buf_add_str(&c->request, request->body);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, (long)c->request.n);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, buf_c(&c->request));
    }
    if (strcmp(request->method, "HEAD") == 0) {
        curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
    } else {
        curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request->method);
    }
    curl_easy_setopt(easy, CURLOPT_PROXY, ""); /* nor what http_proxy says */
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, c);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, c->why);
    curl_easy_setopt(easy, CURLOPT_PRIVATE, c);
}

struct http_call *
http_send(struct http *h, const struct http_request *request, http_done_fn *fn, void *arg)
{
    struct http_call *c = xcalloc(1, sizeof(*c));

    c->http = h;
    c->fn = fn;
    c->arg = arg;
    c->answer_max = request->answer_max;
    c->easy = curl_easy_init();
    if (c->easy == NULL) {
        abort(); /* no memory */
    }
    set_request(c, request);
    c->next = h->calls;
    c->prev_p = &h->calls;
    if (c->next != NULL) {
        c->next->prev_p = &c->next;
    }
    h->calls = c;
    /* libcurl's own would not begin before there is a connection for it. */
    c->deadline = loop_timer(h->loop, request->timeout_ms, 0, too_late, c);
    curl_multi_add_handle(h->multi, c->easy); /* begins in the next turn, by the timer */
    return c;
}

void
http_cancel(struct http *h, struct http_call **c_p)
{
    (void)h;
    if (*c_p != NULL) {
        call_leave(*c_p);
        call_free(*c_p);
        *c_p = NULL;
    }
}

/* --- an answer ------------------------------------------------------------------------------- */

static int
err_of(const struct http_call *c, CURLcode code)
{
    if (c->too_big) {
        return ERR_TOO_BIG;
    }
    switch ((int)code) {
    case CURLE_OK:
        return 0;
    case CURLE_OPERATION_TIMEDOUT:
        return ERR_TIMEOUT;
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_URL_MALFORMAT:
        return ERR_INVALID;
    default:
        return ERR_UNAVAILABLE;
    }
}

/* Sends the call's answer to its owner. The call is gone from the client before, so that the owner
 * may do as it likes. */
static void
answer(struct http_call *c, CURLcode code)
{
    struct http_answer a = {.err = err_of(c, code),
                            .content_type = "",
                            .body = buf_str(&c->answer),
                            .why = "",
                            .call = c};
    curl_off_t retry_after = 0;
    long status = 0, written = 0;

    call_leave(c);
    curl_easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(c->easy, CURLINFO_REQUEST_SIZE, &written);
    curl_easy_getinfo(c->easy, CURLINFO_RETRY_AFTER, &retry_after);
    a.content_type = http_header(&a, "Content-Type");
    a.reached = written > 0;
    if (a.err == 0) {
        a.status = (int)status;
        a.retry_after_ms = retry_after * 1000;
    } else {
        a.why = c->too_big  ? "the answer is too big"
                : c->why[0] ? c->why
                            : curl_easy_strerror(code);
    }
    c->fn(c->arg, &a);
    call_free(c);
}

const char *
http_header(const struct http_answer *a, const char *name)
{
    struct curl_header *header;

    if (curl_easy_header(a->call->easy, name, 0, CURLH_HEADER, -1, &header) != CURLHE_OK) {
        return "";
    }
    return header->value;
}

static void
too_late(void *arg)
{
    struct http_call *c = arg;

    c->deadline = NULL;
    answer(c, CURLE_OPERATION_TIMEDOUT);
}

static void
finish(struct http *h)
{
    CURLMsg *m;
    int left;

    while ((m = curl_multi_info_read(h->multi, &left)) != NULL) {
        struct http_call *c;
        curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&c);
        answer(c, m->data.result);
    }
}
