#include "actors/kb/index.h"

#include <criterion/criterion.h>
#include <math.h>

static struct words *w;
static struct index *x;

static void
setup(void)
{
    w = words_new("english");
}

static void
teardown(void)
{
    index_free(&x);
    words_free(&w);
}

TestSuite(index, .init = setup, .fini = teardown);

static struct index *
build(const struct passage *rows, size_t n)
{
    struct index *made = index_new(w, rows, n);
    struct models models;

    index_learn(made, &models);
    index_take(made, &models);
    return made;
}

static struct passage
row(const char *id, const char *title, const char *body)
{
    return (struct passage){
        .id = str_of(id), .document = str_of(id), .title = str_of(title), .body = str_of(body)};
}

Test(index, of_nothing_is_empty)
{
    x = build(NULL, 0);
    cr_expect_eq(x->n, 0);
    cr_expect_eq(x->n_lines, 0);
    cr_expect_eq(vocabulary_find(&x->stems.vocabulary, 1), -1);
}

Test(index, has_a_line_for_the_title_and_each_line_of_the_body)
{
    const struct passage rows[] = {row("a", "Title", "one\n\ntwo three\n"), row("b", "B", "")};

    x = build(rows, 2);
    cr_assert_eq(x->n_lines, 4);
    cr_expect_eq(x->line_start[0], 0);
    cr_expect_eq(x->line_start[1], 3);
    cr_expect_eq(x->line_start[2], 4);
    cr_expect_eq(x->passage_of_line[2], 0);
    cr_expect_eq(x->passage_of_line[3], 1);
    cr_expect_eq(index_line_at(&x->passage[0], 0), 0);
    cr_expect_eq(index_line_at(&x->passage[0], 1), 0);
    cr_expect_eq(index_line_at(&x->passage[0], 2), 5);
}

Test(index, cuts_a_long_line_at_the_end_of_a_sentence)
{
    struct buf text = {0};
    struct str rest, piece;
    size_t pieces = 0;

    for (int i = 0; i < 20; i++) {
        buf_add_c(&text, "This sentence has exactly seven words here. ");
    }
    rest = buf_str(&text);
    while (index_piece(&rest, &piece)) {
        pieces++;
        cr_expect_eq(piece.p[piece.n - 1], '.');
        cr_expect_leq(piece.n, 9 * 44);
    }
    cr_expect_eq(pieces, 3);
    buf_fini(&text);
}

Test(index, cuts_what_has_no_sentences_too)
{
    struct buf text = {0};
    struct str rest, piece;
    size_t pieces = 0;

    for (int i = 0; i < 400; i++) {
        buf_add_c(&text, "word ");
    }
    rest = buf_str(&text);
    while (index_piece(&rest, &piece)) {
        pieces++;
    }
    cr_expect_eq(pieces, 4);
    buf_fini(&text);
}

Test(index, gives_each_line_unit_length)
{
    const struct passage rows[] = {row("a", "Return an order", "Send the parcel back."),
                                   row("b", "Pay", "By card or by invoice.")};

    x = build(rows, 2);
    for (size_t line = 0; line < x->n_lines; line++) {
        float square = 0;
        for (uint32_t k = x->grams.lines.start[line]; k < x->grams.lines.start[line + 1]; k++) {
            square += x->grams.lines.weight[k] * x->grams.lines.weight[k];
        }
        cr_expect_float_eq(square, 1, 1e-4);
    }
}

Test(index, weighs_a_rare_stem_more_than_a_common_one)
{
    const struct passage rows[] = {row("a", "card", "card order"), row("b", "card", "refund"),
                                   row("c", "card", "limit")};

    x = build(rows, 3);
    words_read(w, STR("card refund"));
    int64_t card = vocabulary_find(&x->stems.vocabulary, words_stem(w, 0));
    int64_t refund = vocabulary_find(&x->stems.vocabulary, words_stem(w, 1));
    cr_assert(card >= 0 && refund >= 0);
    cr_expect_lt(x->stems.postings.idf[card], x->stems.postings.idf[refund]);
    cr_expect_eq(x->stems.postings.start[card + 1] - x->stems.postings.start[card], 3);
}

Test(index, leaves_out_what_is_over_the_limit_and_counts_it)
{
    static struct passage rows[INDEX_MAX_PASSAGES + 3];

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        rows[i] = row("x", "t", "");
    }
    x = build(rows, sizeof rows / sizeof *rows);
    cr_expect_eq(x->n, INDEX_MAX_PASSAGES);
    cr_expect_eq(x->left_out, 3);
    cr_expect_null(x->grams.learned.weight);
}

Test(index, is_the_same_each_time)
{
    const struct passage rows[] = {row("a", "Return", "Send it back.\nHow do I return it?"),
                                   row("b", "Pay", "By card.\nHow can I pay?"),
                                   row("c", "Open", "From nine.\nWhen are you open?")};
    struct index *again = build(rows, 3);

    x = build(rows, 3);
    cr_assert_not_null(x->grams.learned.weight);
    cr_expect_arr_eq(x->grams.learned.weight, again->grams.learned.weight,
                     x->grams.vocabulary.n * x->grams.learned.stride * sizeof(float));
    index_free(&again);
}

Test(index, learns_to_tell_its_own_lines_apart)
{
    const struct passage rows[] = {row("a", "Return", "send it back\nhow do I return my order"),
                                   row("b", "Track", "where is it\nwhere is my order now"),
                                   row("c", "Cancel", "stop it\nI want to cancel my order")};

    x = build(rows, 3);
    const struct learned *l = &x->stems.learned;
    const struct lines *lines = &x->stems.lines;
    for (size_t line = 0; line < x->n_lines; line++) {
        size_t best = 0;
        float score[8];
        memcpy(score, l->intercept, sizeof score);
        for (uint32_t k = lines->start[line]; k < lines->start[line + 1]; k++) {
            for (size_t c = 0; c < 3; c++) {
                score[c] += lines->weight[k] * l->weight[lines->feature[k] * l->stride + c];
            }
        }
        for (size_t c = 1; c < 3; c++) {
            best = score[c] > score[best] ? c : best;
        }
        cr_expect_eq(best, x->passage_of_line[line]);
    }
}
