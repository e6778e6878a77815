#include "actors/triage/lexicon.h"
#include "actors/triage/sentiment.h"

#include <criterion/criterion.h>
#include <string.h>

static struct lexicon *lexicon;

static void
begin(void)
{
    lexicon = lexicon_builtin();
}

static void
end(void)
{
    lexicon_free(&lexicon);
}

TestSuite(sentiment, .init = begin, .fini = end);

static double
score(const char *text)
{
    struct words words = {0};
    double s;

    words_cut(&words, str_of(text));
    s = sentiment_score(lexicon, &words);
    words_fini(&words);
    return s;
}

Test(sentiment, of_praise_is_positive_and_of_complaints_negative)
{
    cr_expect_gt(score("I love it, excellent work"), 0.5);
    cr_expect_gt(score("thanks, that helped"), 0);
    cr_expect_lt(score("This is the worst service ever"), -0.3);
    cr_expect_lt(score("I am very disappointed, it is useless"), -0.3);
    cr_expect_lt(score("nobody answers, this is ridiculous"), -0.3);
    cr_expect_float_eq(score("How do I write my own actor?"), 0, 0.15);
    cr_expect_eq(score(""), 0);
}

Test(sentiment, is_turned_by_a_negation_before_the_word)
{
    cr_expect_lt(score("it is not helpful"), 0);
    cr_expect_lt(score("I don't think it is helpful"), 0);
    cr_expect_gt(score("it is not terrible"), score("it is terrible"));
    cr_expect_gt(score("No. It is helpful"), 0, "a sentence ends its reach");
}

Test(sentiment, grows_with_degree_and_emphasis)
{
    cr_expect_gt(score("very helpful"), score("helpful"));
    cr_expect_lt(score("slightly helpful"), score("helpful"));
    cr_expect_gt(score("it is HELPFUL indeed, sir"), score("it is helpful indeed, sir"));
    cr_expect_gt(score("it was helpful!!!"), score("it was helpful"));
    cr_expect_lt(score("it was terrible!!!"), score("it was terrible"));
    cr_expect_gt(score("loooove it so"), 0.2);
}

Test(sentiment, counts_what_follows_but_more)
{
    cr_expect_lt(score("the page is nice but the support is terrible"),
                 score("the support is terrible but the page is nice"));
}

Test(sentiment, reads_emoji_and_emoticons)
{
    cr_expect_gt(score("\xF0\x9F\x98\x8A"), 0);                 /* smiling */
    cr_expect_lt(score("\xF0\x9F\x98\xA1"), -0.2);              /* pouting */
    cr_expect_gt(score("\xF0\x9F\x91\x8D\xF0\x9F\x8F\xBD"), 0); /* thumbs up with a tone of skin */
    cr_expect_gt(score(":-)"), 0);
    cr_expect_lt(score(":'-("), 0);
    cr_expect_eq(score("see http://x.example/:( for more"), 0, "not in a link");
}

Test(sentiment, stays_between_minus_one_and_one)
{
    char text[4000] = "";

    for (int i = 0; i < 300; i++)
        strcat(text, "worst! ");
    cr_expect_geq(score(text), -1);
    for (int i = 0; i < 300; i++)
        memcpy(text + i * 7, "best!! ", 7);
    cr_expect_leq(score(text), 1);
}

Test(sentiment, has_a_lexicon_whose_faults_are_told_with_their_line)
{
    struct buf faults = {0};

    cr_expect_null(lexicon_parse(STR("1 good\nfive bad\n9 best\n"), "test", &faults));
    cr_expect(strstr(buf_c(&faults), "test:2: bad weight; allowed: a number from -4 to 4"));
    cr_expect(strstr(buf_c(&faults), "test:3: bad weight"));
    buf_fini(&faults);
}
