#include "actors/ingress/request.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const struct refusal fine = {0, NULL};
static const char too_long[] = "A body may have at most 262144 bytes.";

static struct refusal
refuse(int status, const char *detail)
{
    return (struct refusal){.status = status, .detail = detail};
}

const char *
request_header(const struct request *r, const char *name)
{
    return heading_value(r->heading, name, NULL);
}

/* --- Accept --------------------------------------------------------------------------------- */

/* The weight of one entry "type/sub;q=0.8": 0..1000. */
static int
weight(struct str parameters)
{
    for (size_t i = 0; i + 2 < parameters.n; i++) {
        if (parameters.p[i] != ';') {
            continue;
        }
        struct str p = str_trim((struct str){parameters.p + i + 1, parameters.n - i - 1});
        if (p.n >= 3 && (p.p[0] | 0x20) == 'q' && p.p[1] == '=') {
            int q = p.p[2] == '1' ? 1000 : 0;
            int scale = 100;
            for (size_t j = 4; j < p.n && isdigit((unsigned char)p.p[j]) && q < 1000; j++) {
                q += (p.p[j] - '0') * scale;
                scale /= 10;
            }
            return q;
        }
    }
    return 1000;
}

bool
accept_prefers_html(const char *accept)
{
    int html = -1;
    int json = -1;

    for (const char *p = accept; p != NULL && *p != '\0';) {
        size_t n = strcspn(p, ",");
        struct str entry = str_trim((struct str){p, n});
        size_t type_n = 0;
        while (type_n < entry.n && entry.p[type_n] != ';' && entry.p[type_n] != ' ') {
            type_n++;
        }
        int q = weight((struct str){entry.p + type_n, entry.n - type_n});
        struct str type = {entry.p, type_n};
        if (str_is(type, "text/html") || str_is(type, "application/xhtml+xml")) {
            html = q > html ? q : html;
        } else if (str_is(type, "application/json") || str_is(type, "application/problem+json")) {
            json = q > json ? q : json;
        }
        p += n + (p[n] == ',');
    }
    return html > 0 && html >= json;
}

/* --- the head ------------------------------------------------------------------------------- */

/* The `nth` address from the right, over all lines of X-Forwarded-For; {NULL, 0}: there are fewer.
 */
static struct str
forwarded(const struct heading *h, unsigned nth)
{
    for (size_t i = h->field_n; i > 0; i--) {
        struct str rest = str_of(h->fields[i - 1].value);
        if (strcasecmp(h->fields[i - 1].name, "X-Forwarded-For") != 0) {
            continue;
        }
        while (rest.n > 0) {
            size_t at = rest.n;
            while (at > 0 && rest.p[at - 1] != ',') {
                at--;
            }
            if (--nth == 0) {
                return str_trim((struct str){rest.p + at, rest.n - at});
            }
            rest.n = at > 0 ? at - 1 : 0;
        }
    }
    return (struct str){NULL, 0};
}

/* Who asks, where `proxies` trusted proxies each appended the address that they were asked from. */
static void
find_address(const struct heading *h, const char *peer, unsigned proxies, char ret[64])
{
    struct str found = {NULL, 0};

    for (unsigned i = proxies; i > 0 && found.n == 0; i--) {
        found = forwarded(h, i);
    }
    if (found.n == 0 || found.n >= 64) {
        found = str_of(peer);
    }
    memcpy(ret, found.p, found.n);
    ret[found.n] = '\0';
}

/* One Host, that could be one, and the one of the target where that names one. */
static struct refusal
check_host(const struct heading *h)
{
    static const char chars[] =
        "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-._~:[]%";
    int count;
    const char *host = heading_value(h, "Host", &count);

    if (count > 1 || (host == NULL && h->minor > 0) || (host != NULL && *host == '\0')) {
        return refuse(400, "The request needs one Host header.");
    }
    if (host != NULL && host[strspn(host, chars)] != '\0') {
        return refuse(400, "The Host header names no host.");
    }
    if (h->authority != NULL && (host == NULL || strcasecmp(h->authority, host) != 0)) {
        return refuse(400, "The request's target and its Host header name different hosts.");
    }
    return fine;
}

struct refusal
request_init(const struct heading *heading, const char *peer, unsigned proxies, struct request *ret)
{
    *ret = (struct request){.heading = heading,
                            .has_length = heading->has_length,
                            .length = heading->length,
                            .keep = heading->keep};
    ret->path = str_of(heading->path);
    ret->query = str_of(heading->query);
    ret->head_only = strcmp(heading->method, "HEAD") == 0;
    ret->html = accept_prefers_html(heading_value(heading, "Accept", NULL));
    ret->media = form_media(heading_value(heading, "Content-Type", NULL));
    find_address(heading, peer, proxies, ret->address);
    if (ret->path.n > REQUEST_PATH_MAX) {
        return refuse(414, "The path is longer than 512 bytes.");
    }
    return check_host(heading);
}

void
request_fini(struct request *r)
{
    buf_fini(&r->body);
}

struct str
request_parameter(const struct request *r, const char *name)
{
    size_t n = strlen(name);

    for (size_t at = 0; at < r->query.n;) {
        const char *p = r->query.p + at;
        const char *amp = memchr(p, '&', r->query.n - at);
        size_t len = amp != NULL ? (size_t)(amp - p) : r->query.n - at;
        if (len > n && p[n] == '=' && memcmp(p, name, n) == 0) {
            return (struct str){p + n + 1, len - n - 1};
        }
        at += len + 1;
    }
    return (struct str){NULL, 0};
}

/* --- the body ------------------------------------------------------------------------------- */

struct refusal
request_check_body(const struct request *r)
{
    const char *expect = request_header(r, "Expect");

    if (!r->has_length) {
        return refuse(411, "The request needs a body with Content-Length.");
    }
    if (r->length > FORM_MAX_BODY) {
        return refuse(413, too_long);
    }
    if (r->media == FORM_MEDIA_NONE || r->media == FORM_MEDIA_OTHER) {
        return refuse(415, "The body must be application/json or "
                           "application/x-www-form-urlencoded, in UTF-8.");
    }
    if (request_header(r, "Content-Encoding") != NULL &&
        strcasecmp(request_header(r, "Content-Encoding"), "identity") != 0) {
        return refuse(415, "The body must not be compressed.");
    }
    if (expect != NULL && strcasecmp(expect, "100-continue") != 0) {
        return refuse(417, "The only expectation that can be met is 100-continue.");
    }
    return fine;
}
