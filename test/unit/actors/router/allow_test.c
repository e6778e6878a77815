#include "actors/router/allow.h"
#include "proto/err.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ONE "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID"
#define TWO "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7"
#define THREE "/ne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID"

static char path[] = "/tmp/fte-allow-test.XXXXXX";
static char name[ALLOW_NAME_MAX + 1];

static int
find_in(const char *text, const char *key)
{
    struct curve_key k = {0};
    struct buf why = {0};
    int fd, err;

    strcpy(path + strlen(path) - 6, "XXXXXX");
    fd = mkstemp(path);
    cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    memcpy(k.z85, key, CURVE_KEY_LENGTH);
    err = allow_find(path, &k, name, &why);
    cr_assert_eq(err == ERR_INVALID, why.n > 0);
    cr_assert_eq(allow_ok(path, &why), err != ERR_INVALID);
    unlink(path);
    buf_fini(&why);
    return err;
}

Test(allow, finds_who_is_on_the_list_and_nobody_else)
{
    static const char list[] = "# hosts\n\n" ONE " host-a\n  " THREE "\thost.c  \r\n" TWO " b_2";

    cr_assert_eq(find_in(list, ONE), 0);
    cr_assert_str_eq(name, "host-a");
    cr_assert_eq(find_in(list, THREE), 0);
    cr_assert_str_eq(name, "host.c");
    cr_assert_eq(find_in(list, TWO), 0);
    cr_assert_str_eq(name, "b_2");
    cr_assert_eq(find_in(ONE " host-a\n", TWO), ERR_NOT_FOUND);
    cr_assert_eq(find_in("", ONE), ERR_NOT_FOUND);
    cr_assert_eq(find_in("#" ONE " host-a\n", ONE), ERR_NOT_FOUND);
}

Test(allow, lets_nobody_in_by_a_list_that_it_cannot_understand)
{
    static const char *const rest[] = {
        "nonsense",        ONE,        (ONE " a b"),
        (ONE " \xc3\xa4"), ("x " ONE), "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hI host"};
    char text[200], wide[ALLOW_NAME_MAX + 2];

    for (size_t i = 0; i < sizeof(rest) / sizeof(rest[0]); i++) {
        snprintf(text, sizeof(text), ONE " host-a\n%s\n", rest[i]);
        cr_assert_eq(find_in(text, ONE), ERR_INVALID, "%s", rest[i]);
    }
    memset(wide, 'x', sizeof(wide) - 1);
    wide[sizeof(wide) - 1] = '\0';
    snprintf(text, sizeof(text), ONE " %s\n", wide);
    cr_assert_eq(find_in(text, ONE), ERR_INVALID);
    wide[ALLOW_NAME_MAX] = '\0';
    snprintf(text, sizeof(text), ONE " %s\n", wide);
    cr_assert_eq(find_in(text, ONE), 0);
    cr_assert_str_eq(name, wide);
}

Test(allow, lets_nobody_in_where_there_is_no_list)
{
    struct curve_key key = {ONE};
    struct buf why = {0};

    cr_assert_eq(allow_find("/nonexistent/list", &key, name, &why), ERR_INVALID);
    cr_assert(why.n > 0);
    cr_assert_eq(allow_find("/tmp", &key, name, &why), ERR_INVALID);
    buf_fini(&why);
}
