#include "actors/ingress/answer.h"

#include <criterion/criterion.h>
#include <string.h>

static json_t *
body_of(const struct answer *a)
{
    json_t *json = json_loadb(a->body.p, a->body.n, 0, NULL);
    cr_assert_not_null(json);
    return json;
}

Test(answer, is_a_problem_that_names_field_range_and_pointer)
{
    struct answer a = {0};
    struct form form;
    struct buf why = {0};

    form_read(FORM_REQUEST, FORM_MEDIA_JSON, STR("{\"name\":\"a\",\"email\":\"a@b.org\"}"), &form,
              &why);
    answer_problem(&a, 422, "Some fields.", &form);
    json_t *json = body_of(&a);
    cr_expect_str_eq(a.type, "application/problem+json");
    cr_expect_eq(json_integer_value(json_object_get(json, "status")), 422);
    cr_expect_str_eq(json_string_value(json_object_get(json, "title")), "Unprocessable Content");
    json_t *errors = json_object_get(json, "errors");
    cr_assert_eq(json_array_size(errors), 1);
    json_t *error = json_array_get(errors, 0);
    cr_expect_str_eq(json_string_value(json_object_get(error, "field")), "message");
    cr_expect_str_eq(json_string_value(json_object_get(error, "detail")), "is missing");
    cr_expect_str_eq(json_string_value(json_object_get(error, "allowed")), "1 to 10000 characters");
    cr_expect_str_eq(json_string_value(json_object_get(error, "pointer")), "#/message");
    json_decref(json);
    form_fini(&form);
    answer_fini(&a);
}

Test(answer, is_written_with_length_and_the_headers_of_the_house)
{
    struct answer a = {.status = 200, .type = TYPE_TEXT};
    struct buf out = {0};

    buf_add_c(&a.body, "hello");
    answer_header(&a, "Retry-After", "%d", 2);
    answer_encode(&a, false, true, &out);
    const char *text = buf_c(&out);
    cr_expect_eq(strncmp(text, "HTTP/1.1 200 OK\r\n", 17), 0);
    cr_expect_not_null(strstr(text, "\r\nContent-Length: 5\r\n"));
    cr_expect_not_null(strstr(text, "\r\nConnection: keep-alive\r\n"));
    cr_expect_not_null(strstr(text, "\r\nCache-Control: no-store\r\n"));
    cr_expect_not_null(strstr(text, "frame-ancestors 'none'"));
    cr_expect_not_null(strstr(text, "\r\nX-Content-Type-Options: nosniff\r\n"));
    cr_expect_not_null(strstr(text, "\r\nReferrer-Policy: no-referrer\r\n"));
    cr_expect_null(strstr(text, "unsafe-inline"));
    cr_expect_not_null(strstr(text, "\r\nRetry-After: 2\r\n\r\nhello"));
    buf_fini(&out);
    answer_encode(&a, true, false, &out);
    cr_expect_not_null(strstr(buf_c(&out), "Content-Length: 5"));
    cr_expect_null(strstr(buf_c(&out), "hello"));
    cr_expect_not_null(strstr(buf_c(&out), "Connection: close"));
    buf_fini(&out);
    answer_fini(&a);
}

Test(answer, can_be_given_one_more_text)
{
    struct answer a = {0};

    answer_problem(&a, 503, "Later.", NULL);
    answer_extend(&a, "submission_id", STR("x"));
    json_t *json = body_of(&a);
    cr_expect_str_eq(json_string_value(json_object_get(json, "submission_id")), "x");
    cr_expect_str_eq(a.type, TYPE_PROBLEM);
    cr_expect_eq(a.status, 503);
    json_decref(json);
    answer_fini(&a);
}
