#include "actors/kb/rank.h"

#include "actors/kb/answerable.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <time.h>

static struct ranker *r;
static struct index *x;
static struct ranking found;

static const char *const SHOP[][3] = {
    {"returns", "How do I return an order?",
     "You can return an order within 30 days. Print the label from the orders page."},
    {"invoice", "Where do I find my invoice?",
     "Each invoice is sent by e-mail on the day of the order. A copy is on the orders page."},
    {"password", "I have forgotten my password",
     "Choose Forgotten password on the sign-in page. A link to set a new one is mailed to you."},
    {"opening", "When is the shop open?", "The shop is open from Monday to Saturday."},
    {"delivery", "How long does delivery take?",
     "A delivery takes two to three working days within the country."},
    {"gift", "Can an order be wrapped as a gift?", "Tick Gift wrap in the basket."},
};

static void
setup(void)
{
    struct passage rows[sizeof SHOP / sizeof *SHOP];
    struct models models;

    for (size_t i = 0; i < sizeof SHOP / sizeof *SHOP; i++) {
        rows[i] = (struct passage){.id = str_of(SHOP[i][0]),
                                   .document = str_of(SHOP[i][0]),
                                   .title = str_of(SHOP[i][1]),
                                   .body = str_of(SHOP[i][2])};
    }
    r = ranker_new();
    x = index_new(ranker_words(r), rows, sizeof SHOP / sizeof *SHOP);
    index_learn(x, &models);
    index_take(x, &models);
}

static void
teardown(void)
{
    index_free(&x);
    ranker_free(&r);
}

TestSuite(rank, .init = setup, .fini = teardown);
TestSuite(answerable, .init = setup, .fini = teardown);

static const char *
best(const char *query)
{
    static char id[64];

    rank(r, x, str_of(query), RANK_MAX_HITS, &found);
    snprintf(id, sizeof id, "%.*s", found.n ? (int)x->passage[found.hit[0].passage].id.n : 0,
             found.n ? x->passage[found.hit[0].passage].id.p : "");
    return id;
}

Test(rank, finds_other_forms_of_the_words)
{
    cr_expect_str_eq(best("returning my orders"), "returns");
    cr_expect_str_eq(best("INVOICES"), "invoice");
}

Test(rank, finds_misspelt_words)
{
    cr_expect_str_eq(best("forgoten pasword"), "password");
    cr_expect_str_eq(best("delivrey tiem"), "delivery");
}

Test(rank, gives_at_most_the_limit_best_first)
{
    rank(r, x, STR("order"), 3, &found);
    cr_assert_leq(found.n, 3);
    cr_assert_geq(found.n, 2);
    for (size_t i = 1; i < found.n; i++) {
        cr_expect_geq(found.hit[i - 1].score, found.hit[i].score);
    }
    rank(r, x, STR("order"), 100, &found);
    cr_expect_leq(found.n, RANK_MAX_HITS);
}

Test(rank, finds_nothing_where_nothing_is_shared)
{
    rank(r, x, STR("的退款"), 5, &found);
    cr_expect_eq(found.n, 0);
    rank(r, x, STR(""), 5, &found);
    cr_expect_eq(found.n, 0);
    cr_expect_eq(answerable(&found), 0);
}

Test(rank, finds_nothing_in_nothing)
{
    struct index *empty = index_new(ranker_words(r), NULL, 0);

    rank(r, empty, STR("order"), 5, &found);
    cr_expect_eq(found.n, 0);
    index_free(&empty);
}

Test(rank, names_the_line_that_is_nearest)
{
    const struct passage rows[] = {
        {.id = STR("a"),
         .title = STR("Cards"),
         .body = STR("How do I block my card?\nMy card is lost\nWhat does a new card cost?")},
        {.id = STR("b"), .title = STR("Limits"), .body = STR("How much may I spend?")},
    };
    struct index *cards = index_new(ranker_words(r), rows, 2);

    rank(r, cards, STR("I lost the card"), 5, &found);
    cr_assert_geq(found.n, 1);
    cr_expect_eq(found.hit[0].passage, 0);
    cr_expect_eq(found.hit[0].line, 2);
    cr_expect_eq(index_line_at(&cards->passage[0], found.hit[0].line), 24);
    index_free(&cards);
}

Test(rank, puts_the_passage_first_whose_title_is_the_question)
{
    const struct passage rows[] = {
        {.id = STR("a"),
         .title = STR("Doors: When does it open, and when does it close?"),
         .body = STR("It opens when it is open. It is open when it opens. Does it open? It does.")},
        {.id = STR("b"), .title = STR("Doors: When does it open?"), .body = STR("At nine.")},
    };
    struct index *doors = index_new(ranker_words(r), rows, 2);

    rank(r, doors, STR("when does it open and when does it close"), 5, &found);
    cr_expect_eq(found.hit[0].passage, 0);
    rank(r, doors, STR("when does it open"), 1, &found);
    cr_expect_eq(found.n, 1);
    cr_expect_eq(found.hit[0].passage, 1);
    cr_expect_geq(answerable(&found), ANSWERABLE_FROM);
    index_free(&doors);
}

Test(rank, tells_what_a_further_passage_adds_to_the_better_ones)
{
    best("How can I return my order?");
    for (size_t i = 1; i < found.n; i++) {
        cr_expect_lt(found.hit[i].adds, 0.25, "one question, and the best has its words");
    }
    best("How can I return my order? I forgot my password");
    cr_assert_geq(found.n, 2);
    cr_expect_gt(found.hit[0].adds, 0.2);
    cr_expect_gt(found.hit[1].adds, 0.2);
    cr_expect_leq(found.hit[0].adds + found.hit[1].adds, 1.0001);
}

Test(rank, survives_text_of_any_size_and_kind)
{
    struct buf b = {0};

    for (int i = 0; i < 100000; i++) {
        buf_add_byte(&b, (char)(i * 7 + 1));
    }
    rank(r, x, buf_str(&b), 5, &found);
    for (size_t i = 0; i < found.n; i++) {
        cr_expect(found.hit[i].score == found.hit[i].score); /* no NaN */
    }
    buf_fini(&b);
}

Test(rank, takes_far_less_than_a_tenth_of_a_millisecond)
{
    struct timespec from, to;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &from);
    for (int i = 0; i < 1000; i++) {
        rank(r, x, STR("Where can I find the invoice of the order that I sent back?"), 5, &found);
    }
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &to);
    double us = (double)(to.tv_sec - from.tv_sec) * 1e3 + (double)(to.tv_nsec - from.tv_nsec) / 1e6;
    cr_expect_lt(us, 500, "%.1f us each", us); /* wide: sanitizers and busy machines */
}

Test(answerable, is_what_the_passages_hold)
{
    static const char *const yes[] = {"How can I return my order?", "where do i find the invoice",
                                      "I forgot my password", "when is your shop open",
                                      "how long will the delivery take"};
    static const char *const no[] = {"Can you recommend a telescope?",
                                     "What is the capital of Peru?",
                                     "how to how to",
                                     "the",
                                     "?",
                                     "hii",
                                     "My dog is ill"};

    for (size_t i = 0; i < sizeof yes / sizeof *yes; i++) {
        best(yes[i]);
        cr_expect_geq(answerable(&found), ANSWERABLE_FROM, "%s: %.2f", yes[i], answerable(&found));
    }
    for (size_t i = 0; i < sizeof no / sizeof *no; i++) {
        best(no[i]);
        cr_expect_lt(answerable(&found), ANSWERABLE_FROM, "%s: %.2f", no[i], answerable(&found));
    }
}

Test(answerable, is_every_question_that_stands_there_word_by_word)
{
    const struct passage rows[] = {
        {.id = STR("a"), .title = STR("First steps: What is it?"), .body = STR("A shop.")},
        {.id = STR("b"), .title = STR("Cards"), .body = STR("Who are you?\nA card shop.")},
    };
    struct index *few = index_new(ranker_words(r), rows, 2);

    rank(r, few, STR("what is it"), 5, &found);
    cr_expect_geq(answerable(&found), ANSWERABLE_FROM);
    rank(r, few, STR("Who are you"), 5, &found);
    cr_expect_geq(answerable(&found), ANSWERABLE_FROM);
    rank(r, few, STR("what is it about then"), 5, &found);
    cr_expect_eq(answerable(&found), 0);
    index_free(&few);
}

Test(answerable, scores_fall_from_the_confidence)
{
    best("How can I return my order?");
    double confidence = answerable(&found);

    cr_expect_float_eq(answerable_score(&found, confidence, 0), confidence, 1e-9);
    for (size_t i = 1; i < found.n; i++) {
        cr_expect_leq(answerable_score(&found, confidence, i),
                      answerable_score(&found, confidence, i - 1));
        cr_expect_geq(answerable_score(&found, confidence, i), 0);
    }
}

Test(answerable, decides_without_a_model_too)
{
    learned_fini(&x->grams.learned);
    learned_fini(&x->stems.learned);
    cr_expect_str_eq(best("How can I return my order?"), "returns");
    cr_expect_not(found.trained);
    cr_expect_geq(answerable(&found), ANSWERABLE_FROM);
    best("Recommend a telescope for Saturn");
    cr_expect_lt(answerable(&found), ANSWERABLE_FROM);
}
