#include "actors/ticketer/threading.h"
#include "proto/err.h"
#include "test/unit/actors/envelope_fixture.h"

#include <criterion/criterion.h>

#define MESSAGE(id) "{\"id\": \"id:" id "\", \"text\": \"Hello\", \"at\": 1750000000000001}"
#define INCOMING(messages)                                                                         \
    "\"incoming\": {\"channel\": \"webform\", \"link\": \"id:link\", \"subject\": \"S\","          \
    " \"messages\": [" messages "]}"
#define CUSTOMER "\"customer\": {\"id\": \"id:jane\", \"known\": true}"

Test(threading, a_link_is_followed_unless_its_first_message_begins_it)
{
    struct id first = fixture_id("unit"), nil = {0};

    cr_assert(id_is_nil(threading_follow(first, id_derive_from("link", first))));
    cr_assert(id_eq(threading_follow(fixture_id("reply"), id_derive_from("link", first)),
                    id_derive_from("link", first)));
    cr_assert(id_is_nil(threading_follow(first, nil)));
}

Test(threading, a_request_is_what_the_envelope_says)
{
    struct envelope *e =
        fixture_envelope("{" INCOMING(MESSAGE("unit") "," MESSAGE("two")) "," CUSTOMER "}");
    struct conversation_request r;
    const char *why;

    cr_assert_eq(threading_request(e, &r, &why), 0);
    cr_assert(id_eq(r.unit, fixture_id("unit")));
    cr_assert(id_eq(r.customer, fixture_id("jane")));
    cr_assert(id_eq(r.follow, fixture_id("link")));
    cr_assert(str_is(r.channel, "webform") && str_is(r.subject, "S"));
    cr_assert_null(r.category.p);
    cr_assert_eq(r.n, 2);
    cr_assert(id_eq(r.messages[1].id, fixture_id("two")));
    cr_assert(str_is(r.messages[1].text, "Hello"));
    cr_assert_eq(r.messages[1].at_us, 1750000000000001);
    cr_assert_eq(r.ref[0], '\0');
    envelope_free(&e);
}

Test(threading, a_request_is_refused_with_the_name_of_what_is_missing)
{
    static const struct {
        const char *json, *why;
    } rows[] = {
        {"{}", "incoming.messages"},
        {"{" INCOMING("") "," CUSTOMER "}", "incoming.messages"},
        {"{" INCOMING(MESSAGE("two")) "," CUSTOMER "}", "incoming.messages[0].id"},
        {"{" INCOMING("{\"id\": \"id:unit\", \"at\": 1}") "," CUSTOMER "}", "incoming.messages"},
        {"{" INCOMING(MESSAGE("unit")) "}", "customer.id"},
        {"{" INCOMING(MESSAGE("unit")) ", \"customer\": {\"id\": \"jane\"}}", "customer.id"},
        {"{\"incoming\": {\"messages\": [" MESSAGE("unit") "]}}", "incoming.channel"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct envelope *e = fixture_envelope(rows[i].json);
        struct conversation_request r;
        const char *why = "";
        cr_assert_eq(threading_request(e, &r, &why), ERR_MALFORMED, "%s", rows[i].json);
        cr_assert_str_eq(why, rows[i].why, "%s", rows[i].json);
        envelope_free(&e);
    }
}
