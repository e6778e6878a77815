#include "actors/sender/channel.h"
#include "actors/sender/response.h"
#include "proto/err.h"
#include "test/unit/actors/envelope_fixture.h"

#include <criterion/criterion.h>
#include <stdio.h>

#define BODY(sentiment, decision)                                                                  \
    "{\"incoming\": {\"channel\": \"webform\", \"messages\": []}, \"customer\": {\"id\": "         \
    "\"id:jane\"}, \"ticket\": {\"conversation\": \"id:talk\"}, \"triage\": {\"sentiment\": "      \
    "" sentiment "}, \"decision\": " decision "}"
#define SEND "{\"action\": \"send\", \"text\": \"Like so.\"}"

static int
read_body(const char *json, struct response *ret, const char **why, struct envelope **e)
{
    *e = fixture_envelope(json);
    return response_read(*e, ret, why);
}

Test(response, is_what_the_envelope_says)
{
    struct envelope *e;
    struct response r;
    const char *why;

    cr_assert_eq(read_body(BODY("0.5", "{\"action\": \"send\", \"text\": \"Like \\\"so\\\".\","
                                       " \"sources\": [{\"id\": \"a\", \"title\": \"T\\n\"}]}"),
                           &r, &why, &e),
                 0);
    cr_assert(id_eq(r.reply.unit, fixture_id("unit")));
    cr_assert(id_eq(r.reply.customer, fixture_id("jane")));
    cr_assert(id_eq(r.reply.conversation, fixture_id("talk")));
    cr_assert(str_is(r.reply.text, "Like \"so\"."));
    cr_assert(str_is(r.reply.sources, "[{\"id\":\"a\",\"title\":\"T\\n\"}]"));
    cr_assert(r.reply.content);
    cr_assert_eq(r.reply.received_us, 1750000000000000);
    response_fini(&r);
    envelope_free(&e);
}

Test(response,
     lets_a_ticket_be_resolved_only_where_the_customer_sounds_content_and_nothing_is_asked_back)
{
    static const struct {
        const char *json;
        bool content;
    } rows[] = {
        {BODY("1", SEND), true},
        {BODY("0", SEND), true},
        {BODY("-0.3", SEND), true},
        {BODY("1", "{\"action\": \"send\", \"text\": \"What is it?\", \"asks\": true}"), false},
        {BODY("1", "{\"action\": \"send\", \"text\": \"Fine.\", \"asks\": false}"), true},
        {BODY("-0.31", SEND), false},
        {BODY("-1", SEND), false}};

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct envelope *e;
        struct response r;
        const char *why;
        cr_assert_eq(read_body(rows[i].json, &r, &why, &e), 0);
        cr_assert_eq(r.reply.content, rows[i].content, "%s", rows[i].json);
        response_fini(&r);
        envelope_free(&e);
    }
}

Test(response, is_refused_where_something_is_missing_or_not_to_be_sent)
{
    static const struct {
        const char *json, *why;
        int err;
    } rows[] = {
        {"{}", "incoming.channel", ERR_MALFORMED},
        {BODY("0", "{\"action\": \"send\"}"), "decision.text", ERR_MALFORMED},
        {BODY("\"sad\"", SEND), "triage.sentiment", ERR_MALFORMED},
        {BODY("0", "{\"action\": \"escalate\", \"text\": \"x\"}"), "decision.action", ERR_INVALID},
        {BODY("0", "7"), "decision.text", ERR_MALFORMED},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct envelope *e;
        struct response r;
        const char *why = "";
        cr_assert_eq(read_body(rows[i].json, &r, &why, &e), rows[i].err, "%s", rows[i].json);
        cr_assert_str_eq(why, rows[i].why);
        envelope_free(&e);
    }
}

Test(channel_webform, takes_text_and_nothing_else)
{
    static char big[16 * 1024 + 1];
    const char *why;

    memset(big, 'a', sizeof(big));
    cr_assert_eq(channel_webform.check(STR("Hello."), &why), 0);
    cr_assert_eq(channel_webform.check((struct str){big, sizeof(big) - 1}, &why), 0);
    cr_assert_eq(channel_webform.check((struct str){big, sizeof(big)}, &why), ERR_TOO_BIG);
    cr_assert_eq(channel_webform.check(STR(" \n"), &why), ERR_INVALID);
    cr_assert_eq(channel_webform.check(STR("a\0b"), &why), ERR_INVALID);
    cr_assert_eq(channel_webform.check(STR("\xff"), &why), ERR_INVALID);
}
