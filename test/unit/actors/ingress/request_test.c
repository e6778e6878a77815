#include "actors/ingress/request.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <stdio.h>
#include <string.h>

/* What heading_parse() says of a head of pairs of names and values, ended by NULL. *ret points to
 * static memory. */
static struct refusal
read_head(const char *method, const char *const *fields, struct heading *ret)
{
    static char head[2048];
    int n = snprintf(head, sizeof(head), "%s /support/submit HTTP/1.1\r\n", method);

    for (int i = 0; fields[i] != NULL; i += 2) {
        n += snprintf(head + n, sizeof(head) - (size_t)n, "%s: %s\r\n", fields[i], fields[i + 1]);
    }
    n += snprintf(head + n, sizeof(head) - (size_t)n, "\r\n");
    return heading_parse(head, (size_t)n, ret);
}

static struct heading
heading_of(const char *method, const char *const *fields)
{
    struct heading h;

    cr_assert_eq(read_head(method, fields, &h).status, 0);
    return h;
}

struct head_case {
    char headers[8][64];
    int head_status; /* of heading_parse() and request_init() */
    int body_status; /* of request_check_body() */
};

ParameterizedTestParameters(request, refuses_heads_that_are_not_sound)
{
    static struct head_case cases[] = {
        {{"Host", "x", "Content-Length", "5", "Content-Type", "application/json"}, 0, 0},
        {{"Host", "x", "Content-Type", "application/json"}, 0, 411},
        {{"Content-Length", "5"}, 400, 0},
        {{"Host", "x", "Host", "y"}, 400, 0},
        {{"Host", ""}, 400, 0},
        {{"Host", "x", "Content-Length", "5", "Content-Length", "5"}, 400, 0},
        {{"Host", "x", "Content-Length", "-1"}, 400, 0},
        {{"Host", "x", "Content-Length", "+5"}, 400, 0},
        {{"Host", "x", "Content-Length", "5, 5"}, 400, 0},
        {{"Host", "x", "Content-Length", "0x5"}, 400, 0},
        {{"Host", "x", "Content-Length", ""}, 400, 0},
        {{"Host", "x", "Content-Length", "99999999999999999999"}, 400, 0},
        {{"Host", "x", "Content-Length", "262145", "Content-Type", "application/json"}, 0, 413},
        {{"Host", "x", "Content-Length", "262144", "Content-Type", "application/json"}, 0, 0},
        {{"Host", "x", "Transfer-Encoding", "chunked"}, 501, 0},
        {{"Host", "x", "Transfer-Encoding", "chunked", "Content-Length", "5"}, 400, 0},
        {{"Host", "x", "Transfer-Encoding", "chunked", "Transfer-Encoding", "chunked"}, 400, 0},
        {{"Host", "x", "Transfer-Encoding", "xchunked"}, 400, 0},
        {{"Host", "x/y"}, 400, 0},
        {{"Host", "x, y"}, 400, 0},
        {{"Host", "[::1]:8080", "Content-Length", "0", "Content-Type", "application/json"}, 0, 0},
        {{"Host", "x", "Content-Length", "5"}, 0, 415},
        {{"Host", "x", "Content-Length", "5", "Content-Type", "text/plain"}, 0, 415},
        {{"Host", "x", "Content-Length", "5", "Content-Type", "application/json", "Expect", "tea"},
         0,
         417},
        {{"Host", "x", "Content-Length", "5", "Content-Type", "application/json",
          "Content-Encoding", "gzip"},
         0,
         415},
    };
    return cr_make_param_array(struct head_case, cases, sizeof(cases) / sizeof(cases[0]));
}

ParameterizedTest(struct head_case *c, request, refuses_heads_that_are_not_sound)
{
    const char *headers[9] = {NULL};
    struct request r;

    for (int i = 0; i < 8 && (i % 2 == 1 || c->headers[i][0] != '\0'); i++) {
        headers[i] = c->headers[i];
    }
    struct heading h;
    struct refusal got = read_head("POST", headers, &h);
    if (got.status == 0) {
        got = request_init(&h, "192.0.2.9", 0, &r);
    }
    cr_expect_eq(got.status, c->head_status, "%s: %s: %d", headers[0], headers[2], got.status);
    if (got.status == 0) {
        got = request_check_body(&r);
        cr_expect_eq(got.status, c->body_status, "%d: %s", got.status, got.detail);
    }
}

Test(request, believes_forwarded_addresses_of_trusted_proxies_only)
{
    const char *fields[] = {"Host", "x", "X-Forwarded-For", "6.6.6.6, 203.0.113.7 ,198.51.100.2",
                            NULL};
    struct heading h = heading_of("GET", fields);
    struct request r;

    request_init(&h, "192.0.2.9", 0, &r);
    cr_expect_str_eq(r.address, "192.0.2.9");
    request_init(&h, "192.0.2.9", 1, &r);
    cr_expect_str_eq(r.address, "198.51.100.2");
    request_init(&h, "192.0.2.9", 2, &r);
    cr_expect_str_eq(r.address, "203.0.113.7");
}

Test(request, reads_what_proxies_say_over_all_lines_from_the_last)
{
    /* The first line is the client's own invention. */
    const char *fields[] = {"Host",        "x", "X-Forwarded-For", "6.6.6.6", "X-Forwarded-For",
                            "203.0.113.7", NULL};
    struct heading h = heading_of("GET", fields);
    struct request r;

    request_init(&h, "192.0.2.9", 1, &r);
    cr_expect_str_eq(r.address, "203.0.113.7");
    request_init(&h, "192.0.2.9", 2, &r);
    cr_expect_str_eq(r.address, "6.6.6.6");
    request_init(&h, "192.0.2.9", 8, &r);
    cr_expect_str_eq(r.address, "6.6.6.6");
}

Test(request, wants_the_same_host_in_target_and_header)
{
    struct heading h = heading_of("GET", (const char *[]){"Host", "Example.org:80", NULL});
    struct request r;

    h.authority = "example.ORG:80";
    cr_expect_eq(request_init(&h, "192.0.2.9", 0, &r).status, 0);
    h.authority = "example.org";
    cr_expect_eq(request_init(&h, "192.0.2.9", 0, &r).status, 400);
}

struct accept_case {
    char accept[120];
    bool html;
};

ParameterizedTestParameters(request, knows_who_would_rather_have_a_page)
{
    static struct accept_case cases[] = {
        {"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", true},
        {"*/*", false},
        {"", false},
        {"application/json", false},
        {"application/json, text/html", true},
        {"application/json, text/html;q=0.9", false},
        {"text/html;q=0", false},
        {"text/html ; q=0.5 , application/json;q=0.4", true},
        {"application/xhtml+xml", true},
        {"text/plain", false},
    };
    return cr_make_param_array(struct accept_case, cases, sizeof(cases) / sizeof(cases[0]));
}

ParameterizedTest(struct accept_case *c, request, knows_who_would_rather_have_a_page)
{
    cr_expect_eq(accept_prefers_html(c->accept), c->html, "%s", c->accept);
    cr_expect_not(accept_prefers_html(NULL));
}

Test(request, finds_a_parameter_by_its_whole_name)
{
    struct request r = {.query = STR("xsent=1&sent=ab-c&refresh=off&sent2=9")};

    cr_expect(str_is(request_parameter(&r, "sent"), "ab-c"));
    cr_expect(str_is(request_parameter(&r, "refresh"), "off"));
    cr_expect_null(request_parameter(&r, "sen").p);
}
