#include "actors/ingress/heading.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct scan_case {
    char bytes[64];
    size_t n; /* 0: up to NUL */
    enum heading_scan got;
    size_t head_n;
};

ParameterizedTestParameters(heading, knows_where_a_head_ends)
{
    static struct scan_case cases[] = {
        {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 0, HEADING_WHOLE, 27},
        {"GET / HTTP/1.1\r\nHost: x\r\n\r\nGET", 0, HEADING_WHOLE, 27},
        {"GET / HTTP/1.1\r\nHost: x\r\n\r", 0, HEADING_MORE, 0},
        {"", 0, HEADING_MORE, 0},
        {"\r\n\r\n", 0, HEADING_WHOLE, 4},
        {"GET / HTTP/1.1\n", 0, HEADING_BAD, 0},
        {"\n", 0, HEADING_BAD, 0},
        {"GET / HTTP/1.1\rX", 0, HEADING_BAD, 0},
        {"GET / HTTP/1.1\r\r\n", 0, HEADING_BAD, 0},
        {"GET / HTTP/1.1\r\nA: \0", 20, HEADING_BAD, 0},
        {"GET / HTTP/1.1\r\nA: \x1b", 0, HEADING_BAD, 0},
        {"GET / HTTP/1.1\r\nA: \x7f", 0, HEADING_BAD, 0},
        {"GET / HTTP/1.1\r\nA: \t\xff", 0, HEADING_MORE, 0},
        {"GET / HTTP/1.1\r\n A: b\r\n\r\n", 0, HEADING_BAD, 0},
        {"GET / HTTP/1.1\r\nA: b\r\n\tc\r\n\r\n", 0, HEADING_BAD, 0},
    };
    return cr_make_param_array(struct scan_case, cases, sizeof(cases) / sizeof(cases[0]));
}

/* At once, and byte by byte, with what earlier calls have seen. */
ParameterizedTest(struct scan_case *c, heading, knows_where_a_head_ends)
{
    size_t n = c->n > 0 ? c->n : strlen(c->bytes);
    size_t seen = 0;
    size_t head_n = 0;
    enum heading_scan got = heading_scan(c->bytes, n, &seen, &head_n);

    cr_expect_eq(got, c->got, "%s", c->bytes);
    cr_expect_eq(head_n, c->head_n);
    seen = 0;
    got = HEADING_MORE;
    for (size_t i = 0; i <= n && got == HEADING_MORE; i++) {
        got = heading_scan(c->bytes, i, &seen, &head_n);
    }
    cr_expect_eq(got, c->got, "%s, byte by byte", c->bytes);
}

struct parse_case {
    char bytes[96];
    int status;
};

ParameterizedTestParameters(heading, refuses_what_is_not_written_as_it_must_be)
{
    static struct parse_case cases[] = {
        {"GET / HTTP/1.1\r\n\r\n", 0},
        {"GET /a?b HTTP/1.0\r\nA: b\r\n\r\n", 0},
        {"M-SEARCH / HTTP/1.1\r\nA:\r\nB:  \t \r\n\r\n", 0},
        {"GET http://x/ HTTP/1.1\r\n\r\n", 0},
        {"QUERY / HTTP/1.1\r\n\r\n", 405},
        {"\r\n\r\n", 400},
        {" \r\n\r\n", 400},
        {"GET\r\n\r\n", 400},
        {"GET /\r\n\r\n", 505},
        {"GET  / HTTP/1.1\r\n\r\n", 400},
        {"GET /  HTTP/1.1\r\n\r\n", 400},
        {"GET / HTTP/1.1 \r\n\r\n", 505},
        {"GET\t/ HTTP/1.1\r\n\r\n", 400},
        {" GET / HTTP/1.1\r\n\r\n", 400},
        {"G(T / HTTP/1.1\r\n\r\n", 400},
        {"GET a HTTP/1.1\r\n\r\n", 400},
        {"GET * HTTP/1.1\r\n\r\n", 400},
        {"GET /#a HTTP/1.1\r\n\r\n", 400},
        {"GET /\xe4 HTTP/1.1\r\n\r\n", 400},
        {"GET /\t HTTP/1.1\r\n\r\n", 400},
        {"GET http:/// HTTP/1.1\r\n\r\n", 400},
        {"GET http://x HTTP/1.1\r\n\r\n", 400},
        {"GET http:// HTTP/1.1\r\n\r\n", 400},
        {"GET http://x?y HTTP/1.1\r\n\r\n", 400},
        {"GET https://x/ HTTP/1.1\r\n\r\n", 400},
        {"GET / HTTP/2.0\r\n\r\n", 505},
        {"GET / HTTP/1.2\r\n\r\n", 505},
        {"GET / HTTP/1\r\n\r\n", 505},
        {"GET / HTTP/1.10\r\n\r\n", 505},
        {"GET / http/1.1\r\n\r\n", 400},
        {"GET / HTTP/x.1\r\n\r\n", 505},
        {"GET / HTTP/1.1\r\nA : b\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\n: b\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nA\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nA b: c\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\n\xc3\xa4: c\r\n\r\n", 400},
        {"GET / HTTP/0.9\r\n\r\n", 505},
        {"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\n", 0},
        {"POST / HTTP/1.1\r\nContent-Length: +5\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\nContent-Length: 5, 5\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\nContent-Length: 0x5\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\nContent-Length:\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\nContent-Length: 5\r\nContent-length: 5\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", 501},
        {"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\nTransfer-Encoding: xchunked\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\nTransfer-Encoding: chunked, gzip\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
    };
    return cr_make_param_array(struct parse_case, cases, sizeof(cases) / sizeof(cases[0]));
}

ParameterizedTest(struct parse_case *c, heading, refuses_what_is_not_written_as_it_must_be)
{
    size_t n = strlen(c->bytes), seen = 0, head_n = 0;
    char *copy = malloc(n); /* of exactly that size, for the sanitizer */
    struct heading h;

    cr_assert_eq(heading_scan(c->bytes, n, &seen, &head_n), HEADING_WHOLE);
    cr_assert_eq(head_n, n);
    memcpy(copy, c->bytes, n);
    cr_expect_eq(heading_parse(copy, n, &h).status, c->status, "%s", c->bytes);
    free(copy);
}

Test(heading, takes_a_head_apart)
{
    char bytes[] =
        "POST http://a.b:1/c/d?e=f?g HTTP/1.0\r\nHost: a.b:1\r\nX:  y z \t\r\nx:2\r\nE:\r\n\r\n";
    struct heading h;
    int count;

    cr_assert_eq(heading_parse(bytes, strlen(bytes), &h).status, 0);
    cr_expect_str_eq(h.method, "POST");
    cr_expect_str_eq(h.authority, "a.b:1");
    cr_expect_str_eq(h.path, "/c/d");
    cr_expect_str_eq(h.query, "e=f?g");
    cr_expect_eq(h.minor, 0);
    cr_expect_eq(h.field_n, 4);
    cr_expect_str_eq(heading_value(&h, "x", &count), "y z");
    cr_expect_eq(count, 2);
    cr_expect_str_eq(heading_value(&h, "e", NULL), "");
    cr_expect_null(heading_value(&h, "none", &count));
    cr_expect_eq(count, 0);
}

Test(heading, refuses_one_field_more_than_it_keeps)
{
    char bytes[1024] = "GET / HTTP/1.1\r\n";
    char copy[1024];
    struct heading h;

    for (int i = 0; i < HEADING_FIELDS; i++) {
        strcat(bytes, "A: b\r\n");
    }
    strcpy(copy, bytes);
    strcat(copy, "\r\n");
    cr_expect_eq(heading_parse(copy, strlen(copy), &h).status, 0);
    strcat(bytes, "A: b\r\n\r\n");
    cr_expect_eq(heading_parse(bytes, strlen(bytes), &h).status, 431);
}

Test(heading, keeps_connections_as_each_version_has_it)
{
    struct {
        int minor;
        const char *connection;
        bool keep;
    } cases[] = {{1, "", true},
                 {1, "Connection: close\r\n", false},
                 {1, "Connection: x, CLOSE\r\n", false},
                 {1, "Connection: closed\r\n", true},
                 {0, "", false},
                 {0, "Connection: Keep-Alive\r\n", true}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char bytes[128];
        struct heading h;
        int n = snprintf(bytes, sizeof(bytes), "GET / HTTP/1.%d\r\n%s\r\n", cases[i].minor,
                         cases[i].connection);
        cr_expect_eq(heading_parse(bytes, (size_t)n, &h).status, 0);
        cr_expect_eq(h.keep, cases[i].keep, "case %zu", i);
    }
}
