#include "actors/triage/decide.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <string.h>

struct sample {
    char text[160];
    char courtesy[12]; /* "" = an ordinary message */
    char reason[24];
};

/* What a person in support would answer with one line, and what is one word away from it. */
static struct sample samples[] = {
    {"Thanks, that helped!", "thanks", ""},
    {"thx", "thanks", ""},
    {"Thank you so much for your quick reply.", "thanks", ""},
    {"Perfect, it works now. Thank you very much!", "thanks", ""},
    {"ok great", "thanks", ""},
    {"OK \xF0\x9F\x91\x8D", "thanks", ""},
    {"Problem solved, thank you :-)", "thanks", ""},
    {"no problem, thanks", "thanks", ""},
    {"That answers my question. Have a nice weekend!", "thanks", ""},
    {"Best regards", "thanks", ""},
    {"Hello", "greeting", ""},
    {"hi there!!!", "greeting", ""},
    {"Good morning", "greeting", ""},
    {"Hello World", "greeting", ""},
    {"Hello, how are you?", "greeting", ""},
    {"Hi, I have a question", "greeting", ""},
    {"Can you help me please?", "greeting", ""},
    {"test", "greeting", ""},
    {"Thanks in advance", "greeting", ""},
    {"Good morning,\n\nthank you and best regards\nAda", "thanks", ""},
    /* near misses */
    {"Thanks, but it still fails", "", ""},
    {"hello, I want a refund", "", "refund_request"},
    {"Thank you for the refund", "", "refund_request"},
    {"Hello, what is the price?", "", "pricing_inquiry"},
    {"Thanks, I'd like to talk to a person", "", "customer_requested"},
    {"Thanks. How do I stop it?", "", ""},
    {"thanks, is it working?", "", ""},
    {"it works now?", "", ""},
    {"Thanks for nothing", "", ""},
    {"ok :-(", "", ""},
    {"not great", "", ""},
    {"it is not working", "", ""},
    {"nothing works", "", ""},
    {"great, now it crashes", "", ""},
    {"Hello, I have a question about Kafka", "", ""},
    {"Can you help me with the router?", "", ""},
    {"ok thanks. One more thing", "", ""},
    {"hello 42", "", ""},
    {"hello http://shop.example/order", "", ""},
    {"thanks bob@shop.example", "", ""},
    {"no", "", ""},
    {"yes", "", ""},
    {"?", "", ""},
    {"...", "", ""},
    {"", "", ""},
    {"Ada", "", ""},
    {"merci", "", ""},
};

static struct decider decider;
static struct decision decision;

static const char *
courtesy(struct decide_input in)
{
    struct buf faults = {0};
    const char *name;

    cr_assert_eq(decider_init(&decider, "", &faults), 0, "%s", buf_c(&faults));
    decide(&decider, &in, &decision);
    name = courtesy_name(decision.courtesy);
    buf_fini(&faults);
    return name ? name : "";
}

static void
end(void)
{
    decision_fini(&decision);
    decision = (struct decision){0};
    decider_fini(&decider);
}

TestSuite(courtesy, .fini = end);

ParameterizedTestParameters(courtesy, is_the_whole_message_or_none)
{
    return cr_make_param_array(struct sample, samples, sizeof samples / sizeof *samples);
}

ParameterizedTest(struct sample *s, courtesy, is_the_whole_message_or_none, .fini = end)
{
    struct str text = str_of(s->text);
    struct decide_input in = {
        .channel = "webform", .texts = &text, .n = 1, .name = STR("Ada Lovelace")};

    cr_expect_str_eq(courtesy(in), s->courtesy, "\"%s\"", s->text);
    cr_expect_str_eq(decision.reason ? decision.reason : "", s->reason, "\"%s\"", s->text);
}

Test(courtesy, counts_the_subject_and_every_message_of_a_burst)
{
    struct str texts[] = {STR("Hello"), STR("thanks")};
    struct decide_input in = {.channel = "webform", .texts = texts, .n = 1};

    in.subject = STR("Question");
    cr_expect_str_eq(courtesy(in), "greeting");
    end();
    in.subject = STR("Router does not start");
    cr_expect_str_eq(courtesy(in), "");
    end();
    in = (struct decide_input){.channel = "webform", .texts = texts, .n = 2};
    cr_expect_str_eq(courtesy(in), "thanks");
    end();
    texts[0] = STR("It does not start");
    cr_expect_str_eq(courtesy(in), "");
}

Test(courtesy, is_none_where_a_person_is_needed)
{
    struct str text = STR("Thanks, that helped!");
    struct decide_input in = {.channel = "webform", .texts = &text, .n = 1, .human = true};

    cr_expect_str_eq(courtesy(in), "");
    cr_expect_str_eq(decision.reason, "human_owned");
}

Test(courtesy, looks_no_further_than_a_message_of_courtesy_is_long)
{
    struct buf text = {0};
    struct str whole;
    struct decide_input in = {.channel = "webform", .texts = &whole, .n = 1};

    for (int i = 0; i < COURTESY_MAX_WORDS; i++) {
        buf_add_c(&text, "thanks ");
    }
    whole = buf_str(&text);
    cr_expect_str_eq(courtesy(in), "thanks");
    end();
    buf_add_c(&text, "thanks");
    whole = buf_str(&text);
    cr_expect_str_eq(courtesy(in), "");
    buf_fini(&text);
}
