#include "actors/ingress/token.h"

#include "proto/err.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct str secret = {"0123456789abcdef", 16};

static struct token
a_token(void)
{
    struct token t = {.link = id_derive("link", STR("x"))};
    contact_key(STR("ann@example.org"), t.key);
    return t;
}

Test(token, says_what_was_put_into_it)
{
    struct token t = a_token(), got;
    char text[TOKEN_SIZE];

    token_make(secret, &t, text);
    cr_assert_eq(strlen(text), 48);
    cr_expect_eq(strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"),
                 48);
    cr_assert_eq(token_read(secret, str_of(text), &got), 0);
    cr_expect(id_eq(got.link, t.link));
    cr_expect_str_eq(got.key, t.key);
}

Test(token, refuses_a_change_of_any_single_character)
{
    struct token t = a_token(), got;
    char text[TOKEN_SIZE];

    token_make(secret, &t, text);
    for (size_t i = 0; i < 48; i++) {
        char was = text[i];
        text[i] = was == 'A' ? 'B' : 'A';
        cr_expect_eq(token_read(secret, str_of(text), &got), ERR_INVALID, "at %zu", i);
        text[i] = was;
    }
}

Test(token, refuses_other_secrets_lengths_and_alphabets)
{
    struct token t = a_token(), got;
    char text[TOKEN_SIZE];

    token_make(secret, &t, text);
    cr_expect_eq(token_read(STR("0123456789abcdeX"), str_of(text), &got), ERR_INVALID);
    cr_expect_eq(token_read(secret, (struct str){text, 47}, &got), ERR_INVALID);
    cr_expect_eq(token_read(secret, STR(""), &got), ERR_INVALID);
    cr_expect_eq(token_read(secret, (struct str){NULL, 0}, &got), ERR_INVALID);
    text[5] = '+';
    cr_expect_eq(token_read(secret, str_of(text), &got), ERR_INVALID);
}

Test(token, makes_its_secret_once_and_for_its_owner_only)
{
    char dir[] = "/tmp/fte-token-XXXXXX", path[64];
    struct buf first = {0}, second = {0};
    const char *why = NULL;
    struct stat st;

    cr_assert_not_null(mkdtemp(dir));
    cr_assert_eq(token_secret("", dir, &first, &why), 0, "%s", why);
    cr_assert_eq(token_secret("", dir, &second, &why), 0);
    cr_expect(str_eq(buf_str(&first), buf_str(&second)));
    cr_expect_eq(first.n, 64);
    snprintf(path, sizeof(path), "%s/link.secret", dir);
    cr_assert_eq(stat(path, &st), 0);
    cr_expect_eq(st.st_mode & 0777, 0600);
    unlink(path);
    cr_expect_eq(rmdir(dir), 0, "nothing else is left");
    buf_fini(&first);
    buf_fini(&second);
}

Test(token, prefers_the_setting_and_tells_what_it_could_not_make)
{
    struct buf got = {0};
    const char *why = NULL;

    cr_expect_eq(token_secret("a setting of 20 byte", "/nowhere", &got, &why), 0);
    cr_expect_eq(got.n, 20);
    cr_expect_eq(token_secret("", "/nowhere/at/all", &got, &why), ERR_UNAVAILABLE);
    cr_expect_not_null(strstr(why, "link.secret"));
    buf_fini(&got);
}
