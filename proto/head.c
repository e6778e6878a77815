#include "proto/head.h"

#include "proto/envelope.h"
#include "proto/err.h"

#include <assert.h>

/* The order of the array's elements: version and type never move, whatever the version. */
enum {
    F_VERSION,
    F_TYPE,
    F_SERVICE,
    F_ID,
    F_ATTEMPT,
    F_GENERATION,
    F_ROUTE,
    F_COUNT,
    F_PID,
    F_SIZE
};

/* Heads are read by hand, not by msgpack_unpack(): the router reads one for every message, and this
 * needs no memory. Only the forms that the grammar allows are taken. */
struct reader {
    const uint8_t *p;
    const uint8_t *end;
};

static bool
read_be(struct reader *r, int bytes, uint64_t *ret)
{
    uint64_t v = 0;
    if (r->end - r->p < bytes) {
        return false;
    }
    for (int i = 0; i < bytes; i++) {
        v = v << 8 | *r->p++;
    }
    *ret = v;
    return true;
}

static bool
read_u32(struct reader *r, uint32_t *ret)
{
    uint64_t v;
    uint8_t tag;

    if (r->p == r->end) {
        return false;
    }
    tag = *r->p++;
    if (tag <= 0x7f) {
        *ret = tag;
        return true;
    }
    if (tag < 0xcc || tag > 0xcf || !read_be(r, 1 << (tag - 0xcc), &v) || v > UINT32_MAX) {
        return false;
    }
    *ret = (uint32_t)v;
    return true;
}

/* A str (fixstr, str 8) or a bin (bin 8), of at most `max` bytes. */
static bool
read_bytes(struct reader *r, bool is_str, size_t max, struct str *ret)
{
    uint8_t tag;
    uint64_t n;

    if (r->p == r->end) {
        return false;
    }
    tag = *r->p++;
    if (is_str && (tag & 0xe0) == 0xa0) {
        n = tag & 0x1f;
    } else if (tag != (is_str ? 0xd9 : 0xc4) || !read_be(r, 1, &n)) {
        return false;
    }
    if (n > max || (uint64_t)(r->end - r->p) < n) {
        return false;
    }
    *ret = (struct str){.p = (const char *)r->p, .n = n};
    r->p += n;
    return true;
}

bool
head_service_ok(struct str service)
{
    if (service.n == 0 || service.n > PROTO_MAX_SERVICE) {
        return false;
    }
    for (size_t i = 0; i < service.n; i++) {
        char c = service.p[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '.' ||
              c == '-')) {
            return false;
        }
    }
    return true;
}

int
head_decode(const void *data, size_t size, struct head *ret)
{
    struct reader r = {.p = data, .end = (const uint8_t *)data + size};
    struct head h = {0};
    struct str id;
    uint64_t n;

    if (size > PROTO_MAX_HEAD) {
        return ERR_TOO_BIG;
    }
    if (size == 0) {
        return ERR_MALFORMED;
    }
    if ((*r.p & 0xf0) == 0x90) {
        n = *r.p++ & 0x0f;
    } else if (*r.p == 0xdc) {
        r.p++;
        if (!read_be(&r, 2, &n)) {
            return ERR_MALFORMED;
        }
    } else {
        return ERR_MALFORMED;
    }
    if (n < 2 || !read_u32(&r, &h.version) || !read_u32(&r, &h.type)) {
        return ERR_MALFORMED;
    }
    if (h.version != PROTO_VERSION) {
        *ret = h;
        return ERR_VERSION;
    }
    /* More elements than we know are a newer peer's business: additive fields, same version. */
    if (n < F_SIZE || !read_bytes(&r, true, PROTO_MAX_SERVICE, &h.service) ||
        !read_bytes(&r, false, sizeof(h.id.b), &id) || (id.n != sizeof(h.id.b) && id.n != 0) ||
        !read_u32(&r, &h.attempt) || !read_u32(&r, &h.generation) ||
        !read_bytes(&r, false, PROTO_MAX_ROUTE, &h.route) || !read_u32(&r, &h.count) ||
        !read_u32(&r, &h.pid)) {
        return ERR_MALFORMED;
    }
    if (h.service.n > 0 && !head_service_ok(h.service)) {
        return ERR_MALFORMED;
    }
    if (id.n > 0) {
        memcpy(h.id.b, id.p, sizeof(h.id.b));
    }
    *ret = h;
    return 0;
}

void
head_encode(const struct head *h, struct buf *out)
{
    msgpack_packer pk;

    assert(h->service.n <= PROTO_MAX_SERVICE && h->route.n <= PROTO_MAX_ROUTE);
    msgpack_packer_init(&pk, out, buf_msgpack_write);
    msgpack_pack_array(&pk, F_SIZE);
    msgpack_pack_uint32(&pk, PROTO_VERSION);
    msgpack_pack_uint32(&pk, h->type);
    msgpack_pack_str(&pk, h->service.n);
    msgpack_pack_str_body(&pk, h->service.p, h->service.n);
    if (id_is_nil(h->id)) {
        msgpack_pack_bin(&pk, 0);
    } else {
        pack_id(&pk, h->id);
    }
    msgpack_pack_uint32(&pk, h->attempt);
    msgpack_pack_uint32(&pk, h->generation);
    msgpack_pack_bin(&pk, h->route.n);
    msgpack_pack_bin_body(&pk, h->route.p, h->route.n);
    msgpack_pack_uint32(&pk, h->count);
    msgpack_pack_uint32(&pk, h->pid);
}

const char *
head_type_str(uint32_t type)
{
    static const char *const names[] = {
        [HEAD_READY] = "READY", [HEAD_CREDIT] = "CREDIT", [HEAD_WORK] = "WORK",
        [HEAD_DONE] = "DONE",   [HEAD_RETRY] = "RETRY",   [HEAD_FAIL] = "FAIL",
        [HEAD_CALL] = "CALL",   [HEAD_RETURN] = "RETURN", [HEAD_BUSY] = "BUSY",
        [HEAD_LOST] = "LOST",   [HEAD_HB] = "HB",         [HEAD_DRAIN] = "DRAIN",
        [HEAD_BYE] = "BYE",
    };
    return type < sizeof(names) / sizeof(names[0]) && names[type] ? names[type] : "?";
}
