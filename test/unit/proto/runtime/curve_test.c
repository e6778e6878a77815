#include "proto/runtime/curve.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zmq.h>

/* RFC 32's and CurveZMQ's own test keys. */
#define PUBLIC "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID"
#define SECRET "D:)Q[IlAW!ahhC2ac:9*A}h:p?([4%wOTJ%JR%cs"

static int
read_value(const char *value, struct curve_key *key, struct buf *why)
{
    buf_clear(why);
    return curve_key_read(value, key, why);
}

Test(curve, reads_a_key_as_it_stands_and_nothing_else)
{
    static const char *const wrong[] = {
        "",
        "x",
        "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hI",   /* 39 */
        "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hIDx", /* 41 */
        "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hI\"",
        "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hI ",
        "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaL#####", /* more than 32 bits */
    };
    struct curve_key key;
    struct buf why = {0};

    cr_assert_eq(read_value(PUBLIC, &key, &why), 0);
    cr_assert_str_eq(key.z85, PUBLIC);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        cr_assert_neq(read_value(wrong[i], &key, &why), 0, "%s", wrong[i]);
        cr_assert(why.n > 0 && strstr(buf_c(&why), "Yne@") == NULL);
    }
    buf_fini(&why);
}

Test(curve, reads_the_first_word_of_a_file)
{
    char path[] = "/tmp/fte-curve-test.XXXXXX";
    int fd = mkstemp(path);
    static const char text[] = "# a comment\n\n  " PUBLIC " host-b\nanything\n";
    struct curve_key key;
    struct buf why = {0};

    cr_assert_eq(write(fd, text, sizeof(text) - 1), (ssize_t)sizeof(text) - 1);
    cr_assert_eq(read_value(path, &key, &why), 0, "%s", buf_c(&why));
    cr_assert_str_eq(key.z85, PUBLIC);
    cr_assert_eq(ftruncate(fd, 0), 0);
    cr_assert_neq(read_value(path, &key, &why), 0);
    unlink(path);
    cr_assert_neq(read_value(path, &key, &why), 0);
    cr_assert_neq(read_value("/", &key, &why), 0);
    close(fd);
    buf_fini(&why);
}

Test(curve, makes_pairs_that_are_no_paths_and_belong_together)
{
    for (int i = 0; i < 300; i++) { /* one in 43 of all would begin with a / */
        struct curve_key public, secret, derived;
        cr_assert_eq(curve_pair(&public, &secret), 0);
        cr_assert(public.z85[0] != '/' && secret.z85[0] != '/');
        cr_assert_eq(zmq_curve_public(derived.z85, secret.z85), 0);
        cr_assert_str_eq(derived.z85, public.z85);
        cr_assert(curve_key_ok(secret.z85, &(struct buf){0}));
    }
    cr_assert(curve_key_ok(SECRET, &(struct buf){0}));
}
