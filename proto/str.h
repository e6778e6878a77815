/* str - text from outside: a pointer and a length, never owned, never assumed to end in NUL. */
#ifndef PROTO_STR_H
#define PROTO_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct str {
    const char *p; /* may be NULL where n is 0 */
    size_t n;      /* bytes */
};

/* For printf: printf ("%.*s", STR_ARG (s)). */
#define STR_ARG(s) (int)(s).n, (s).p ? (s).p : ""
/* A string literal as a str. */
#define STR(literal) ((struct str){.p = (literal), .n = sizeof(literal) - 1})

/* Borrows a C string; NULL becomes the empty str. */
static inline struct str
str_of(const char *c)
{
    return (struct str){.p = c, .n = c ? strlen(c) : 0};
}

/* Byte by byte equality. */
static inline bool
str_eq(struct str a, struct str b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static inline bool
str_is(struct str a, const char *c)
{
    return str_eq(a, str_of(c));
}

/* Without the ASCII blanks at both ends. */
struct str str_trim(struct str s);
/* The first word (up to a space or tab) of *rest, which is taken off together with the space
 * behind. Empty where *rest is. */
struct str str_take_word(struct str *rest);

/* True if the bytes are valid UTF-8 without U+0000 (PostgreSQL's text cannot hold it). */
bool str_is_text(struct str s);

/* A NUL-terminated copy. Caller frees with free(). Ends the process if there is no memory. */
char *str_dup(struct str s);

/* Reads a whole decimal integer in [min, max]. 0, or ERR_INVALID and *ret untouched. */
int str_int(struct str s, long long min, long long max, long long *ret);

#endif
