#include "actors/agent/turn.h"

#include "proto/err.h"
#include "test/unit/actors/envelope_fixture.h"

#include <criterion/criterion.h>
#include <stdlib.h>

/* An envelope of the sections that a turn reads, and the answers that it gets, as JSON. */
#define SECTIONS                                                                                   \
    "{'incoming':{'channel':'webform','subject':'Parcel','customer':{'name':'Ada'},"               \
    "'messages':[{'text':'Where is my parcel?'}]},'customer':{'id':'id:ada'},"                     \
    "'ticket':{'ref':'TKT-7F3K9Q','state':'automatic'},'triage':{'escalate':false}}"
#define FOUND                                                                                      \
    "{'answerable':true,'confidence':0.8,'hits':["                                                 \
    "{'id':'p','title':'Parcels','url':'https://x.example','score':0.8,'text':'A parcel takes two" \
    " days.','at':0},{'id':'q','title':'Other','url':null,'score':0.1,'text':'No.','at':0}]}"
#define NOT_FOUND "{'answerable':false,'confidence':0.1,'hits':[]}"
#define HISTORY "{'messages':[{},{},{}]}"

static struct turn t;
static struct envelope *made[16]; /* what a test has read; the first is its unit */
static size_t n_made;

static void
teardown(void)
{
    turn_fini(&t);
    while (n_made > 0) {
        envelope_free(&made[--n_made]);
    }
}

TestSuite(turn, .fini = teardown);

/* An envelope with this body; quotes are single ones. */
static const struct envelope *
object(const char *text)
{
    char *json = str_dup(str_of(text));

    for (char *c = json; *c; c++) {
        *c = *c == '\'' ? '"' : *c;
    }
    cr_assert_lt(n_made, sizeof made / sizeof *made);
    made[n_made] = fixture_envelope(json);
    free(json);
    return made[n_made++];
}

static int
begin(const char *sections, const char **ret_why)
{
    return turn_init(&t, object(sections), ret_why);
}

static int
history(const char *answer)
{
    return turn_history(&t, &object(answer)->body);
}

static int
found(const char *answer)
{
    return turn_found(&t, &object(answer)->body);
}

static void
begin_well(void)
{
    const char *why = "";
    cr_assert_eq(begin(SECTIONS, &why), 0, "%s", why);
}

Test(turn, asks_for_the_history_then_searches_then_decides)
{
    const bool used[TURN_MAX_HITS] = {true};
    struct run_step steps[TURN_MAX_STEPS];

    begin_well();
    cr_expect_eq(t.state, TURN_HISTORY);
    cr_expect_eq(turn_query(&t).n, 0);
    cr_assert_eq(history(HISTORY), 0);
    cr_expect(str_is(turn_query(&t), "Where is my parcel?"));
    cr_assert_eq(found(FOUND), 0);
    cr_expect(turn_answerable(&t));
    cr_assert_eq(turn_send(&t, STR("Hello"), used), 0);
    cr_assert_eq(turn_steps(&t, steps), 4);
    static const char *const tools[] = {"create_ticket", "get_customer_history",
                                        "search_knowledge_base", "send_response"};
    static const char *const arguments[] = {"", "", "{\"query\":\"Where is my parcel?\"}",
                                            "{\"channel\":\"webform\"}"};
    static const char *const results[] = {
        "{\"ref\":\"TKT-7F3K9Q\"}", "{\"messages\":3}",
        "{\"answerable\":true,\"confidence\":0.800,\"hits\":[[\"p\",0.8],[\"q\",0.1]]}",
        "{\"action\":\"send\",\"text\":\"Hello\",\"sources\":[{\"id\":\"p\",\"title\":\"Parcels\","
        "\"url\":\"https://x.example\"}],\"tried\":[{\"query\":\"Where is my parcel?\",\"hits\":2,"
        "\"best\":0.8}]}"};
    for (int i = 0; i < 4; i++) {
        cr_expect(id_eq(steps[i].unit, fixture_id("unit")));
        cr_expect_eq(steps[i].step, i + 1);
        cr_expect(str_is(steps[i].tool, tools[i]));
        cr_expect(str_is(steps[i].arguments, arguments[i]), "%.*s", STR_ARG(steps[i].arguments));
        cr_expect(str_is(steps[i].result, results[i]), "%.*s", STR_ARG(steps[i].result));
    }
}

Test(turn, searches_a_second_time_with_another_query_and_then_escalates)
{
    struct run_step steps[TURN_MAX_STEPS];

    begin_well();
    history(HISTORY);
    cr_assert_eq(found(NOT_FOUND), 0);
    cr_expect_eq(t.state, TURN_SEARCH);
    cr_expect(str_is(turn_query(&t), "Parcel") || str_is(turn_query(&t), "Parcel parcel"), "%.*s",
              STR_ARG(turn_query(&t)));
    cr_assert_eq(found(NOT_FOUND), 0);
    cr_expect_eq(t.state, TURN_DECIDE);
    cr_expect_not(turn_answerable(&t));
    cr_expect_eq(turn_send(&t, STR("x"), (bool[TURN_MAX_HITS]){false}), ERR_CONFLICT);
    cr_assert_eq(turn_escalate(&t, "knowledge_gap"), 0);
    cr_assert_eq(turn_steps(&t, steps), 5);
    cr_expect(str_is(steps[4].tool, "escalate_to_human"));
    cr_expect(str_is(steps[4].arguments, "{\"reason\":\"knowledge_gap\"}"));
}

Test(turn, answers_courtesy_after_one_search_without_a_passage)
{
    const bool none[TURN_MAX_HITS] = {false};
    struct run_step steps[TURN_MAX_STEPS];
    const char *why = "";

    cr_assert_eq(begin("{'incoming':{'channel':'webform','messages':[{'text':'Hello'}]},"
                       "'customer':{'id':'id:ada'},'ticket':{'ref':'T','state':'automatic'},"
                       "'triage':{'escalate':false,'courtesy':'greeting'}}",
                       &why),
                 0);
    cr_expect_eq(turn_send(&t, STR("x"), none), ERR_CONFLICT, "the history comes first");
    history(HISTORY);
    cr_expect_eq(turn_send(&t, STR("x"), none), ERR_CONFLICT, "a search comes first");
    cr_assert_eq(found(NOT_FOUND), 0);
    cr_expect_eq(t.state, TURN_DECIDE, "there is no second search");
    cr_assert_eq(turn_send(&t, STR("What is it?"), none), 0);
    cr_assert_eq(turn_steps(&t, steps), 4);
    cr_expect(str_is(steps[3].tool, "send_response"));
    cr_expect(str_is(steps[3].result,
                     "{\"action\":\"send\",\"text\":\"What is it?\",\"sources\":[],"
                     "\"courtesy\":\"greeting\",\"asks\":true,\"tried\":[{\"query\":"
                     "\"Hello\",\"hits\":0,\"best\":0.1}]}"),
              "%.*s", STR_ARG(steps[3].result));
}

Test(turn, refuses_what_comes_out_of_order)
{
    const bool used[TURN_MAX_HITS] = {true};
    struct run_step steps[TURN_MAX_STEPS];

    begin_well();
    cr_expect_eq(found(FOUND), ERR_CONFLICT);
    cr_expect_eq(turn_send(&t, STR("x"), used), ERR_CONFLICT);
    cr_expect_eq(turn_escalate(&t, "knowledge_gap"), ERR_CONFLICT);
    cr_expect_eq(turn_steps(&t, steps), ERR_CONFLICT);
    history(HISTORY);
    cr_expect_eq(history(HISTORY), ERR_CONFLICT);
    cr_expect_eq(turn_send(&t, STR("x"), used), ERR_CONFLICT);
    cr_expect_eq(turn_escalate(&t, "knowledge_gap"), ERR_CONFLICT);
    found(NOT_FOUND);
    found(NOT_FOUND);
    cr_expect_eq(found(FOUND), ERR_CONFLICT);
    cr_expect_eq(turn_escalate(&t, "knowledge_gap"), 0);
    cr_expect_eq(turn_escalate(&t, "knowledge_gap"), ERR_CONFLICT);
    cr_expect_eq(turn_send(&t, STR("x"), used), ERR_CONFLICT);
}

Test(turn, makes_no_third_search_after_an_answer)
{
    begin_well();
    history(HISTORY);
    found(FOUND);
    cr_expect_eq(turn_query(&t).n, 0);
    cr_expect_eq(found(FOUND), ERR_CONFLICT);
}

Test(turn, escalates_at_once_what_a_person_owns)
{
    const char *why;
    struct run_step steps[TURN_MAX_STEPS];

    cr_assert_eq(begin("{'incoming':{'channel':'webform','messages':[{'text':'x'}]},"
                       "'customer':{'id':'id:ada'},"
                       "'ticket':{'ref':'T','state':'human'},'triage':{'escalate':false}}",
                       &why),
                 0);
    cr_expect(t.escalate_at_once);
    cr_expect(str_is(t.triage_reason, "human_owned"));
    cr_assert_eq(turn_escalate(&t, "human_owned"), 0);
    cr_expect_eq(turn_steps(&t, steps), 2);
}

Test(turn, names_the_field_that_is_missing)
{
    static const struct {
        const char *sections, *why;
    } rows[] = {
        {"{}", "incoming.channel"},
        {"{'incoming':{'channel':'webform'}}", "incoming.messages"},
        {"{'incoming':{'channel':'webform','messages':[]}}", "incoming.messages"},
        {"{'incoming':{'channel':'webform','messages':[{'text':1}]}}", "incoming.messages"},
        {"{'incoming':{'channel':'webform','messages':[{'text':'x'}]}}", "customer.id"},
        {"{'incoming':{'channel':'webform','messages':[{'text':'x'}]},"
         "'customer':{'id':'id:ada'}}",
         "ticket.ref"},
        {"{'incoming':{'channel':'webform','messages':[{'text':'x'}]},"
         "'customer':{'id':'id:ada'},'ticket':{'ref':'T'}}",
         "triage"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *why = "";
        cr_expect_eq(begin(rows[i].sections, &why), ERR_MALFORMED);
        cr_expect_str_eq(why, rows[i].why);
        teardown();
    }
}

Test(turn, refuses_answers_that_are_malformed)
{
    static const char *const bad[] = {
        "{}",
        "{'hits':[]}",
        "{'confidence':0.5}",
        "{'confidence':0.5,'hits':[1]}",
        "{'confidence':0.5,'hits':[{'id':'','title':'t','text':'t','score':1}]}",
        "{'confidence':0.5,'hits':[{'id':'i','title':'t','text':'t'}]}",
        "{'confidence':0.5,'hits':[{},{},{},{},{},{}]}"};

    begin_well();
    cr_expect_eq(history("{}"), ERR_MALFORMED);
    cr_expect_eq(history("{'messages':1}"), ERR_MALFORMED);
    history(HISTORY);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        cr_expect_eq(found(bad[i]), ERR_MALFORMED, "%s", bad[i]);
    }
    cr_expect_eq(found(FOUND), 0);
}

Test(turn, says_answerable_only_with_a_passage)
{
    begin_well();
    history(HISTORY);
    found("{'answerable':true,'confidence':0.9,'hits':[]}");
    cr_expect_not(turn_answerable(&t));
}

Test(turn, takes_the_decision_that_stands)
{
    struct buf packed = {0};

    begin_well();
    history(HISTORY);
    found(NOT_FOUND);
    found(NOT_FOUND);
    turn_escalate(&t, "knowledge_gap");
    cr_expect_eq(turn_take_stored(&t, STR("send_response"), STR("{\"action\":\"escalate\"}")),
                 ERR_MALFORMED);
    cr_expect_eq(turn_take_stored(&t, STR("send_response"), STR("no json")), ERR_MALFORMED);
    cr_expect_not(t.sends);
    cr_assert_eq(turn_take_stored(&t, STR("send_response"),
                                  STR("{\"action\":\"send\",\"text\":\"then\",\"tried\":[]}")),
                 0);
    cr_expect(t.sends);
    turn_section(&t, &packed);
    msgpack_unpacked u;
    msgpack_unpacked_init(&u);
    cr_assert_eq(body_decode(packed.p, packed.n, &u), 0);
    cr_expect(str_is(map_str(&u.data, "text"), "then"));
    cr_expect(str_is(map_str(&u.data, "action"), "send"));
    msgpack_unpacked_destroy(&u);
    buf_fini(&packed);
}
