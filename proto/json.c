#include "proto/json.h"

#include <inttypes.h>
#include <math.h>

/* At most one recursion per level; bodies are at most PROTO_MAX_DEPTH deep. */
void
json_msgpack(struct buf *out, const msgpack_object *o)
{
    if (!o) {
        buf_add_c(out, "null");
        return;
    }
    switch (o->type) {
    case MSGPACK_OBJECT_NIL:
    case MSGPACK_OBJECT_EXT:
        buf_add_c(out, "null");
        break;
    case MSGPACK_OBJECT_BOOLEAN:
        buf_add_c(out, o->via.boolean ? "true" : "false");
        break;
    case MSGPACK_OBJECT_POSITIVE_INTEGER:
        buf_printf(out, "%" PRIu64, o->via.u64);
        break;
    case MSGPACK_OBJECT_NEGATIVE_INTEGER:
        buf_printf(out, "%" PRId64, o->via.i64);
        break;
    case MSGPACK_OBJECT_FLOAT32:
    case MSGPACK_OBJECT_FLOAT64:
        json_float(out, o->via.f64);
        break;
    case MSGPACK_OBJECT_STR:
        json_str(out, (struct str){o->via.str.ptr ? o->via.str.ptr : "", o->via.str.size});
        break;
    case MSGPACK_OBJECT_BIN:
        if (o->via.bin.size == sizeof(struct id)) {
            struct id id;
            memcpy(id.b, o->via.bin.ptr, sizeof(id.b));
            json_id(out, id);
        } else {
            buf_add_c(out, "null");
        }
        break;
    case MSGPACK_OBJECT_ARRAY:
        buf_add_byte(out, '[');
        for (uint32_t i = 0; i < o->via.array.size; i++) {
            json_comma(out);
            json_msgpack(out, &o->via.array.ptr[i]);
        }
        buf_add_byte(out, ']');
        break;
    case MSGPACK_OBJECT_MAP:
        buf_add_byte(out, '{');
        for (uint32_t i = 0; i < o->via.map.size; i++) {
            const msgpack_object_kv *kv = &o->via.map.ptr[i];
            if (kv->key.type == MSGPACK_OBJECT_STR) {
                json_comma(out);
                json_msgpack(out, &kv->key);
                buf_add_byte(out, ':');
                json_msgpack(out, &kv->val);
            }
        }
        buf_add_byte(out, '}');
        break;
    }
}

void
json_str(struct buf *out, struct str s)
{
    size_t from = 0;

    if (!s.p) {
        buf_add_c(out, "null");
        return;
    }
    buf_add_byte(out, '"');
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c >= 0x20 && c != '"' && c != '\\') {
            continue;
        }
        buf_add(out, s.p + from, i - from);
        from = i + 1;
        if (c == '"' || c == '\\') {
            buf_printf(out, "\\%c", c);
        } else if (c == '\n') {
            buf_add_c(out, "\\n");
        } else {
            buf_printf(out, "\\u%04x", c);
        }
    }
    buf_add(out, s.p + from, s.n - from);
    buf_add_byte(out, '"');
}

void
json_id(struct buf *out, struct id id)
{
    char text[ID_TEXT_SIZE];

    id_format(id, text);
    buf_printf(out, "\"%s\"", text);
}

void
json_float(struct buf *out, double v)
{
    if (isfinite(v)) {
        buf_printf(out, "%.9g", v);
    } else {
        buf_add_c(out, "null");
    }
}

void
json_comma(struct buf *out)
{
    if (out->n > 0 && !strchr("[{,:", out->p[out->n - 1])) {
        buf_add_byte(out, ',');
    }
}

void
json_key(struct buf *out, const char *key)
{
    json_comma(out);
    buf_printf(out, "\"%s\":", key);
}
