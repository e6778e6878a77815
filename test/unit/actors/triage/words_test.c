#include "actors/triage/words.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <stdlib.h>

struct sample {
    char text[120];
    char cut[120]; /* the tokens, with | between them; an address is @ */
};

static struct sample samples[] = {
    {"I don't know", "i|don't|know"},
    {"I don\xE2\x80\x99t", "i|don't"},
    {"refund.please", "refund|.|please"},
    {"it costs 13.89 or 1,000", "it|costs|13.89|or|1,000"},
    {"e-mail_me", "e|-|mail|_|me"},
    {"\xF0\x9D\x93\xB2 \xF0\x9D\x94\x80\xF0\x9D\x93\xAA\xF0\x9D\x93\xB7\xF0\x9D\x93\xBD", "i|want"},
    {"pri\xC2\xAD"
     "ce",
     "price"},
    {"see https://x.example/price?a=b, ok", "see|@|,|ok"},
    {"mail legal@example.com.", "mail|@|."},
    {"@bob hi", "@|hi"},
    {"soooo", "soo"},
    {"\xC3\x9C"
     "BER",
     "\xC3\xBC"
     "ber"},
    {"fine :-) =(", "fine|:)|:("},
    {"time: 10:30", "time|:|10|:|30"},
    {"a &amp; b &lt;3", "a|&|b|<3"},
    {"\xF0\x9F\x98\x80!", "\xF0\x9F\x98\x80|!"},
    {"\xD0\xBF\xD1\x80\xD0\xB8\xD0\xB2\xD0\xB5\xD1\x82 \xE4\xBD\xA0\xE5\xA5\xBD",
     "\xD0\xBF\xD1\x80\xD0\xB8\xD0\xB2\xD0\xB5\xD1\x82|\xE4\xBD\xA0\xE5\xA5\xBD"},
    {"a\xFF"
     "b",
     "a|b"},
    {"", ""},
};

ParameterizedTestParameters(words, are_cut_alike_whatever_the_keyboard)
{
    return cr_make_param_array(struct sample, samples, sizeof samples / sizeof *samples);
}

ParameterizedTest(struct sample *s, words, are_cut_alike_whatever_the_keyboard)
{
    struct words words = {0};
    struct buf cut = {0};

    words_cut(&words, str_of(s->text));
    for (size_t i = 0; i < words.n; i++) {
        buf_add_c(&cut, i ? "|" : "");
        if (words.v[i].kind == WORD_ADDRESS)
            buf_add_c(&cut, "@");
        buf_add_str(&cut, words.v[i].text);
    }
    cr_expect_str_eq(buf_c(&cut), s->cut);
    words_fini(&words);
    buf_fini(&cut);
}

Test(words, know_how_they_were_written)
{
    struct words w = {0};

    words_cut(&w, STR("Sue is NOT here. soooo sad"));
    cr_assert_eq(w.n, 7);
    cr_expect(w.v[0].capital && w.v[0].sentence);
    cr_expect(w.v[2].shout && !w.v[2].capital);
    cr_expect(!w.v[3].sentence && w.v[5].sentence && w.v[5].stretched);
    cr_expect_not(w.shouted);
    words_cut(&w, STR("WHERE IS MY ORDER"));
    cr_expect(w.shouted);
    words_fini(&w);
}
