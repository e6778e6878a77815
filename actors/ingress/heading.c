#include "actors/ingress/heading.h"

#include <llhttp.h>
#include <string.h>
#include <strings.h>

static const struct refusal fine = {0, NULL};
static const struct refusal bad_line = {400, "The request's first line could not be understood."};
static const struct refusal bad_field = {400, "A header line of the request is not sound."};
static const struct refusal coded = {
    400, "A body must come with Content-Length, not with Transfer-Encoding."};

/* A part of the head, of which llhttp may tell in pieces that follow each other. */
struct span {
    const char *p;
    size_t n;
};

struct parse {
    struct span target;
    struct span names[HEADING_FIELDS + 1];
    struct span values[HEADING_FIELDS + 1];
    size_t field_n;
};

/* --- where it ends --------------------------------------------------------------------------- */

/* llhttp is lenient where lines end and go on: what others could read in another way ends here. */
enum heading_scan
heading_scan(const char *p, size_t n, size_t *seen, size_t *ret_n)
{
    for (size_t i = *seen; i < n; i++) {
        unsigned char c = (unsigned char)p[i];
        bool after_cr = i > 0 && p[i - 1] == '\r';
        bool folded = (c == ' ' || c == '\t') && i > 0 && p[i - 1] == '\n';
        if (after_cr != (c == '\n') || folded ||
            (c < 0x20 && c != '\r' && c != '\n' && c != '\t') || c == 0x7f) {
            return HEADING_BAD;
        }
        if (c == '\n' && i >= 3 && p[i - 2] == '\n') {
            *ret_n = i + 1;
            return HEADING_WHOLE;
        }
    }
    *seen = n;
    return HEADING_MORE;
}

/* --- what llhttp tells ----------------------------------------------------------------------- */

static void
extend(struct span *s, const char *p, size_t n)
{
    s->p = s->p != NULL ? s->p : p;
    s->n = (size_t)(p + n - s->p);
}

static int
on_target(llhttp_t *parser, const char *p, size_t n)
{
    struct parse *parse = parser->data;

    extend(&parse->target, p, n);
    return 0;
}

static int
on_name(llhttp_t *parser, const char *p, size_t n)
{
    struct parse *parse = parser->data;

    if (parse->field_n == HEADING_FIELDS) {
        return HPE_USER;
    }
    extend(&parse->names[parse->field_n], p, n);
    return 0;
}

static int
on_value(llhttp_t *parser, const char *p, size_t n)
{
    struct parse *parse = parser->data;

    extend(&parse->values[parse->field_n], p, n);
    return 0;
}

static int
on_field(llhttp_t *parser)
{
    struct parse *parse = parser->data;

    parse->field_n++;
    return 0;
}

/* The body is not its business. */
static int
on_whole(llhttp_t *parser)
{
    (void)parser;
    return HPE_PAUSED;
}

/* Its word for what is wrong, as ours. */
static struct refusal
refusal_of(llhttp_errno_t error)
{
    switch ((int)error) { /* it has more of them than concern a head */
    case HPE_PAUSED:
        return fine;
    case HPE_USER:
        return (struct refusal){431, "The request has more than 63 headers."};
    case HPE_INVALID_VERSION:
        return (struct refusal){505, "Only HTTP/1.1 and HTTP/1.0 are spoken here."};
    case HPE_INVALID_CONTENT_LENGTH:
        return (struct refusal){400, "Content-Length must be a whole number."};
    case HPE_UNEXPECTED_CONTENT_LENGTH:
        return (struct refusal){400, "Content-Length is given more than once, or with "
                                     "Transfer-Encoding."};
    case HPE_INVALID_TRANSFER_ENCODING:
        return coded;
    case HPE_INVALID_HEADER_TOKEN:
        return bad_field;
    default:
        return bad_line;
    }
}

/* --- its parts ------------------------------------------------------------------------------- */

/* /path?query, or http://authority/path?query: its parts are cut apart in place. */
static bool
take_target(char *p, struct heading *h)
{
    char *query;

    for (const char *c = p; *c != '\0'; c++) {
        if (*c <= ' ' || *c > '~' || *c == '#') {
            return false;
        }
    }
    if (strncasecmp(p, "http://", 7) == 0) {
        /* The authority moves to the front, to make room for its NUL. */
        size_t n = strcspn(p + 7, "/?");
        h->authority = memmove(p, p + 7, n);
        p[n] = '\0';
        p += 7 + n;
        if (n == 0 || *p != '/') {
            return false;
        }
    }
    query = strchr(p, '?');
    h->query = "";
    if (query != NULL) {
        *query = '\0';
        h->query = query + 1;
    }
    h->path = p;
    return *p == '/';
}

/* "QUERY /": llhttp doesn't know it, but it has the form of a method. */
static bool
names_a_method(const char *head, size_t n)
{
    size_t i = 0;

    while (i < n && ((head[i] >= 'A' && head[i] <= 'Z') || head[i] == '-')) {
        i++;
    }
    return i > 0 && i < n && head[i] == ' ';
}

/* Method, target and version stand at the begin and one blank apart; llhttp skips more. */
static bool
line_is_plain(const char *head, const char *method, const struct span *target)
{
    return target->p == head + strlen(method) + 1 &&
           target->p[target->n + sizeof(" HTTP/1.1") - 1] == '\r';
}

/* A part as a string: its NUL overwrites what stands behind it, a blank, a colon or a CR. */
static char *
text(char *head, struct span s)
{
    char *p = head + (s.p - head);

    p[s.n] = '\0';
    return p;
}

static bool
take_field(char *head, struct span name, struct span value, struct heading_field *ret)
{
    if (name.n == 0) {
        return false; /* a line that begins with its colon */
    }
    while (value.n > 0 && (value.p[value.n - 1] == ' ' || value.p[value.n - 1] == '\t')) {
        value.n--;
    }
    ret->name = text(head, name);
    ret->value = value.p != NULL ? text(head, value) : "";
    return true;
}

/* How its body comes, and whether another request may follow. */
static struct refusal
take_framing(const llhttp_t *parser, struct heading *h)
{
    if (heading_value(h, "Transfer-Encoding", NULL) != NULL) {
        bool understood = (parser->flags & F_CHUNKED) != 0 && parser->http_minor == 1;
        return (struct refusal){understood ? 501 : 400, coded.detail};
    }
    h->has_length = (parser->flags & F_CONTENT_LENGTH) != 0;
    h->length = parser->content_length;
    h->keep = llhttp_should_keep_alive(parser) != 0;
    return fine;
}

struct refusal
heading_parse(char *p, size_t n, struct heading *ret)
{
    llhttp_settings_t settings;
    llhttp_t parser;
    struct parse parse = {0};
    llhttp_errno_t error;
    struct refusal bad;

    llhttp_settings_init(&settings);
    settings.on_url = on_target;
    settings.on_header_field = on_name;
    settings.on_header_value = on_value;
    settings.on_header_value_complete = on_field;
    settings.on_headers_complete = on_whole;
    llhttp_init(&parser, HTTP_REQUEST, &settings);
    parser.data = &parse;
    *ret = (struct heading){0};
    error = llhttp_execute(&parser, p, n);
    if (error == HPE_INVALID_METHOD && names_a_method(p, n)) {
        return (struct refusal){405, "The request's method is unknown."};
    }
    bad = refusal_of(error);
    if (bad.status == 0 && parser.http_major != 1) { /* it knows 0.9 and 2.0, too */
        bad = refusal_of(HPE_INVALID_VERSION);
    }
    if (bad.status != 0) {
        return bad;
    }
    ret->method = llhttp_method_name((llhttp_method_t)parser.method);
    ret->minor = parser.http_minor;
    if (!line_is_plain(p, ret->method, &parse.target)) {
        return bad_line;
    }
    for (; ret->field_n < parse.field_n; ret->field_n++) {
        if (!take_field(p, parse.names[ret->field_n], parse.values[ret->field_n],
                        &ret->fields[ret->field_n])) {
            return bad_field;
        }
    }
    return take_target(text(p, parse.target), ret) ? take_framing(&parser, ret) : bad_line;
}

const char *
heading_value(const struct heading *h, const char *name, int *ret_count)
{
    const char *value = NULL;
    int count = 0;

    for (size_t i = 0; i < h->field_n; i++) {
        if (strcasecmp(h->fields[i].name, name) == 0) {
            value = value != NULL ? value : h->fields[i].value;
            count++;
        }
    }
    if (ret_count != NULL) {
        *ret_count = count;
    }
    return value;
}
