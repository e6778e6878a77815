#include "actors/ingress/text.h"

#include <criterion/criterion.h>

Test(text, shows_what_no_page_may_hold_as_a_replacement_character)
{
    struct buf out = {0};

    text_printable((struct str){"a\x00\x1b\tb\n\xff\xc3\xa9\xef\xbf\xbf\xc2\x85", 14}, &out);
    cr_expect_str_eq(buf_c(&out), "a\xef\xbf\xbd\xef\xbf\xbd\tb\n\xef\xbf\xbd\xc3\xa9\xef\xbf\xbd"
                                  "\xef\xbf\xbd");
    buf_fini(&out);
}

Test(text, leaves_writing_of_every_direction_as_it_is)
{
    static const char hebrew[] =
        "\xd7\xa9\xd7\x9c\xd7\x95\xd7\x9d \xf0\x9f\x91\x8d\xf0\x9f\x8f\xbd";
    struct buf out = {0};

    text_printable(str_of(hebrew), &out);
    cr_expect_str_eq(buf_c(&out), hebrew);
    cr_expect_eq(text_length(str_of(hebrew)), 7);
    buf_fini(&out);
}

Test(text, marks_each_byte_that_is_no_utf8)
{
    struct buf out = {0};

    text_mark_invalid(STR("a\x80\xe2\x82z"), &out);
    cr_expect(text_has_mark(buf_str(&out)));
    cr_expect(text_is_utf8(buf_str(&out)));
    cr_expect_not(text_has_mark(STR("plain \xef\xbf\xbd")));
    buf_fini(&out);
}

Test(text, trims_to_nothing)
{
    cr_expect_eq(text_trim(STR(" \n\xe3\x80\x80\t ")).n, 0);
    cr_expect_eq(text_trim((struct str){NULL, 0}).n, 0);
}
