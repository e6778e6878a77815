#include "actors/triage/decide.h"

#include <criterion/criterion.h>

static struct decider decider;
static struct decision decision;

static void
begin(void)
{
    struct buf faults = {0};

    cr_assert_eq(decider_init(&decider, "", &faults), 0, "%s", buf_c(&faults));
}

static void
end(void)
{
    decision_fini(&decision);
    decision = (struct decision){0};
    decider_fini(&decider);
}

TestSuite(decide, .init = begin, .fini = end);

static const char *
reason(struct decide_input in)
{
    decide(&decider, &in, &decision);
    return decision.reason ? decision.reason : "";
}

#define FURIOUS "This is terrible, the worst support ever. I am very disappointed."

Test(decide, two_exchanges_running_below_the_threshold_need_a_person)
{
    struct str text = STR(FURIOUS);
    struct decide_input in = {.channel = "webform", .texts = &text, .n = 1};

    cr_expect_str_eq(reason(in), "", "one alone");
    cr_assert_lt(decision.sentiment, DECIDE_NEGATIVE);
    in.has_previous = true;
    in.previous = -0.29;
    cr_expect_str_eq(reason(in), "", "the one before was no worse than -0.3");
    in.previous = -0.3;
    cr_expect_str_eq(reason(in), "", "the one before was just -0.3");
    in.previous = -0.31;
    cr_expect_str_eq(reason(in), "negative_sentiment");
    text = STR("Thank you, that works great!");
    cr_expect_str_eq(reason(in), "", "all is well again");
}

Test(decide, a_conversation_that_a_person_owns_stays_with_the_person)
{
    struct str text = STR("Thank you. And what does it cost?");
    struct decide_input in = {.channel = "webform", .texts = &text, .n = 1, .human = true};

    cr_expect_str_eq(reason(in), "human_owned");
    cr_expect(decision.escalate);
    cr_expect_eq(decision.n_hits, 1, "the evidence is kept");
}

Test(decide, what_is_quoted_or_signed_asks_for_nothing)
{
    struct str quoted =
        STR("How do I log in?\n\nOn Mon, 3 Feb 2025, Support <help@example.com> wrote:\n"
            "> You can dispute the charge\n> and get a refund.\n");
    struct str signed_by = STR("How do I log in?\n\nBest regards,\nJo Sue\nAttorney at Law\n");
    struct str own = STR("> You can dispute it.\nI dispute it.\n");
    struct decide_input in = {.channel = "webform", .n = 1};

    in.texts = &quoted;
    cr_expect_str_eq(reason(in), "");
    in.texts = &signed_by;
    cr_expect_str_eq(reason(in), "");
    in.texts = &own;
    cr_expect_str_eq(reason(in), "refund_request");
}

Test(decide, the_messages_of_a_burst_are_read_as_one_text)
{
    struct str texts[] = {STR("please cancel it"), STR("my subscription I mean"), STR("thanks")};
    struct decide_input in = {.channel = "webform", .texts = texts, .n = 3};

    cr_expect_str_eq(reason(in), "cancellation_request");
    cr_expect_gt(decision.sentiments[2], 0);
    cr_expect_eq(decision.sentiments[1], 0);
}

Test(decide, a_subject_counts_but_not_that_of_an_answer)
{
    struct str text = STR("Please see above.");
    struct decide_input in = {.channel = "email", .texts = &text, .n = 1, .subject = STR("Refund")};

    cr_expect_str_eq(reason(in), "refund_request");
    in.subject = STR("Re: Refund");
    cr_expect_str_eq(reason(in), "");
}

Test(decide, evidence_names_the_rule_and_the_words)
{
    struct str text = STR("I demand a REFUND or I will sue");
    struct decide_input in = {.channel = "webform", .texts = &text, .n = 1};

    reason(in);
    cr_assert_eq(decision.n_hits, 2);
    cr_expect_str_eq(decision.hits[0].rule, "refund");
    cr_assert_eq(decision.hits[0].n, 1);
    cr_expect(str_is(decision.hits[0].words[0], "refund"));
    cr_expect_str_eq(decision.hits[1].rule, "legal");
}

Test(decide, no_text_is_too_strange)
{
    struct str texts[] = {STR(""),
                          STR("\xff\xfe\x00\x80"),
                          STR("\xE2\x80\xAEtxet \xF0\x9F\x98\xA1"),
                          STR("'; drop table customers; --"),
                          STR("<script>alert(1)</script>"),
                          STR(">>>>>>>\n>\n\n\n"),
                          STR("!!!!!!!!!!???")};

    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct decide_input in = {.channel = "webform", .texts = &texts[i], .n = 1};
        cr_expect_str_eq(reason(in), "");
        cr_expect(decision.sentiment >= -1 && decision.sentiment <= 1);
    }
}

Test(decide, a_very_long_text_is_read_to_its_limit)
{
    struct buf text = {0};
    struct str whole;
    struct decide_input in = {.channel = "webform", .texts = &whole, .n = 1};

    while (text.n < 1024 * 1024)
        buf_add_c(&text, "bad service and a lot of words ");
    whole = buf_str(&text);
    cr_expect_str_eq(reason(in), "");
    cr_expect(decision.sentiment >= -1 && decision.sentiment < 0);
    buf_fini(&text);
}
