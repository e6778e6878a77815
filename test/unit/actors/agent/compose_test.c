#include "actors/agent/compose.h"

#include "proto/err.h"

#include <criterion/criterion.h>

static struct buf text;
static bool used[8];

static void
teardown(void)
{
    buf_fini(&text);
}

TestSuite(compose, .fini = teardown);

static const struct compose_hit RETURNS = {
    .id = STR("returns"),
    .title = STR("How do I return an order?"),
    .url = STR("https://shop.example/returns"),
    .text = STR("You can return an order within 30 days. Print the label."),
    .score = 0.9,
};

static struct compose_input
input(const struct compose_hit *hits, size_t n)
{
    return (struct compose_input){.channel = STR("webform"),
                                  .name = STR("Ada Lovelace"),
                                  .ref = STR("TKT-7F3K9Q"),
                                  .messages = 1,
                                  .hit = hits,
                                  .n = n};
}

Test(compose, greets_answers_names_its_source_and_the_ticket)
{
    struct compose_input in = input(&RETURNS, 1);

    cr_assert_eq(compose(&in, &text, used), 0);
    cr_expect(used[0]);
    cr_expect_str_eq(buf_c(&text), "Hello Ada Lovelace,\n\n"
                                   "Thank you for your message. Our documentation says:\n\n"
                                   "You can return an order within 30 days. Print the label.\n\n"
                                   "Source: How do I return an order? "
                                   "https://shop.example/returns\n\n"
                                   "If this is not what you were looking for, please reply here. "
                                   "Your ticket is TKT-7F3K9Q.\n\n"
                                   "Kind regards\nCustomer Success\n");
}

Test(compose, repeats_no_name_that_could_be_an_advertisement)
{
    static const char *const bad[] = {
        "",
        "  ",
        "www.spam.example",
        "Buy at http://x",
        "a@b.c",
        "x\ny",
        "<b>Ada</b>",
        "Call 0900 1234",
        "one two three four five six",
        "%s%n",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};
    static const char *const good[] = {"Ada", "Dr. Ada King", "Łukasz O'Neill-Żak", "李小龍"};

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct compose_input in = input(&RETURNS, 1);
        in.name = str_of(bad[i]);
        buf_clear(&text);
        cr_assert_eq(compose(&in, &text, used), 0);
        cr_expect(strncmp(buf_c(&text), "Hello,\n", 7) == 0, "%s", bad[i]);
    }
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct compose_input in = input(&RETURNS, 1);
        in.name = str_of(good[i]);
        buf_clear(&text);
        cr_assert_eq(compose(&in, &text, used), 0);
        cr_expect_not_null(strstr(buf_c(&text), good[i]));
    }
}

Test(compose, tells_of_close_passages_only_and_of_three_at_most)
{
    struct compose_hit hits[5];

    for (size_t i = 0; i < 5; i++) {
        hits[i] = RETURNS;
        hits[i].score = 0.9 - 0.05 * (double)i;
    }
    hits[1].score = 0.85;
    struct compose_input in = input(hits, 5);
    cr_assert_eq(compose(&in, &text, used), 0);
    cr_expect(used[0] && used[1] && used[2] && !used[3] && !used[4]);
    cr_expect_not_null(strstr(buf_c(&text), "Sources:\n- "));
    hits[1].score = 0.45; /* half as good */
    buf_clear(&text);
    in.n = 2;
    cr_assert_eq(compose(&in, &text, used), 0);
    cr_expect(used[0] && !used[1]);
}

Test(compose, tells_of_a_further_passage_for_the_second_of_two_questions)
{
    struct compose_hit hits[] = {RETURNS, RETURNS};

    hits[1].score = 0.05;
    hits[1].adds = 0.4;
    struct compose_input in = input(hits, 2);
    in.questions = 2;
    cr_assert_eq(compose(&in, &text, used), 0);
    cr_expect(used[0] && used[1]);
    in.questions = 1; /* a word in passing */
    cr_assert_eq(compose(&in, &text, used), 0);
    cr_expect(used[0] && !used[1]);
    in.questions = 2;
    hits[1].adds = 0.1; /* nothing of the second question */
    cr_assert_eq(compose(&in, &text, used), 0);
    cr_expect(used[0] && !used[1]);
}

Test(compose, answers_courtesy_with_a_line_that_says_nothing_of_the_product)
{
    struct compose_input in = input(&RETURNS, 1);

    cr_assert_eq(compose_courtesy(&in, STR("thanks"), &text), 0);
    cr_expect_str_eq(buf_c(&text), "Hello Ada Lovelace,\n\n"
                                   "Thank you for your message. If there is anything else we can "
                                   "help you with, please reply here. Your ticket is "
                                   "TKT-7F3K9Q.\n\nKind regards\nCustomer Success\n");
    buf_clear(&text);
    cr_assert_eq(compose_courtesy(&in, STR("greeting"), &text), 0);
    cr_expect_not_null(strstr(buf_c(&text), "What can we help you with?"));
    cr_expect_null(strstr(buf_c(&text), "return an order"));
    buf_clear(&text);
    cr_expect_eq(compose_courtesy(&in, STR("flattery"), &text), ERR_NOT_FOUND);
    in.channel = STR("pigeon");
    cr_expect_eq(compose_courtesy(&in, STR("thanks"), &text), ERR_NOT_FOUND);
    cr_expect_eq(text.n, 0);
}

Test(compose, keeps_to_the_channels_length_in_whole_sentences)
{
    struct buf body = {0};
    struct compose_hit hits[3];

    for (int i = 0; i < 100; i++) {
        buf_add_c(&body, "This sentence has exactly seven words here. ");
    }
    for (size_t i = 0; i < 3; i++) {
        hits[i] = RETURNS;
        hits[i].text = buf_str(&body);
    }
    struct compose_input in = input(hits, 3);
    cr_assert_eq(compose(&in, &text, used), 0);
    cr_expect_leq(compose_words(buf_str(&text)), 300);
    cr_expect_geq(compose_words(buf_str(&text)), 200);
    for (size_t max = 40; max < 300; max += 7) {
        buf_clear(&text);
        in.max_words = max;
        if (compose(&in, &text, used) == 0) {
            cr_expect_leq(compose_words(buf_str(&text)), max, "%zu", max);
        }
    }
    buf_fini(&body);
}

Test(compose, says_nothing_where_no_sentence_fits_or_the_channel_is_unknown)
{
    struct compose_input in = input(&RETURNS, 1);

    in.max_words = 30;
    cr_expect_eq(compose(&in, &text, used), ERR_NOT_FOUND);
    in = input(&RETURNS, 1);
    in.channel = STR("pigeon");
    cr_expect_eq(compose(&in, &text, used), ERR_NOT_FOUND);
    in = input(&RETURNS, 0);
    cr_expect_eq(compose(&in, &text, used), ERR_NOT_FOUND);
}

static const char *
excerpt(const char *from, size_t at, size_t words)
{
    buf_clear(&text);
    compose_excerpt(str_of(from), at, words, &text);
    return buf_c(&text);
}

Test(compose, takes_a_passage_whole_where_it_fits)
{
    cr_expect_str_eq(excerpt("One two.\nThree four:\n- a\n- b\n    code -x\nEnd.", 20, 50),
                     "One two.\n\nThree four:\n\n- a\n- b\n    code -x\n\nEnd.");
}

Test(compose, begins_at_the_line_that_was_found_with_what_leads_to_it)
{
    const char *body =
        "First line here is long enough to not fit.\nDo this now:\n- step one\n- step "
        "two\nLast line.";
    size_t at = (size_t)(strstr(body, "- step two") - body);

    cr_expect_str_eq(excerpt(body, at, 9), "Do this now:\n\n- step one\n- step two");
    cr_expect_str_eq(excerpt(body, 9999, 12), "First line here is long enough to not fit.");
}

Test(compose, does_not_end_where_something_is_announced)
{
    cr_expect_str_eq(excerpt("All is well. Do this:\n- one two three four five six", 0, 8),
                     "All is well.");
    cr_expect_str_eq(excerpt("Do this:\n- one two three four five six", 0, 4), "");
}

Test(compose, does_not_take_every_full_stop_for_an_end)
{
    cr_expect_str_eq(excerpt("Use e.g. this or v1.2 of it. Then stop. And more words here.", 0, 9),
                     "Use e.g. this or v1.2 of it. Then stop.");
}
