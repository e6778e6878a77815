/* request - one HTTP request: is its head sound in what it means, who asks, what for, and its body.
 *
 * A body comes with one Content-Length; Transfer-Encoding is refused (with a length it is the shape
 * of request smuggling). Pure, but for what it is given to fill.
 */
#ifndef ACTORS_INGRESS_REQUEST_H
#define ACTORS_INGRESS_REQUEST_H

#include "actors/ingress/form.h"
#include "actors/ingress/heading.h"
#include "proto/buf.h"
#include "proto/str.h"

#include <stdbool.h>
#include <stddef.h>

#define REQUEST_PATH_MAX 512

struct request {
    const struct heading *heading;
    struct str path;  /* as sent, without the query; starts with / */
    struct str query; /* without the ? */
    bool head_only;   /* HEAD */
    bool html;        /* the client would rather have a page than JSON */
    uint64_t length;  /* Content-Length; 0 where there is none */
    bool has_length;
    bool keep; /* the client would keep the connection */
    enum form_media media;
    char address[64]; /* of the client: the socket's, or what a trusted proxy says */
    struct buf body;
};

/* `peer` is the socket's address; `proxies` trusted proxies stand before us: the client is the
 * proxies-th address from the right of X-Forwarded-For. `heading` is borrowed as long as *ret is
 * used, which is filled even where it is refused. */
struct refusal request_init(const struct heading *heading, const char *peer, unsigned proxies,
                            struct request *ret);
void request_fini(struct request *r);

/* Checks that the body is one that we read: its length is given and within FORM_MAX_BODY, and its
 * type is known. */
struct refusal request_check_body(const struct request *r);

/* A header's value, NULL where absent. */
const char *request_header(const struct request *r, const char *name);
/* A parameter of the query as it stands there; {NULL, 0} where absent. */
struct str request_parameter(const struct request *r, const char *name);

/* True where an Accept header prefers a page: it names text/html or application/xhtml+xml, and
 * application/json not with a greater weight. Programs that say nothing, or anything, get JSON. */
bool accept_prefers_html(const char *accept);

#endif
