#include "actors/ingress/heading.h"

#include <string.h>
#include <strings.h>

static const struct refusal fine = {0, NULL};
static const struct refusal bad_line = {400, "The request's first line could not be understood."};
static const struct refusal bad_field = {400, "A header line of the request is not sound."};

/* Not <ctype.h>: no locale may have a say in this. */
static bool
is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool
is_token_char(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

/* How many bytes of `p` up to its NUL are of a token. */
static size_t
token_length(const char *p)
{
    size_t n = 0;

    while (is_token_char(p[n])) {
        n++;
    }
    return n;
}

/* --- where it ends --------------------------------------------------------------------------- */

enum heading_scan
heading_scan(const char *p, size_t n, size_t *seen, size_t *ret_n)
{
    for (size_t i = *seen; i < n; i++) {
        unsigned char c = (unsigned char)p[i];
        bool after_cr = i > 0 && p[i - 1] == '\r';
        if (after_cr != (c == '\n') || (c < 0x20 && c != '\r' && c != '\n' && c != '\t') ||
            c == 0x7f) {
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

/* --- the first line -------------------------------------------------------------------------- */

static struct refusal
parse_version(const char *p, int *ret_minor)
{
    if (strncmp(p, "HTTP/", 5) != 0 || !is_digit(p[5]) || p[6] != '.' || !is_digit(p[7]) ||
        p[8] != '\0') {
        return bad_line;
    }
    if (p[5] != '1' || p[7] > '1') {
        return (struct refusal){505, "Only HTTP/1.1 and HTTP/1.0 are spoken here."};
    }
    *ret_minor = p[7] - '0';
    return fine;
}

/* /path?query, or http://authority/path?query: its parts are cut apart in place. */
static bool
parse_target(char *p, struct heading *h)
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

/* `line` is ended by NUL: method SP target SP version, and nothing else. */
static struct refusal
parse_line(char *line, struct heading *h)
{
    size_t n = token_length(line);
    char *target = line + n + 1;
    char *space;

    if (n == 0 || line[n] != ' ') {
        return bad_line;
    }
    line[n] = '\0';
    h->method = line;
    space = strchr(target, ' ');
    if (space == NULL) {
        return bad_line;
    }
    *space = '\0';
    if (!parse_target(target, h)) {
        return bad_line;
    }
    return parse_version(space + 1, &h->minor);
}

/* --- the fields ------------------------------------------------------------------------------ */

static bool
is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* `line` is ended by NUL at line[n]: name ":" value. A line that begins with a blank, which once
 * went on with the one before, has no name. */
static bool
parse_field(char *line, size_t n, struct heading_field *ret)
{
    size_t name_n = token_length(line);
    char *end = line + n;
    char *value = line + name_n + 1;

    if (name_n == 0 || line[name_n] != ':') {
        return false;
    }
    line[name_n] = '\0';
    while (is_blank(*value)) {
        value++;
    }
    while (end > value && is_blank(end[-1])) {
        *--end = '\0';
    }
    *ret = (struct heading_field){line, value};
    return true;
}

struct refusal
heading_parse(char *p, size_t n, struct heading *ret)
{
    char *end = p + n - 2; /* the empty line */
    struct refusal bad;

    *ret = (struct heading){0};
    for (char *line = p, *next; line < end; line = next) {
        char *cr = memchr(line, '\r', (size_t)(end - line));
        *cr = '\0';
        next = cr + 2;
        if (line == p) {
            bad = parse_line(line, ret);
            if (bad.status != 0) {
                return bad;
            }
        } else if (ret->field_n == HEADING_FIELDS) {
            return (struct refusal){431, "The request has more than 63 headers."};
        } else if (!parse_field(line, (size_t)(cr - line), &ret->fields[ret->field_n++])) {
            return bad_field;
        }
    }
    return ret->method != NULL ? fine : bad_line;
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
