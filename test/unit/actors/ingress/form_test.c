#include "actors/ingress/form.h"

#include "proto/err.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <stdio.h>
#include <string.h>

#define JSON FORM_MEDIA_JSON
#define URLENCODED FORM_MEDIA_URLENCODED

static struct form form;
static struct buf why;

static void
forget(void)
{
    form_fini(&form);
    buf_fini(&why);
}

TestSuite(form, .fini = forget);

static int
read_body(enum form_media media, struct str body)
{
    return form_read(FORM_REQUEST, media, body, &form, &why);
}

static void
expect_value(enum form_field f, const char *want)
{
    cr_expect(str_is(form.value[f], want), "%s is \"%.*s\", not \"%s\"", form_field_name(f),
              STR_ARG(form.value[f]), want);
}

static void
expect_fault(enum form_field f, const char *want)
{
    const char *got = form_fault(&form, f);
    cr_expect(got != NULL && strstr(got, want) != NULL, "%s: got \"%s\", wanted \"%s\"",
              form_field_name(f), got ? got : "no fault", want);
}

Test(form, reads_json)
{
    cr_assert_eq(
        read_body(JSON, STR("{\"name\":\"Ann\",\"email\":\"Ann@Example.org\",\"subject\":null,"
                            "\"message\":\"a\\u00e9\\n\\ud83d\\ude00\",\"more\":[1,{}]}")),
        0);
    cr_expect_eq(form.fault_n, 0);
    expect_value(FORM_NAME, "Ann");
    expect_value(FORM_EMAIL, "Ann@Example.org");
    expect_value(FORM_MESSAGE, "a\xc3\xa9\n\xf0\x9f\x98\x80");
    cr_expect_null(form.value[FORM_SUBJECT].p);
    cr_expect(str_is(buf_str(&form.email), "ann@example.org"));
}

Test(form, reads_a_browsers_body)
{
    cr_assert_eq(read_body(URLENCODED, STR("name=Ann+B.&email=ann%40example.org&phone=&other=%zz&"
                                           "message=one%0D%0Atwo%26%3d+three")),
                 0);
    cr_expect_eq(form.fault_n, 0);
    expect_value(FORM_NAME, "Ann B.");
    expect_value(FORM_MESSAGE, "one\ntwo&= three");
    cr_expect_null(form.value[FORM_PHONE].p);
}

Test(form, takes_blanks_of_any_kind_from_both_ends_and_nothing_from_within)
{
    read_body(JSON, STR("{\"name\":\"\\u2003 Ann  B \\ufeff\",\"email\":\" a@b.org \","
                        "\"message\":\"\\n\\n x\\n y \\u00a0\\n\"}"));
    expect_value(FORM_NAME, "Ann  B");
    expect_value(FORM_EMAIL, "a@b.org");
    expect_value(FORM_MESSAGE, "x\n y");
}

Test(form, names_each_field_that_is_missing)
{
    cr_assert_eq(read_body(JSON, STR("{\"name\":\"  \"}")), 0);
    cr_expect_eq(form.fault_n, 3);
    expect_fault(FORM_NAME, "is missing");
    expect_fault(FORM_EMAIL, "is missing");
    expect_fault(FORM_MESSAGE, "is missing");
}

Test(form, looks_at_message_and_submission_id_only_in_a_reply)
{
    cr_assert_eq(
        form_read(FORM_REPLY, JSON, STR("{\"message\":\"hi\",\"email\":\"x\"}"), &form, &why), 0);
    cr_expect_eq(form.fault_n, 0);
    cr_expect_null(form.value[FORM_EMAIL].p);
}

struct fault_case {
    char body[200];
    size_t n;
    enum form_field field;
    char detail[60];
};

#define CASE(body, field, detail)                                                                  \
    {                                                                                              \
        body, sizeof(body) - 1, field, detail                                                      \
    }

ParameterizedTestParameters(form, finds_what_is_not_allowed_in_a_field)
{
    static struct fault_case cases[] = {
        CASE("{\"message\":\"a\\u0000b\"}", FORM_MESSAGE, "NUL"),
        CASE("{\"message\":\"a\xff\xfe\"}", FORM_MESSAGE, "not valid UTF-8"),
        CASE("{\"message\":\"ok\",\"name\":\"\xed\xa0\x80\"}", FORM_NAME, "not valid UTF-8"),
        CASE("{\"name\":5}", FORM_NAME, "must be a text"),
        CASE("{\"name\":[\"x\"]}", FORM_NAME, "must be a text"),
        CASE("{\"name\":\"a\\nb\"}", FORM_NAME, "line break"),
        CASE("{\"name\":\"a\\u001bb\"}", FORM_NAME, "control character"),
        CASE("{\"email\":\"nobody\"}", FORM_EMAIL, "@"),
        CASE("{\"email\":\"a@b.org\\r\\nBcc: c@d.org\"}", FORM_EMAIL, "line break"),
        CASE("{\"phone\":\"12345\"}", FORM_PHONE, "fewer than 6"),
        CASE("{\"phone\":\"1234567890123456\"}", FORM_PHONE, "more than 15"),
        CASE("{\"phone\":\"12 34 x 56\"}", FORM_PHONE, "no telephone number has"),
        CASE("{\"phone\":\"123+456\"}", FORM_PHONE, "no telephone number has"),
        CASE("{\"category\":\"nonsense\"}", FORM_CATEGORY, "choices"),
        CASE("{\"priority\":\"HIGH\"}", FORM_PRIORITY, "choices"),
        CASE("{\"submission_id\":\"a b\"}", FORM_SUBMISSION_ID, "not allowed"),
        CASE("{\"submission_id\":\"a/b\"}", FORM_SUBMISSION_ID, "not allowed"),
    };
    return cr_make_param_array(struct fault_case, cases, sizeof(cases) / sizeof(cases[0]));
}

ParameterizedTest(struct fault_case *c, form, finds_what_is_not_allowed_in_a_field)
{
    cr_assert_eq(read_body(JSON, (struct str){c->body, c->n}), 0, "%s", c->body);
    expect_fault(c->field, c->detail);
    forget();
}

Test(form, counts_characters_and_not_bytes)
{
    struct buf body = {0};

    buf_add_c(&body, "name=a&email=a%40b.org&message=");
    for (int i = 0; i < FORM_MAX_MESSAGE; i++) {
        buf_add_c(&body, "\xf0\x9f\x98\x80");
    }
    read_body(URLENCODED, buf_str(&body));
    cr_expect_eq(form.fault_n, 0);
    cr_expect_eq(form.value[FORM_MESSAGE].n, 4u * FORM_MAX_MESSAGE);
    form_fini(&form);
    buf_add_c(&body, "x");
    read_body(URLENCODED, buf_str(&body));
    expect_fault(FORM_MESSAGE, "too long");
    buf_fini(&body);
}

Test(form, refuses_a_field_that_a_browser_sends_twice)
{
    cr_assert_eq(read_body(URLENCODED, STR("name=a&name=b")), 0);
    expect_fault(FORM_NAME, "twice");
}

Test(form, finds_bytes_that_are_no_utf8_behind_percent_signs)
{
    cr_assert_eq(read_body(URLENCODED, STR("message=%C3%28&name=a%00b")), 0);
    expect_fault(FORM_MESSAGE, "not valid UTF-8");
    expect_fault(FORM_NAME, "NUL");
}

struct broken_case {
    char body[120];
    enum form_media media;
};

ParameterizedTestParameters(form, refuses_a_body_that_cant_be_taken_apart)
{
    static struct broken_case cases[] = {
        {"", JSON},
        {"{", JSON},
        {"[]", JSON},
        {"\"text\"", JSON},
        {"{\"name\":\"a\",\"name\":\"b\"}", JSON},
        {"{\"name\":\"a\"} trailing", JSON},
        {"{\"name\":\"\\ud800\"}", JSON},
        {"{\"x\":[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]}", JSON},
        {"\xff{}", JSON},
        {"%zz=1", URLENCODED},
    };
    return cr_make_param_array(struct broken_case, cases, sizeof(cases) / sizeof(cases[0]));
}

ParameterizedTest(struct broken_case *c, form, refuses_a_body_that_cant_be_taken_apart)
{
    cr_expect_eq(read_body(c->media, str_of(c->body)), ERR_MALFORMED, "%s", c->body);
    cr_expect_gt(why.n, 10, "%s", c->body);
    forget();
}

Test(form, knows_a_body_by_its_type)
{
    cr_expect_eq(form_media(NULL), FORM_MEDIA_NONE);
    cr_expect_eq(form_media("application/json"), JSON);
    cr_expect_eq(form_media("Application/JSON; charset=UTF-8"), JSON);
    cr_expect_eq(form_media("application/x-www-form-urlencoded;charset=\"utf-8\""), URLENCODED);
    cr_expect_eq(form_media("application/json; charset=latin1"), FORM_MEDIA_OTHER);
    cr_expect_eq(form_media("application/jsonp"), FORM_MEDIA_OTHER);
    cr_expect_eq(form_media("multipart/form-data; boundary=x"), FORM_MEDIA_OTHER);
}

Test(form, gives_the_same_bytes_for_the_same_content_only)
{
    struct buf a = {0}, b = {0}, c = {0};

    read_body(JSON, STR("{\"name\":\"a\",\"email\":\"a@b.org\",\"message\":\"x\\ny\","
                        "\"submission_id\":\"1\"}"));
    form_canonical(&form, &a);
    form_fini(&form);
    read_body(URLENCODED, STR("message=x%0D%0Ay&email=a@b.org&name=a&submission_id=2"));
    form_canonical(&form, &b);
    form_fini(&form);
    read_body(URLENCODED, STR("message=x%0D%0Ay&email=a@b.org&name=a&subject=z"));
    form_canonical(&form, &c);
    cr_expect(str_eq(buf_str(&a), buf_str(&b)));
    cr_expect_not(str_eq(buf_str(&a), buf_str(&c)));
    buf_fini(&a);
    buf_fini(&b);
    buf_fini(&c);
}
