#include "actors/ingress/request.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <stdio.h>
#include <string.h>

static struct mg_request_info
info_of(const char *method, const char *const *headers)
{
    struct mg_request_info info = {.request_method = method,
                                   .http_version = "1.1",
                                   .local_uri_raw = "/support/submit",
                                   .remote_addr = "192.0.2.9"};
    for (int i = 0; headers[i] != NULL; i += 2) {
        info.http_headers[info.num_headers].name = headers[i];
        info.http_headers[info.num_headers++].value = headers[i + 1];
    }
    return info;
}

struct head_case {
    char headers[8][64];
    int head_status; /* of request_init() */
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
        {{"Host", "x", "Content-Length", "99999999999999999999"}, 413, 0},
        {{"Host", "x", "Content-Length", "262145", "Content-Type", "application/json"}, 0, 413},
        {{"Host", "x", "Content-Length", "262144", "Content-Type", "application/json"}, 0, 0},
        {{"Host", "x", "Transfer-Encoding", "chunked"}, 501, 0},
        {{"Host", "x", "Transfer-Encoding", "chunked", "Content-Length", "5"}, 400, 0},
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
    struct mg_request_info info = info_of("POST", headers);
    struct refusal got = request_init(NULL, &info, 0, &r);
    cr_expect_eq(got.status, c->head_status, "%s: %s: %d", headers[0], headers[2], got.status);
    if (got.status == 0) {
        got = request_check_body(&r);
        cr_expect_eq(got.status, c->body_status, "%d: %s", got.status, got.detail);
    }
}

Test(request, refuses_as_many_headers_as_the_server_cuts_off)
{
    struct mg_request_info info = info_of("GET", (const char *[]){"Host", "x", NULL});
    struct request r;

    for (; info.num_headers < REQUEST_HEADERS_MAX; info.num_headers++) {
        info.http_headers[info.num_headers].name = "X-Y";
        info.http_headers[info.num_headers].value = "z";
    }
    cr_expect_eq(request_init(NULL, &info, 0, &r).status, 431);
}

Test(request, believes_forwarded_addresses_of_trusted_proxies_only)
{
    const char *headers[] = {"Host", "x", "X-Forwarded-For", "6.6.6.6, 203.0.113.7 ,198.51.100.2",
                             NULL};
    struct mg_request_info info = info_of("GET", headers);
    struct request r;

    request_init(NULL, &info, 0, &r);
    cr_expect_str_eq(r.address, "192.0.2.9");
    request_init(NULL, &info, 1, &r);
    cr_expect_str_eq(r.address, "198.51.100.2");
    request_init(NULL, &info, 2, &r);
    cr_expect_str_eq(r.address, "203.0.113.7");
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

/* Heads as CivetWeb leaves them in its buffer: NULs where a text ends, and for the last byte. */
struct whole_case {
    char head[80];
    int name[2], value[2]; /* where CivetWeb found headers */
    int n;
    bool whole;
};

ParameterizedTestParameters(request, knows_whether_a_head_was_read_whole)
{
    static struct whole_case cases[] = {
        {"1.1\0\0Host\0 x\0\0\r", {5}, {11}, 1, true},
        {"1.1\0\0Host\0x\0\0A\0\0\0\r", {5, 13}, {10, 15}, 2, true},
        {"1.0\0\0\0", {0}, {0}, 0, true},
        {"1.0\0\0: a\r\nContent-Length: 5\r\n\r", {0}, {0}, 0, false},
        /* a line that begins with a blank, or has no name: nothing behind it was read */
        {"1.1\0\0Host\0 x\0\0 Content-Length: 5\r\n\r", {5}, {11}, 1, false},
        {"1.1\0\0Host\0 x\0\0: a\r\nContent-Length: 5\r\n\r", {5}, {11}, 1, false},
        {"1.1\0\0Host\0 x\0\0\rContent-Length: 5\r\n\r", {5}, {11}, 1, false},
        {"1.1\0\0\0Host\0 x\0\0\r", {6}, {12}, 1, false},
        /* a blank before the colon, a name that is none, a line that ends with LF alone */
        {"1.1\0\0Host\0\0 x\0\0\r", {5}, {12}, 1, false},
        {"1.1\0\0Ho\"t\0 x\0\0\r", {5}, {11}, 1, false},
        {"1.1\0\0Host\0x\0A\0b\0\0\r", {5, 12}, {10, 14}, 2, false},
        {"1.1\0Host\0 x\0\0", {4}, {10}, 1, false},
    };
    return cr_make_param_array(struct whole_case, cases, sizeof(cases) / sizeof(cases[0]));
}

ParameterizedTest(struct whole_case *c, request, knows_whether_a_head_was_read_whole)
{
    struct mg_request_info info = {.http_version = c->head, .num_headers = c->n};

    for (int i = 0; i < c->n; i++) {
        info.http_headers[i].name = c->head + c->name[i];
        info.http_headers[i].value = c->head + c->value[i];
    }
    cr_expect_eq(request_head_whole(&info), c->whole, "%s", c->head + 5);
}
