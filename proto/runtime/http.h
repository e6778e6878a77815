/* http - an HTTP client that lives in the loop: libcurl's multi interface on the loop's descriptors
 * and timers. Nothing blocks, there is no thread, and a request costs no poll of its own.
 *
 * For whoever speaks to a provider: what such a caller must know to be safe is told with each
 * answer. `reached` says whether the provider may have seen the request: where it is false, sending
 * again does no harm; where it is true and there is no status, only the provider knows.
 *
 * One thread, that of the loop. Certificates are always verified, redirects are never followed
 * (a token must not travel on), only http and https are spoken, and no proxy that the environment
 * names is asked.
 */
#ifndef PROTO_RUNTIME_HTTP_H
#define PROTO_RUNTIME_HTTP_H

#include "proto/buf.h"
#include "proto/runtime/loop.h"

struct http;      /* connections, kept open between requests */
struct http_call; /* one request under way */

struct http_request {
    const char *method;         /* "GET", "POST" ... */
    const char *url;            /* http:// or https:// */
    const char *const *headers; /* "Name: value", ends with NULL; may be NULL */
    struct str body;            /* p NULL: none */
    int64_t timeout_ms;         /* > 0: from now to the last byte of the answer, also while it
                                   waits for its turn */
    size_t answer_max;          /* bytes of the answer's body; more is ERR_TOO_BIG */
};

struct http_answer {
    int err;    /* 0: there is a status, whichever. ERR_TIMEOUT; ERR_TOO_BIG; ERR_INVALID: such a
                   URL isn't spoken; ERR_UNAVAILABLE: name, connection, TLS, reset, shutdown */
    int status; /* 200 ..; 0 where there is none */
    struct str body;          /* borrowed for the callback */
    const char *content_type; /* "" where absent; borrowed */
    int64_t retry_after_ms;   /* Retry-After (RFC 9110 10.2.3), both of its forms; 0 where absent */
    bool reached;             /* the provider may have seen the request */
    const char *why;          /* libcurl's words for err; without URL or header; borrowed */
    const struct http_call *call; /* for http_header() */
};
typedef void http_done_fn(void *arg, const struct http_answer *answer);
/* The first header of that name (any case), borrowed for the callback; "" where there is none. */
const char *http_header(const struct http_answer *answer, const char *name);

/* At most `connections` (>= 1) at a time to one host; more requests wait for their turn. */
struct http *http_new(struct loop *loop, long connections);
/* Ends what is under way with ERR_UNAVAILABLE, then closes; who hears of it there must not send any
 * more. Not from inside a callback. Accepts NULL; sets *h_p to NULL. */
void http_free(struct http **h_p);

/* Sends. The request is copied. `fn` is called exactly once, never from inside, unless the call is
 * cancelled before; then it is gone: do not cancel it any more. */
struct http_call *http_send(struct http *h, const struct http_request *request, http_done_fn *fn,
                            void *arg);
/* Forgets it; the connection is closed, the provider may have seen it. Accepts NULL; sets *c_p to
 * NULL. */
void http_cancel(struct http *h, struct http_call **c_p);

#endif
