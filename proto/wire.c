#include "proto/wire.h"

#include "proto/head.h"
#include "proto/str.h"

struct reader {
    const unsigned char *p;
    const unsigned char *end;
};

static bool value_ok(struct reader *r, int depth);

static bool
skip(struct reader *r, size_t n)
{
    if ((size_t)(r->end - r->p) < n) {
        return false;
    }
    r->p += n;
    return true;
}

/* A length of 1, 2 or 4 bytes. */
static bool
read_length(struct reader *r, size_t bytes, size_t *ret)
{
    size_t n = 0;

    if ((size_t)(r->end - r->p) < bytes) {
        return false;
    }
    for (size_t i = 0; i < bytes; i++) {
        n = n << 8 | *r->p++;
    }
    *ret = n;
    return true;
}

static bool
str_ok(struct reader *r, size_t n)
{
    struct str s = {.p = (const char *)r->p, .n = n};
    return skip(r, n) && str_is_text(s);
}

static bool
key_ok(struct reader *r)
{
    bool is_str = r->p < r->end && ((*r->p & 0xe0) == 0xa0 || (*r->p >= 0xd9 && *r->p <= 0xdb));
    return is_str && value_ok(r, PROTO_MAX_DEPTH);
}

static bool
array_ok(struct reader *r, size_t n, int depth)
{
    while (n > 0 && value_ok(r, depth + 1)) {
        n--;
    }
    return n == 0;
}

static bool
map_ok(struct reader *r, size_t n, int depth)
{
    while (n > 0 && key_ok(r) && value_ok(r, depth + 1)) {
        n--;
    }
    return n == 0;
}

static bool
value_ok(struct reader *r, int depth)
{
    static const unsigned char number_sizes[] = {4, 8, 1, 2, 4, 8, 1, 2, 4, 8}; /* 0xca to 0xd3 */
    unsigned char tag;
    size_t n;

    if (depth > PROTO_MAX_DEPTH || r->p == r->end) {
        return false;
    }
    tag = *r->p++;
    if (tag <= 0x7f || tag >= 0xe0 || tag == 0xc0 || tag == 0xc2 || tag == 0xc3) {
        return true;
    }
    if (tag <= 0x8f) {
        return map_ok(r, tag & 0x0f, depth);
    }
    if (tag <= 0x9f) {
        return array_ok(r, tag & 0x0f, depth);
    }
    if (tag <= 0xbf) {
        return str_ok(r, tag & 0x1f);
    }
    if (tag >= 0xc4 && tag <= 0xc6) {
        return read_length(r, (size_t)1 << (tag - 0xc4), &n) && skip(r, n);
    }
    if (tag >= 0xca && tag <= 0xd3) {
        return skip(r, number_sizes[tag - 0xca]);
    }
    if (tag >= 0xd9 && tag <= 0xdb) {
        return read_length(r, (size_t)1 << (tag - 0xd9), &n) && str_ok(r, n);
    }
    if (tag == 0xdc || tag == 0xdd) {
        return read_length(r, (size_t)2 << (tag - 0xdc), &n) && array_ok(r, n, depth);
    }
    if (tag == 0xde || tag == 0xdf) {
        return read_length(r, (size_t)2 << (tag - 0xde), &n) && map_ok(r, n, depth);
    }
    return false; /* 0xc1 is never used; the rest are extension types */
}

bool
wire_ok(const void *data, size_t size)
{
    struct reader r = {.p = data, .end = (const unsigned char *)data + size};
    return value_ok(&r, 1) && r.p == r.end;
}
