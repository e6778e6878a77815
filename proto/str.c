#include "proto/str.h"

#include "proto/err.h"
#include "proto/mem.h"

#include <errno.h>
#include <stdlib.h>
#include <unistr.h>

static bool
is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\v' || c == '\f';
}

struct str
str_trim(struct str s)
{
    while (s.n > 0 && is_blank(s.p[0])) {
        s.p++;
        s.n--;
    }
    while (s.n > 0 && is_blank(s.p[s.n - 1])) {
        s.n--;
    }
    return s;
}

bool
str_is_text(struct str s)
{
    if (s.n == 0) {
        return true;
    }
    return memchr(s.p, 0, s.n) == NULL && u8_check((const uint8_t *)s.p, s.n) == NULL;
}

char *
str_dup(struct str s)
{
    char *copy = xmalloc(s.n + 1);
    if (s.n > 0) {
        memcpy(copy, s.p, s.n);
    }
    copy[s.n] = '\0';
    return copy;
}

int
str_int(struct str s, long long min, long long max, long long *ret)
{
    char digits[24];
    char *end;
    long long value;

    if (s.n == 0 || s.n >= sizeof(digits) || !(s.p[0] == '-' || (s.p[0] >= '0' && s.p[0] <= '9'))) {
        return ERR_INVALID;
    }
    memcpy(digits, s.p, s.n);
    digits[s.n] = '\0';
    errno = 0;
    value = strtoll(digits, &end, 10);
    if (errno != 0 || end != digits + s.n || value < min || value > max) {
        return ERR_INVALID;
    }
    *ret = value;
    return 0;
}

struct str
str_take_word(struct str *rest)
{
    struct str word = *rest;

    word.n = 0;
    while (word.n < rest->n && rest->p[word.n] != ' ' && rest->p[word.n] != '\t') {
        word.n++;
    }
    *rest = str_trim((struct str){rest->p + word.n, rest->n - word.n});
    return word;
}
