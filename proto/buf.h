/* buf - bytes that grow. The one growable buffer of the house. */
#ifndef PROTO_BUF_H
#define PROTO_BUF_H

#include "proto/mem.h"
#include "proto/str.h"

#include <stdarg.h>
#include <stddef.h>

struct buf {
    char *p;    /* owned; NULL while nothing was written */
    size_t n;   /* bytes in use */
    size_t cap; /* bytes allocated */
};

/* A buf may also be born as `struct buf b = {0};`. */
void buf_fini(struct buf *b);
/* Forgets the content and keeps the memory. */
void buf_clear(struct buf *b);
/* Room for `n` more bytes; returns where to write them (then add to b->n oneself). */
char *buf_reserve(struct buf *b, size_t n);
void buf_add(struct buf *b, const void *p, size_t n);
void buf_add_str(struct buf *b, struct str s);
void buf_add_c(struct buf *b, const char *c);
void buf_add_byte(struct buf *b, char c);
void buf_printf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Appends `s` as one line of UTF-8 that a terminal can show, whatever stands in it: control
 * characters become blanks, bytes that are no UTF-8 become "?". Of more than `max` bytes as many
 * whole characters as there is room for. */
void buf_add_shown(struct buf *b, struct str s, size_t max);
/* The content, borrowed until the next change. */
struct str buf_str(const struct buf *b);
/* The content as a C string (a NUL is kept behind it), borrowed until the next change. */
const char *buf_c(struct buf *b);
/* For msgpack_packer_init (&pk, buf, buf_msgpack_write). Always 0. */
int buf_msgpack_write(void *b, const char *p, size_t n);

#endif
