#include "actors/ingress/page.h"

#include <criterion/criterion.h>
#include <string.h>

static struct answer a;
static struct form form;

static void
forget(void)
{
    answer_fini(&a);
    form_fini(&form);
}

TestSuite(page, .fini = forget);

static void
type_in(const char *json)
{
    struct buf why = {0};
    cr_assert_eq(form_read(FORM_REQUEST, FORM_MEDIA_JSON, str_of(json), &form, &why), 0);
}

static void
expect_has(const char *text)
{
    cr_expect_not_null(strstr(buf_c(&a.body), text), "%s is not in\n%s", text, buf_c(&a.body));
}

static void
expect_hasnt(const char *text)
{
    cr_expect_null(strstr(buf_c(&a.body), text), "%s is in\n%s", text, buf_c(&a.body));
}

Test(page, shows_what_was_typed_and_never_runs_it)
{
    type_in("{\"name\":\"\\\"><script>alert(1)</script>\",\"message\":\"</textarea><b>&amp;\"}");
    page_form(&a, 422, &form, NULL, true);
    expect_hasnt("<script");
    expect_hasnt("</textarea><b>");
    expect_has("value=\"&quot;&gt;&lt;script&gt;alert(1)&lt;/script&gt;\"");
    expect_has("&lt;/textarea&gt;&lt;b&gt;&amp;amp;</textarea>");
}

Test(page, shows_bytes_that_are_no_text_as_replacement_characters)
{
    type_in("{\"name\":\"a\\u0000b\",\"message\":\"x\"}");
    page_form(&a, 422, &form, NULL, true);
    expect_has("value=\"a\xef\xbf\xbd"
               "b\"");
}

Test(page, puts_each_fault_beside_its_field_and_into_the_list)
{
    type_in("{\"email\":\"nobody\",\"message\":\"kept text\"}");
    page_form(&a, 422, &form, NULL, true);
    cr_expect_eq(a.status, 422);
    expect_has("<a href=\"#name\">Your name is missing</a>");
    expect_has("<a href=\"#email\">The e-mail address has no @ sign</a>");
    expect_has("aria-describedby=\"email-fault\"");
    expect_has("id=\"email-fault\"");
    expect_has("Please look at 2 fields");
    expect_has("\nkept text</textarea>");
    expect_hasnt("message-fault");
}

Test(page, gives_each_form_a_submission_id_of_its_own)
{
    char first[64];

    page_form(&a, 200, NULL, NULL, false);
    const char *at = strstr(buf_c(&a.body), "name=\"submission_id\" value=\"");
    cr_assert_not_null(at);
    memcpy(first, at, 63);
    first[63] = '\0';
    answer_fini(&a);
    a = (struct answer){0};
    page_form(&a, 200, NULL, NULL, false);
    expect_hasnt(first);
    expect_hasnt("role=\"alert\"");
}

Test(page, keeps_the_submission_id_where_sending_again_is_the_same_submission)
{
    type_in("{\"name\":\"a\",\"submission_id\":\"once-only\"}");
    page_form(&a, 503, &form, "Later", true);
    expect_has("value=\"once-only\"");
    answer_fini(&a);
    a = (struct answer){0};
    page_form(&a, 409, &form, "Again", false);
    expect_hasnt("once-only");
}

static struct link_state
a_state(enum link_status status, struct link_message *messages, size_t n)
{
    struct link_state s = {.status = status, .ticket = "TKT-7F3K9Q", .messages = messages, .n = n};
    return s;
}

Test(page, tells_the_state_and_looks_again_while_something_is_to_come)
{
    struct link_message m = {.inbound = true, .body = STR("<i>\xd7\xa9</i>"), .at_us = 1000000};
    struct link_state s = a_state(LINK_PROCESSING, &m, 1);

    page_status(&a, 200, &s, "/support/status/x", "", 2, NULL, NULL);
    cr_expect_not_null(strstr(buf_c(&a.headers), "Refresh: 2\r\n"));
    expect_has("TKT-7F3K9Q");
    expect_has("dir=\"auto\" data-body>&lt;i&gt;\xd7\xa9&lt;/i&gt;</p>");
    expect_has("datetime=\"1970-01-01T00:00:01Z\"");
    expect_hasnt("<textarea");
}

Test(page, offers_a_reply_and_stands_still_once_it_is_answered)
{
    struct link_message m[] = {
        {.inbound = true, .body = STR("q")},
        {.body = STR("answer"),
         .sources =
             STR("[{\"id\":\"a\",\"title\":\"Guide <1>\",\"url\":\"https://x.org/?a=1&b=2\"},"
                 "{\"id\":\"b\",\"title\":\"T\",\"url\":\"javascript:alert(1)\"}]")}};
    struct link_state s = a_state(LINK_ANSWERED, m, 2);

    page_status(&a, 200, &s, "/support/status/x", "", 2, NULL, NULL);
    cr_expect_null(a.headers.p);
    expect_has("action=\"/support/status/x/reply\"");
    expect_has("href=\"https://x.org/?a=1&amp;b=2\"");
    expect_has("Guide &lt;1&gt;");
    expect_hasnt("javascript:");
}

Test(page, tells_why_a_person_takes_over_in_words)
{
    static const char *const reasons[] = {
        "pricing_inquiry",    "refund_request",     "legal_issue",   "cancellation_request",
        "customer_requested", "negative_sentiment", "knowledge_gap", "human_owned",
        "ungrounded",         "dead_letter"};
    struct link_state s = a_state(LINK_ESCALATED, NULL, 0);

    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
        strcpy(s.reason, reasons[i]);
        cr_expect_str_neq(status_explanation(&s), "A person will write to you on this page.");
        cr_expect_null(strchr(status_explanation(&s), '_'));
    }
    strcpy(s.reason, "new_reason");
    cr_expect_str_eq(status_explanation(&s), "A person will write to you on this page.");
}

Test(page, has_its_sheets_and_nothing_else)
{
    cr_expect(page_asset(&a, STR("fte.css")));
    cr_expect_gt(a.body.n, 500);
    answer_fini(&a);
    a = (struct answer){0};
    cr_expect(page_asset(&a, STR("pico.css")));
    cr_expect_not(page_asset(&a, STR("../fte.css")));
    cr_expect_not(page_asset(&a, STR("")));
}

Test(page, gives_each_empty_form_an_id_of_its_own_and_the_rest_alike)
{
    static const char mark[] = "name=\"submission_id\" value=\"";
    struct answer b = {0};
    const char *id, *id_b;

    page_form(&a, 200, NULL, NULL, false);
    page_form(&b, 200, NULL, NULL, false);
    cr_assert_eq(a.body.n, b.body.n);
    id = strstr(buf_c(&a.body), mark) + strlen(mark);
    id_b = strstr(buf_c(&b.body), mark) + strlen(mark);
    cr_expect_eq(id - a.body.p, id_b - b.body.p);
    cr_expect_neq(strncmp(id, id_b, 36), 0);
    cr_expect_eq(id[36], '"');
    cr_expect_eq(memcmp(a.body.p, b.body.p, (size_t)(id - a.body.p)), 0);
    cr_expect_str_eq(id + 36, id_b + 36);
    answer_fini(&b);
}
