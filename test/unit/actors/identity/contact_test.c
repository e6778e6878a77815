#include "actors/identity/contact.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <stdlib.h>
#include <string.h>

struct sample {
    char raw[120];
    char normal[100]; /* "" = none */
};

/* The rules for gmail.com and the domains of Yandex are those of validator.js (normalizeEmail, MIT
 * licence); the addresses are ours. */
static struct sample samples[] = {
    {"ann@example.com", "ann@example.com"},
    {"  Ann@EXAMPLE.com ", "ann@example.com"},
    {"Ann Lee <ann@example.com>", "ann@example.com"},
    {"\"Lee, Ann <x@y.zz>\" <ann@example.com>", "ann@example.com"},
    {"ann(at work)@example.com", "ann@example.com"},
    {"ann@(home (sweet) home)example.com", "ann@example.com"},
    {"\"ann\"@example.com", "ann@example.com"},
    {"\"ann lee\"@example.com", "\"ann lee\"@example.com"},
    {"\"a\\\"b\"@example.com", "\"a\\\"b\"@example.com"},
    {"mailto:ann@example.com", "ann@example.com"},
    {"MAILTO:ann%2Bx@example.com?subject=hi", "ann+x@example.com"},
    {"ann@example.com.", "ann@example.com"},
    {"ann @ example.com", "ann@example.com"},
    /* providers */
    {"A.n.n+shop@gmail.com", "ann@gmail.com"},
    {"ann@GoogleMail.com", "ann@gmail.com"},
    {"ann+x@outlook.com", "ann@outlook.com"},
    {"a.nn@outlook.com", "a.nn@outlook.com"},
    {"ann+x@hotmail.co.uk", "ann@hotmail.co.uk"},
    {"ann+x@hotmail.example.com", "ann+x@hotmail.example.com"},
    {"ann+x@example.com", "ann+x@example.com"},
    {"an.n@example.com", "an.n@example.com"},
    {"ann@ya.ru", "ann@yandex.ru"},
    {"ann@yandex.kz", "ann@yandex.ru"},
    {"+x@gmail.com", "+x@gmail.com"},
    /* Unicode */
    {"\xEF\xBD\x81nn\xEF\xBC\xA0"
     "example.com",
     "ann@example.com"},
    {"an\xE2\x80\x8Bn@example.com", "ann@example.com"},
    {"ann@b\xC3\xBC"
     "cher.example",
     "ann@xn--bcher-kva.example"},
    {"ann@B\xC3\x9C"
     "CHER.example",
     "ann@xn--bcher-kva.example"},
    {"ann@xn--bcher-kva.example", "ann@xn--bcher-kva.example"},
    {"\xD0\xB0nn@example.com", "\xD0\xB0nn@example.com"}, /* a Cyrillic a is another letter */
    {"stra\xC3\x9F"
     "e@example.com",
     "stra\xC3\x9F"
     "e@example.com"},
    /* none */
    {"", ""},
    {"   ", ""},
    {"ann", ""},
    {"@example.com", ""},
    {"ann@", ""},
    {"ann@localhost", ""},
    {"ann@1.2.3.4", ""},
    {"ann@-a.com", ""},
    {"ann@a..com", ""},
    {"an n@example.com", ""},
    {"ann@example.com, bob@example.com", ""},
    {"<ann@example.com", ""},
    {"ann(x@example.com", ""},
    {"an\nn@example.com", ""},
    {"\xFF"
     "ann@example.com",
     ""},
    /* what stands behind percent signs is looked at like all else */
    {"mailto:%C3%84nn@example.com", "\xC3\xA4nn@example.com"},
    {"mailto:%EF%BC%A1nn%E2%80%8B@example.com", "ann@example.com"},
    {"mailto:ann%8D@example.com", ""},
    {"mailto:ann%00@example.com", ""},
    /* 32 letters whose small form takes three bytes instead of two */
    {"\xC4\xB0\xC4\xB0\xC4\xB0\xC4\xB0\xC4\xB0\xC4\xB0\xC4\xB0\xC4\xB0"
     "\xC4\xB0\xC4\xB0\xC4\xB0\xC4\xB0\xC4\xB0\xC4\xB0\xC4\xB0\xC4\xB0"
     "\xC4\xB0\xC4\xB0\xC4\xB0\xC4\xB0\xC4\xB0\xC4\xB0\xC4\xB0\xC4\xB0"
     "\xC4\xB0\xC4\xB0\xC4\xB0\xC4\xB0\xC4\xB0\xC4\xB0\xC4\xB0\xC4\xB0@x.org",
     ""},
};

ParameterizedTestParameters(contact, has_one_normal_form_for_a_mailbox)
{
    return cr_make_param_array(struct sample, samples, sizeof samples / sizeof *samples);
}

ParameterizedTest(struct sample *s, contact, has_one_normal_form_for_a_mailbox)
{
    struct buf normal = {0}, again = {0};
    const char *why = NULL;
    int err = contact_email(str_of(s->raw), &normal, &why);

    cr_expect_eq(err == 0, s->normal[0] != '\0', "%s", s->raw);
    cr_expect_str_eq(buf_c(&normal), s->normal);
    cr_expect_eq(err != 0, why != NULL, "a reason is given where there is no form, and only there");
    if (err == 0) {
        cr_expect_eq(contact_email(buf_str(&normal), &again, NULL), 0);
        cr_expect_str_eq(buf_c(&again), s->normal, "the form of a form is itself");
    }
    buf_fini(&normal);
    buf_fini(&again);
}

Test(contact, says_why_an_address_is_none)
{
    struct buf normal = {0};
    const char *why;
    char longer[CONTACT_RAW_MAX + 2];

    contact_email(STR("ann"), &normal, &why);
    cr_expect_str_eq(why, "has no @ sign");
    contact_email(STR("ann@localhost"), &normal, &why);
    cr_expect_str_eq(why, "has no valid domain after the @ sign");
    memset(longer, 'a', sizeof longer);
    contact_email((struct str){longer, sizeof longer}, &normal, &why);
    cr_expect_str_eq(why, "is too long (1024 bytes)");
    memcpy(longer + 65, "@b.cc", 5);
    contact_email((struct str){longer, 70}, &normal, &why);
    cr_expect_str_eq(why, "is too long (64 bytes before the @ sign, 254 in all)");
    contact_email((struct str){"a\0b@c.dd", 8}, &normal, &why);
    cr_expect_str_eq(why, "is not valid UTF-8");
    cr_expect_eq(normal.n, 0);
    buf_fini(&normal);
}

Test(contact, keeps_the_address_to_write_to_as_it_was_given)
{
    struct buf address = {0};

    cr_assert_eq(contact_email_address(STR("Ann <A.nn+x@GMAIL.com>"), &address, NULL), 0);
    cr_expect_str_eq(buf_c(&address), "A.nn+x@gmail.com");
    buf_fini(&address);
}

Test(contact, gives_the_key_of_a_conversation)
{
    char key[CONTACT_KEY_SIZE];

    /* printf %s ann@example.com | sha256sum */
    contact_key(STR("ann@example.com"), key);
    cr_expect_str_eq(key, "webform:71d4f55f72fa128d");
}
