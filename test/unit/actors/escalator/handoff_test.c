#include "actors/escalator/handoff.h"
#include "actors/escalator/summary.h"
#include "proto/err.h"
#include "test/unit/actors/envelope_fixture.h"

#include <criterion/criterion.h>
#include <jansson.h>
#include <string.h>

#define HEAD                                                                                       \
    "\"incoming\": {\"channel\": \"webform\", \"subject\": \"Money\", \"customer\": {\"name\": "   \
    "\"Jane \\\"J\\\" Doe\", \"email\": \"jane@example.com\"}, \"messages\": [{\"id\": "           \
    "\"id:unit\", \"text\": \"I want\\n a refund\", \"at\": 1750000000000000}]}, "                 \
    "\"customer\": {\"id\": \"id:jane\"}"
#define TICKET(state)                                                                              \
    "\"ticket\": {\"conversation\": \"id:talk\", \"ref\": \"TKT-7F3K9Q\", \"state\": \"" state     \
    "\", \"previous_sentiment\": -0.25}"
#define TRIAGE(escalate, reason)                                                                   \
    "\"triage\": {\"sentiment\": -0.5, \"escalate\": " escalate ", \"reason\": " reason            \
    ", \"evidence\": [{\"rule\": \"refund\", \"words\": [\"refund\"]}]}"
#define CALM TRIAGE("false", "null")

static struct handoff
read_good(const char *json, struct envelope **e)
{
    struct handoff h;
    const char *why = "";

    *e = fixture_envelope(json);
    cr_assert_eq(handoff_read(*e, &h, &why), 0, "%s", why);
    return h;
}

Test(handoff, reason_is_that_of_whoever_had_the_first_word)
{
    static const struct {
        const char *json, *reason;
    } rows[] = {
        {"{" HEAD "," TICKET("automatic") "," TRIAGE("true", "\"refund_request\"") "}",
         "refund_request"},
        {"{" HEAD "," TICKET("human") "," TRIAGE("true", "\"refund_request\"") "}", "human_owned"},
        {"{" HEAD "," TICKET("human") "," CALM "}", "human_owned"},
        {"{" HEAD "," TICKET("automatic") "," CALM ", \"decision\": {\"action\": \"escalate\","
                                          " \"reason\": \"knowledge_gap\"}}",
         "knowledge_gap"},
        {"{" HEAD "," TICKET("automatic") "," CALM ", \"decision\": {\"action\": \"send\","
                                          " \"text\": \"Hi\"}}",
         "human_owned"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct envelope *e;
        struct handoff h = read_good(rows[i].json, &e);
        cr_assert_str_eq(h.row.reason, rows[i].reason);
        handoff_fini(&h);
        envelope_free(&e);
    }
}

Test(handoff, knows_each_of_the_nine_codes_and_no_other)
{
    static const char *const codes[] = {
        "pricing_inquiry",      "refund_request",     "legal_issue",
        "cancellation_request", "customer_requested", "negative_sentiment",
        "knowledge_gap",        "human_owned",        "ungrounded"};
    struct envelope *e =
        fixture_envelope("{" HEAD "," TICKET("automatic") "," TRIAGE("true", "\"bad_mood\"") "}");
    struct handoff h;
    const char *why = "";

    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        cr_assert(reason_find(str_of(codes[i])), "%s", codes[i]);
    }
    cr_assert_null(reason_find(STR("refund")));
    cr_assert_eq(handoff_read(e, &h, &why), ERR_INVALID);
    cr_assert_str_eq(why, "reason");
    envelope_free(&e);
}

Test(handoff, is_refused_with_the_name_of_what_is_missing)
{
    static const struct {
        const char *json, *why;
    } rows[] = {
        {"{}", "incoming.messages"},
        {"{\"incoming\": {\"messages\": []}}", "customer.id"},
        {"{" HEAD "}", "ticket.conversation"},
        {"{" HEAD "," TICKET("automatic") "}", "triage"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct envelope *e = fixture_envelope(rows[i].json);
        struct handoff h;
        const char *why = "";
        cr_assert_eq(handoff_read(e, &h, &why), ERR_MALFORMED);
        cr_assert_str_eq(why, rows[i].why);
        envelope_free(&e);
    }
}

Test(handoff, context_holds_customer_history_and_what_was_tried_as_json)
{
    struct envelope *e;
    struct handoff h = read_good(
        "{" HEAD
        "," TICKET("automatic") "," CALM ", \"decision\": {\"action\": \"escalate\", \"reason\": "
                                "\"knowledge_gap\", \"tried\":"
                                " [{\"query\": \"refund\", \"hits\": 2, \"best\": 0.25}]}}",
        &e);
    struct escalation_customer customer = {
        .id = fixture_id("jane"),
        .name = STR("Jane"),
        .identifiers = STR("[{\"kind\": \"email\", \"value\": \"jane@example.com\"}]")};
    struct history_row history[2] = {
        {.author = STR("fte"), .channel = STR("webform"), .body = STR("Bye\x01")},
        {.author = STR("customer"),
         .channel = STR("email"),
         .body = STR("Hi"),
         .has_sentiment = true,
         .sentiment = 0.5}};
    struct escalation_stored stored = {.ref = STR("TKT-7F3K9Q"), .at_us = 1};
    struct buf event = {0};
    json_t *j, *inner;

    handoff_complete(&h, e, &customer, history, 2);
    j = json_loadb(h.row.context.p, h.row.context.n, 0, NULL);
    cr_assert(j, "%.*s", STR_ARG(h.row.context));
    cr_assert_str_eq(json_string_value(json_object_get(json_object_get(j, "customer"), "name")),
                     "Jane");
    cr_assert_eq(json_array_size(json_object_get(j, "history")), 2);
    cr_assert_eq(json_array_size(json_object_get(j, "tried")), 1);
    cr_assert_eq(json_array_size(json_object_get(j, "messages")), 1);
    cr_assert_float_eq(json_real_value(json_object_get(j, "previous_sentiment")), -0.25, 1e-9);
    json_decref(j);

    stored.reason = str_of(h.row.reason);
    stored.summary = h.row.summary;
    stored.context = h.row.context;
    handoff_event(&h, e, &stored, &event);
    j = json_loadb(event.p, event.n, 0, NULL);
    cr_assert(j, "%.*s", (int)event.n, event.p);
    cr_assert_str_eq(json_string_value(json_object_get(j, "reason")), "knowledge_gap");
    cr_assert_str_eq(json_string_value(json_object_get(j, "ticket")), "TKT-7F3K9Q");
    inner = json_object_get(j, "context");
    cr_assert(json_is_object(inner));
    json_decref(j);
    buf_fini(&event);
    handoff_fini(&h);
    envelope_free(&e);
}

Test(handoff, event_leaves_out_a_context_that_is_too_large)
{
    struct envelope *e;
    struct handoff h = read_good("{" HEAD "," TICKET("human") "," CALM "}", &e);
    struct escalation_stored stored = {.reason = STR("human_owned"), .summary = STR("s")};
    static char big[HANDOFF_EVENT_CONTEXT_BYTES + 1];
    struct buf event = {0};
    json_t *j;

    memset(big, ' ', sizeof(big));
    big[0] = '{';
    big[sizeof(big) - 1] = '}';
    stored.context = (struct str){big, sizeof(big)};
    handoff_event(&h, e, &stored, &event);
    j = json_loadb(event.p, event.n, 0, NULL);
    cr_assert(j && json_is_null(json_object_get(j, "context")));
    cr_assert_lt(event.n, 2000);
    json_decref(j);
    buf_fini(&event);
    handoff_fini(&h);
    envelope_free(&e);
}

Test(summary, tells_who_what_why_and_what_was_tried)
{
    struct envelope *e;
    struct handoff h = read_good(
        "{" HEAD "," TICKET("automatic") "," TRIAGE(
            "true", "\"refund_request\"") ", \"decision\":"
                                          " {\"action\": \"escalate\", \"tried\": [{\"query\": "
                                          "\"money back\", \"hits\": 2, \"best\":"
                                          " 0.25}], \"summary\": \"Not in the guide.\"}}",
        &e);

    handoff_complete(&h, e, NULL, NULL, 0);
    cr_assert_str_eq(buf_c(&h.summary),
                     "Wants money back.\n"
                     "Jane \"J\" Doe <jane@example.com> by webform, ticket TKT-7F3K9Q: “I want a "
                     "refund”\n"
                     "Because of “refund”.\n"
                     "Sentiment -0.50, before that -0.25. No earlier messages.\n"
                     "Searched for “money back” (2 found, best 0.25).\n"
                     "Not in the guide.\n");
    handoff_fini(&h);
    envelope_free(&e);
}

Test(summary, cuts_between_characters)
{
    struct str text = STR("a\xc3\xa9\xf0\x9f\x98\x80z");

    cr_assert_eq(summary_cut(text, 0).n, 0);
    cr_assert_eq(summary_cut(text, 1).n, 1);
    cr_assert_eq(summary_cut(text, 2).n, 3);
    cr_assert_eq(summary_cut(text, 3).n, 7);
    cr_assert_eq(summary_cut(text, 99).n, 8);
}

Test(summary, keeps_a_long_message_on_one_short_line)
{
    struct summary s = {.reason = reason_find(STR("legal_issue")),
                        .ref = STR("TKT-000000"),
                        .channel = STR("webform"),
                        .messages = 1};
    struct buf out = {0};
    static char text[5000];

    memset(text, 'x', sizeof(text));
    for (size_t i = 10; i < sizeof(text); i += 7) {
        text[i] = i % 2 ? '\n' : '\t';
    }
    s.text = (struct str){text, sizeof(text)};
    summary_write(&s, &out);
    cr_assert_lt(out.n, 500);
    cr_assert_not_null(strstr(buf_c(&out), "…”\n"));
    cr_assert_null(strchr(buf_c(&out), '\t'));
    buf_fini(&out);
}
