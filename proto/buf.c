#include "proto/buf.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistr.h>

void
buf_fini(struct buf *b)
{
    free(b->p);
    *b = (struct buf){0};
}

void
buf_clear(struct buf *b)
{
    b->n = 0;
}

char *
buf_reserve(struct buf *b, size_t n)
{
    /* One more byte than asked for, so that buf_c() never has to grow. */
    if (b->cap - b->n < n + 1 || b->cap == 0) {
        size_t cap = b->cap < 64 ? 64 : b->cap * 2;
        while (cap < b->n + n + 1) {
            cap *= 2;
        }
        b->p = xrealloc(b->p, cap);
        b->cap = cap;
    }
    return b->p + b->n;
}

void
buf_add(struct buf *b, const void *p, size_t n)
{
    char *to = buf_reserve(b, n);
    if (n > 0) {
        memcpy(to, p, n);
    }
    b->n += n;
}

void
buf_add_str(struct buf *b, struct str s)
{
    buf_add(b, s.p, s.n);
}

void
buf_add_c(struct buf *b, const char *c)
{
    buf_add(b, c, strlen(c));
}

void
buf_add_byte(struct buf *b, char c)
{
    buf_add(b, &c, 1);
}

void
buf_printf(struct buf *b, const char *format, ...)
{
    va_list args, again;
    int n;

    va_start(args, format);
    va_copy(again, args);
    n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (n > 0) {
        vsnprintf(buf_reserve(b, (size_t)n), (size_t)n + 1, format, again);
        b->n += (size_t)n;
    }
    va_end(again);
}

void
buf_add_shown(struct buf *b, struct str s, size_t max)
{
    size_t used = 0;

    while (used < s.n) {
        const uint8_t *at = (const uint8_t *)s.p + used;
        ucs4_t c;
        int size = u8_mbtoucr(&c, at, s.n - used);
        size_t step = size > 0 ? (size_t)size : 1;
        if (used + step > max) {
            break;
        }
        if (size <= 0) {
            buf_add_byte(b, '?');
        } else if (c < 0x20 || (c >= 0x7f && c < 0xa0)) {
            buf_add_byte(b, ' ');
        } else {
            buf_add(b, at, step);
        }
        used += step;
    }
}

struct str
buf_str(const struct buf *b)
{
    return (struct str){.p = b->p ? b->p : "", .n = b->n};
}

const char *
buf_c(struct buf *b)
{
    buf_reserve(b, 0)[0] = '\0';
    return b->p;
}

int
buf_msgpack_write(void *b, const char *p, size_t n)
{
    buf_add(b, p, n);
    return 0;
}
