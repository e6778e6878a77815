/* request - one HTTP request on a worker thread: is its head sound, who asks, what for, and its
 * body.
 *
 * What CivetWeb 1.15 lets through and we don't: two lengths, Transfer-Encoding (with a length it is
 * the shape of request smuggling), headers behind a line that it takes for their end, a missing
 * Host, more headers than it keeps, bodies of any size and of any slowness.
 */
#ifndef ACTORS_INGRESS_REQUEST_H
#define ACTORS_INGRESS_REQUEST_H

#include "actors/ingress/form.h"
#include "proto/buf.h"
#include "proto/str.h"

#include <civetweb.h>
#include <stdbool.h>
#include <stddef.h>

#define REQUEST_HEADERS_MAX 64 /* CivetWeb keeps no more, and doesn't say so */
#define REQUEST_PATH_MAX 512

/* What is wrong with a request, as status and words; status 0 = nothing. */
struct refusal {
    int status;
    const char *detail; /* static */
};

struct request {
    struct mg_connection *conn;
    const struct mg_request_info *info;
    struct str path;  /* as sent, without the query; starts with / */
    struct str query; /* without the ? */
    bool head_only;   /* HEAD */
    bool html;        /* the client would rather have a page than JSON */
    size_t length;    /* Content-Length; 0 where there is none */
    bool has_length;
    enum form_media media;
    char address[64]; /* of the client: the socket's, or what a trusted proxy says */
    struct buf body;
};

/* Looks at the head only. `proxies` trusted proxies stand before us: the client is the proxies-th
 * address from the right of X-Forwarded-For. Pure but for *ret. */
struct refusal request_init(struct mg_connection *conn, const struct mg_request_info *info,
                            unsigned proxies, struct request *ret);
void request_fini(struct request *r);

/* True if each line of the head is a header of RFC 9112 (name, colon, value, CR LF) that CivetWeb
 * has read. To be asked of a head that CivetWeb has read and nobody has changed: its info
 * points into the head as it came, with NULs where a text ends. */
bool request_head_whole(const struct mg_request_info *info);

/* Checks that a body may follow (length given and within FORM_MAX_BODY, a type that we read). */
struct refusal request_check_body(const struct request *r);
/* Answers Expect: 100-continue and reads the body. The patience table ends the wait. */
struct refusal request_read_body(struct request *r);
/* Reads and forgets what the client still sends, within reason, so that an early answer reaches it
 * (a socket that is closed with unread bytes takes the answer with it). */
void request_drain(const struct request *r);

/* A header's value, NULL where absent. */
const char *request_header(const struct request *r, const char *name);
/* A parameter of the query as it stands there; {NULL, 0} where absent. */
struct str request_parameter(const struct request *r, const char *name);

/* True where an Accept header prefers a page: it names text/html or application/xhtml+xml, and
 * application/json not with a greater weight. Programs that say nothing, or anything, get JSON. */
bool accept_prefers_html(const char *accept);

#endif
