/* fuzz - what the fuzz targets share: a claim that ends the process where it doesn't hold, and the
 * claims about texts that are shown to people. */
#ifndef TEST_FUZZ_FUZZ_H
#define TEST_FUZZ_FUZZ_H

#include "proto/str.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* libFuzzer takes the abort for a find, and keeps the input. */
#define insist(claim)                                                                              \
    do {                                                                                           \
        if (!(claim)) {                                                                            \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #claim);             \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* Fit for a terminal and a log: UTF-8 without control characters. */
static inline bool
is_line(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f) {
            return false;
        }
    }
    return str_is_text(s);
}

static inline bool
begins(struct str s, const char *with)
{
    return s.n >= strlen(with) && memcmp(s.p, with, strlen(with)) == 0;
}

/* Takes the text up to `mark`, which is taken too, off *rest; all of it where there is none. */
static inline struct str
take(struct str *rest, char mark)
{
    const char *at = rest->n > 0 ? memchr(rest->p, mark, rest->n) : NULL;
    struct str piece = {rest->p, at != NULL ? (size_t)(at - rest->p) : rest->n};
    size_t used = piece.n + (at != NULL);

    *rest = (struct str){rest->n > 0 ? rest->p + used : rest->p, rest->n - used};
    return piece;
}

#endif
