#include "actors/kb/words.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

static struct words *w;

static void
setup(void)
{
    w = words_new("english");
}

static void
teardown(void)
{
    words_free(&w);
}

TestSuite(words, .init = setup, .fini = teardown);

/* The words, parted by '|'. */
static const char *
split(const char *text)
{
    static char joined[512];

    words_read(w, str_of(text));
    joined[0] = '\0';
    for (size_t i = 0; i < words_count(w); i++) {
        struct str word = words_at(w, i);
        snprintf(joined + strlen(joined), sizeof joined - strlen(joined), "%s%.*s", i ? "|" : "",
                 STR_ARG(word));
    }
    return joined;
}

Test(words, are_runs_of_letters_and_digits_in_lower_case)
{
    cr_expect_str_eq(split("Hello, WORLD-wide 24/7!"), "hello|world|wide|24|7");
    cr_expect_str_eq(split(""), "");
    cr_expect_str_eq(split("?! -- \n\t"), "");
}

Test(words, lose_an_apostrophe_inside)
{
    cr_expect_str_eq(split("customer's o’clock 'quoted'"), "customers|oclock|quoted");
}

Test(words, fold_accents_width_and_case_of_any_script)
{
    cr_expect_str_eq(split("Café CAFÉ cafe\xcc\x81 STRASSE Straße"),
                     "cafe|cafe|cafe|strasse|strasse");
    cr_expect_str_eq(split("ΑΒΓ ｆｕｌｌ"), "αβγ|full");
}

Test(words, of_scripts_without_blanks_are_single_characters)
{
    cr_expect_str_eq(split("退款 ok"), "退|款|ok");
}

Test(words, of_chats_are_written_out)
{
    cr_expect_str_eq(split("pls help u"), "please|help|you");
}

Test(words, survive_bytes_that_are_no_utf8)
{
    cr_expect_str_eq(split("ab\xff\xc3 cd\xe2\x82"), "ab|cd");
}

Test(words, are_cut_where_they_are_too_long)
{
    char text[1024];

    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    words_read(w, str_of(text));
    cr_expect_eq(words_count(w), 1);
    cr_expect_eq(words_at(w, 0).n, WORDS_MAX_WORD);
    struct keys k = {0};
    words_grams(w, &k);
    cr_expect_eq(k.n, 65 + 64 + 63);
    keys_fini(&k);
}

Test(words, have_one_stem_in_all_their_forms)
{
    struct keys k = {0};

    words_read(w, STR("cancel cancelled cancelling cancels order"));
    words_stems(w, &k);
    cr_assert_eq(k.n, 5);
    cr_expect_eq(k.key[0], k.key[1]);
    cr_expect_eq(k.key[0], k.key[2]);
    cr_expect_eq(k.key[0], k.key[3]);
    cr_expect_neq(k.key[0], k.key[4]);
    keys_fini(&k);
}

Test(words, that_are_misspelt_share_ngrams)
{
    struct keys a = {0}, b = {0};
    size_t shared = 0;

    words_read(w, STR("delivery"));
    words_grams(w, &a);
    words_read(w, STR("delivary"));
    words_grams(w, &b);
    for (size_t i = 0; i < a.n; i++) {
        for (size_t j = 0; j < b.n; j++) {
            shared += a.key[i] == b.key[j];
        }
    }
    cr_expect_geq(2 * shared, a.n);
    keys_fini(&a);
    keys_fini(&b);
}

Test(words, of_a_language_without_stemmer_are_refused)
{
    cr_expect_null(words_new("klingon"));
}
