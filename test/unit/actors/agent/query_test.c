#include "actors/agent/query.h"

#include <criterion/criterion.h>

static struct buf q;

static void
teardown(void)
{
    buf_fini(&q);
}

TestSuite(query, .fini = teardown);

static const char *
second(const char *subject, const char *category, const char *message)
{
    struct buf first = {0};
    struct str m = str_of(message);

    query_first(&m, 1, &first);
    query_second(str_of(subject), str_of(category), STR("TKT-1"), &m, 1, buf_str(&first), &q);
    cr_expect_not(query_same(buf_str(&first), buf_str(&q)), "%s", message);
    buf_fini(&first);
    return buf_c(&q);
}

Test(query, first_is_the_customers_words)
{
    const struct str m[] = {STR("  Hello "), STR("my card is lost\n")};

    query_first(m, 2, &q);
    cr_expect_str_eq(buf_c(&q), "my card is lost");
}

Test(query, leaves_out_sentences_that_say_nothing_unless_there_is_nothing_else)
{
    const struct str polite = STR("Hello! My card is lost. What now? Thanks."),
                     empty = STR(" Hello ");

    query_first(&polite, 1, &q);
    cr_expect_str_eq(buf_c(&q), "My card is lost.");
    query_first(&empty, 1, &q);
    cr_expect_str_eq(buf_c(&q), "Hello");
}

Test(query, counts_how_many_things_are_asked)
{
    static const struct {
        const char *text;
        size_t questions;
    } rows[] = {
        {"How do I start it?", 1},
        {"I read the guide and it is fine. How do I start it?", 1},
        {"How do I start it? And where is the log?", 2},
        {"How do I start it, and where is the log?", 2},
        {"Does it need Docker or Kafka?", 1},
        {"My card is lost. I need a new one.", 1},
        {"", 1},
    };
    const struct str burst[] = {STR("my card is lost"), STR("the parcel too")};

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct str m = str_of(rows[i].text);
        cr_expect_eq(query_questions(&m, 1), rows[i].questions, "%s", rows[i].text);
    }
    cr_expect_eq(query_questions(burst, 2), 2);
}

Test(query, second_is_the_asking_sentence_without_empty_words_behind_the_subject)
{
    cr_expect_str_eq(second("Order 7", "", "Hi there. I was in Rome. Where is the parcel now?"),
                     "Order 7 parcel");
    cr_expect_str_eq(second("", "", "Please help me. The parcel is lost!"), "parcel lost");
}

Test(query, second_is_always_another_one)
{
    cr_expect_str_eq(second("", "", "refund"), "TKT-1 refund");
    cr_expect_str_eq(second("refund", "billing", "refund"), "billing refund");
    cr_expect_str_eq(second("", "", "?"), "TKT-1");
    cr_expect_str_eq(second("", "", ""), "TKT-1");
    cr_expect_str_eq(second("Refund!", "", "refund"), "TKT-1 refund");
}

Test(query, is_bounded_and_not_cut_inside_a_character)
{
    struct buf text = {0};

    for (int i = 0; i < 999; i++) {
        buf_add_c(&text, "ä");
    }
    struct str m = buf_str(&text);
    query_first(&m, 1, &q);
    cr_expect_eq(q.n, QUERY_MAX);
    cr_expect(str_is_text(buf_str(&q)));
    buf_add_c(&text, "x");
    m = buf_str(&text);
    m.p++; /* characters no longer end on even bytes */
    m.n--;
    query_first(&m, 1, &q);
    cr_expect_leq(q.n, QUERY_MAX);
    buf_fini(&text);
}

Test(query, is_the_same_whatever_case_blanks_and_punctuation)
{
    cr_expect(query_same(STR("Where is it?"), STR("where IS  it")));
    cr_expect_not(query_same(STR("Where is it?"), STR("where is")));
    cr_expect_not(query_same(STR("1"), STR("2")));
    cr_expect(query_same(STR(""), STR("?!")));
}
