#include "actors/ingress/request.h"

#include "proto/runtime/loop.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define DRAIN_MAX (8 * 1024 * 1024)
#define DRAIN_MS 2000

static const struct refusal fine = {0, NULL};

static struct refusal
refuse(int status, const char *detail)
{
    return (struct refusal){.status = status, .detail = detail};
}

static const char *
header_of(const struct mg_request_info *info, const char *name, int *ret_count)
{
    const char *value = NULL;
    int count = 0;

    for (int i = 0; i < info->num_headers; i++) {
        if (strcasecmp(info->http_headers[i].name, name) == 0) {
            value = value != NULL ? value : info->http_headers[i].value;
            count++;
        }
    }
    if (ret_count != NULL) {
        *ret_count = count;
    }
    return value;
}

const char *
request_header(const struct request *r, const char *name)
{
    return header_of(r->info, name, NULL);
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

/* Who asks, where `proxies` trusted proxies each appended the address that they were asked from. */
static void
find_address(const struct mg_request_info *info, unsigned proxies, char ret[64])
{
    const char *list = header_of(info, "X-Forwarded-For", NULL);
    struct str rest = str_of(list);
    struct str found = str_of(info->remote_addr);

    for (unsigned i = 0; i < proxies && rest.n > 0; i++) {
        size_t at = rest.n;
        while (at > 0 && rest.p[at - 1] != ',') {
            at--;
        }
        found = str_trim((struct str){rest.p + at, rest.n - at});
        rest.n = at > 0 ? at - 1 : 0;
    }
    if (found.n >= 64) {
        found = str_of(info->remote_addr);
    }
    memcpy(ret, found.p, found.n);
    ret[found.n] = '\0';
}

/* Content-Length as RFC 9110 has it: digits and nothing else. */
static struct refusal
read_length(struct request *r)
{
    int count;
    const char *value = header_of(r->info, "Content-Length", &count);

    if (header_of(r->info, "Transfer-Encoding", NULL) != NULL) {
        return refuse(count > 0 ? 400 : 501, "A body must come with Content-Length, not with "
                                             "Transfer-Encoding.");
    }
    if (count > 1) {
        return refuse(400, "Content-Length is given more than once.");
    }
    if (value == NULL) {
        return fine;
    }
    r->has_length = true;
    if (*value == '\0') {
        return refuse(400, "Content-Length must be a whole number.");
    }
    for (const char *c = value; *c != '\0'; c++) {
        if (*c < '0' || *c > '9') {
            return refuse(400, "Content-Length must be a whole number.");
        }
        r->length = r->length * 10 + (size_t)(*c - '0');
        if (c - value >= 15) {
            return refuse(413, "A body may have at most 262144 bytes.");
        }
    }
    return fine;
}

struct refusal
request_init(struct mg_connection *conn, const struct mg_request_info *info, unsigned proxies,
             struct request *ret)
{
    const char *host;
    struct refusal bad;
    int hosts;

    *ret = (struct request){.conn = conn, .info = info};
    ret->path = str_of(info->local_uri_raw != NULL ? info->local_uri_raw : "/");
    ret->query = str_of(info->query_string);
    ret->head_only = strcmp(info->request_method, "HEAD") == 0;
    ret->html = accept_prefers_html(header_of(info, "Accept", NULL));
    ret->media = form_media(header_of(info, "Content-Type", NULL));
    find_address(info, proxies, ret->address);
    if (info->num_headers >= REQUEST_HEADERS_MAX) {
        return refuse(431, "The request has more than 63 headers.");
    }
    if (ret->path.n > REQUEST_PATH_MAX) {
        return refuse(414, "The path is longer than 512 bytes.");
    }
    bad = read_length(ret);
    if (bad.status != 0) {
        return bad;
    }
    host = header_of(info, "Host", &hosts);
    if (hosts > 1 || (host == NULL && strcmp(info->http_version, "1.0") != 0) ||
        (host != NULL && *host == '\0')) {
        return refuse(400, "The request needs one Host header.");
    }
    return fine;
}

/* RFC 9110, 5.6.2: what a header's name is made of. */
static bool
is_token(const char *name)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                  "!#$%&'*+-.^_`|~";

    return name[0] != '\0' && name[strspn(name, allowed)] == '\0';
}

/* CivetWeb 1.15 takes a line that begins with a blank, a colon, a byte that is no ASCII or a lone
 * CR for the end of the headers, and says nothing of those behind it: of a Content-Length, for
 * instance, so that the body would be the next request. It takes a lone LF for the end of a line,
 * blanks before a colon, and any name. Another server in front of us may read these otherwise. */
bool
request_head_whole(const struct mg_request_info *info)
{
    const char *at = info->http_version + strlen(info->http_version) + 2;

    for (int i = 0; i < info->num_headers; i++) {
        const struct mg_header *h = &info->http_headers[i];
        if (h->name != at || !is_token(at)) {
            return false;
        }
        at += strlen(at) + 1;
        while (at < h->value && (*at == ' ' || *at == '\t')) {
            at++;
        }
        if (h->value != at) {
            return false;
        }
        at += strlen(at) + 1;
        if (*at++ != '\0') {
            return false; /* its line ended with LF alone */
        }
    }
    /* The empty line: CivetWeb has put a NUL for the last byte of the head, and for all blanks and
     * line ends behind the version. */
    return at[0] == (info->num_headers > 0 ? '\r' : '\0') && at[1] == '\0';
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
        return refuse(413, "A body may have at most 262144 bytes.");
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

struct refusal
request_read_body(struct request *r)
{
    if (r->length == 0) {
        return fine;
    }
    if (request_header(r, "Expect") != NULL) {
        static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
        mg_write(r->conn, go_on, sizeof(go_on) - 1);
    }
    char *to = buf_reserve(&r->body, r->length);
    while (r->body.n < r->length) {
        int n = mg_read(r->conn, to + r->body.n, r->length - r->body.n);
        if (n <= 0) {
            return refuse(408, "The body did not arrive in time.");
        }
        r->body.n += (size_t)n;
    }
    return fine;
}

void
request_drain(const struct request *r)
{
    char scrap[8192];
    int64_t until = clock_ms() + DRAIN_MS;
    size_t left = DRAIN_MAX;
    int n;

    if (!r->has_length && request_header(r, "Transfer-Encoding") == NULL) {
        return;
    }
    if (request_header(r, "Expect") != NULL) {
        return; /* it waits for our word and has sent nothing */
    }
    while (left > 0 && clock_ms() < until && (n = mg_read(r->conn, scrap, sizeof(scrap))) > 0) {
        left = left > (size_t)n ? left - (size_t)n : 0;
    }
}
