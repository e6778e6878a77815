#include "proto/envelope.h"

#include "proto/err.h"
#include "proto/head.h"
#include "proto/wire.h"

#include <stdlib.h>

/* --- reading maps --------------------------------------------------------------------------- */

const msgpack_object *
map_get(const msgpack_object *map, const char *key)
{
    size_t n = strlen(key);

    if (map == NULL || map->type != MSGPACK_OBJECT_MAP) {
        return NULL;
    }
    for (uint32_t i = 0; i < map->via.map.size; i++) {
        const msgpack_object_kv *kv = &map->via.map.ptr[i];
        if (kv->key.type == MSGPACK_OBJECT_STR && kv->key.via.str.size == n &&
            memcmp(kv->key.via.str.ptr, key, n) == 0) {
            return &kv->val;
        }
    }
    return NULL;
}

struct str
map_str(const msgpack_object *map, const char *key)
{
    const msgpack_object *o = map_get(map, key);
    if (o == NULL || o->type != MSGPACK_OBJECT_STR) {
        return (struct str){0};
    }
    return (struct str){.p = o->via.str.ptr, .n = o->via.str.size};
}

bool
map_int(const msgpack_object *map, const char *key, int64_t *ret)
{
    const msgpack_object *o = map_get(map, key);
    if (o == NULL) {
        return false;
    }
    if (o->type == MSGPACK_OBJECT_POSITIVE_INTEGER && o->via.u64 <= INT64_MAX) {
        *ret = (int64_t)o->via.u64;
        return true;
    }
    if (o->type == MSGPACK_OBJECT_NEGATIVE_INTEGER) {
        *ret = o->via.i64;
        return true;
    }
    return false;
}

bool
map_float(const msgpack_object *map, const char *key, double *ret)
{
    const msgpack_object *o = map_get(map, key);
    int64_t i;

    if (o != NULL && (o->type == MSGPACK_OBJECT_FLOAT32 || o->type == MSGPACK_OBJECT_FLOAT64)) {
        *ret = o->via.f64;
        return true;
    }
    if (map_int(map, key, &i)) {
        *ret = (double)i;
        return true;
    }
    return false;
}

bool
map_bool(const msgpack_object *map, const char *key)
{
    const msgpack_object *o = map_get(map, key);
    return o != NULL && o->type == MSGPACK_OBJECT_BOOLEAN && o->via.boolean;
}

bool
map_id(const msgpack_object *map, const char *key, struct id *ret)
{
    const msgpack_object *o = map_get(map, key);
    if (o == NULL || o->type != MSGPACK_OBJECT_BIN || o->via.bin.size != sizeof(ret->b)) {
        return false;
    }
    memcpy(ret->b, o->via.bin.ptr, sizeof(ret->b));
    return true;
}

const msgpack_object *
map_array(const msgpack_object *map, const char *key)
{
    const msgpack_object *o = map_get(map, key);
    return o != NULL && o->type == MSGPACK_OBJECT_ARRAY ? o : NULL;
}

/* --- writing -------------------------------------------------------------------------------- */

void
pack_str(msgpack_packer *pk, struct str s)
{
    if (s.p == NULL) {
        msgpack_pack_nil(pk);
        return;
    }
    msgpack_pack_str(pk, s.n);
    msgpack_pack_str_body(pk, s.p, s.n);
}

void
pack_c(msgpack_packer *pk, const char *c)
{
    pack_str(pk, str_of(c));
}

void
pack_key(msgpack_packer *pk, const char *key)
{
    pack_c(pk, key);
}

void
pack_id(msgpack_packer *pk, struct id id)
{
    msgpack_pack_bin(pk, sizeof(id.b));
    msgpack_pack_bin_body(pk, id.b, sizeof(id.b));
}

/* --- decoding ------------------------------------------------------------------------------- */

int
body_decode(const void *data, size_t size, msgpack_unpacked *ret)
{
    size_t offset = 0;

    msgpack_unpacked_init(ret); /* may be destroyed whatever comes of it */
    if (size > PROTO_MAX_BODY) {
        return ERR_TOO_BIG;
    }
    if (!wire_ok(data, size) ||
        msgpack_unpack_next(ret, data, size, &offset) != MSGPACK_UNPACK_SUCCESS || offset != size) {
        msgpack_unpacked_destroy(ret);
        msgpack_unpacked_init(ret);
        return ERR_MALFORMED;
    }
    return 0;
}

static const char *
read_source(const msgpack_object *map, struct envelope *e)
{
    const msgpack_object *source = map_get(map, "source");
    int64_t partition;

    e->source.topic = map_str(source, "topic");
    if (e->source.topic.p == NULL || !map_int(source, "partition", &partition) || partition < 0 ||
        partition > INT32_MAX || !map_int(source, "offset", &e->source.offset)) {
        return "source";
    }
    e->source.partition = (int32_t)partition;
    return NULL;
}

/* The name of the first field that is not as the grammar says, or NULL. */
static const char *
read_fields(const msgpack_object *map, struct envelope *e)
{
    const msgpack_object *o;
    int64_t seq;

    if (!map_id(map, "id", &e->id) || id_is_nil(e->id)) {
        return "id";
    }
    e->key = map_str(map, "key");
    if (e->key.n == 0 || e->key.n > 256) {
        return "key";
    }
    if (!map_int(map, "seq", &seq) || seq < 0) {
        return "seq";
    }
    e->seq = (uint64_t)seq;
    e->kind = map_str(map, "kind");
    if (e->kind.n == 0 || e->kind.n > 32) {
        return "kind";
    }
    if (!map_int(map, "received", &e->received_us)) {
        return "received";
    }
    if (!map_int(map, "deadline", &e->deadline_us)) {
        return "deadline";
    }
    e->trace = map_str(map, "trace");
    o = map_get(map, "body");
    if (o == NULL || o->type != MSGPACK_OBJECT_MAP) {
        return "body";
    }
    e->body = *o;
    o = map_get(map, "errors");
    if (o != NULL && o->type != MSGPACK_OBJECT_ARRAY && o->type != MSGPACK_OBJECT_NIL) {
        return "errors";
    }
    e->errors = o ? *o : (msgpack_object){.type = MSGPACK_OBJECT_NIL};
    return read_source(map, e);
}

int
envelope_decode(const void *data, size_t size, struct envelope **ret, const char **ret_why)
{
    struct envelope *e;
    const char *fault;
    int64_t version;
    int err;

    if (size > PROTO_MAX_BODY) {
        *ret_why = "envelope";
        return ERR_TOO_BIG;
    }
    e = xcalloc(1, sizeof(*e));
    e->bytes_ = xmalloc(size);
    if (size > 0) {
        memcpy(e->bytes_, data, size);
    }
    err = body_decode(e->bytes_, size, &e->own_);
    if (err == 0 && e->own_.data.type != MSGPACK_OBJECT_MAP) {
        err = ERR_MALFORMED;
    }
    if (err != 0) {
        *ret_why = "envelope";
        goto failed;
    }
    if (!map_int(&e->own_.data, "v", &version)) {
        *ret_why = "v";
        err = ERR_MALFORMED;
        goto failed;
    }
    if (version != ENVELOPE_VERSION) {
        *ret_why = "v";
        err = ERR_VERSION;
        goto failed;
    }
    fault = read_fields(&e->own_.data, e);
    if (fault != NULL) {
        *ret_why = fault;
        err = ERR_MALFORMED;
        goto failed;
    }
    *ret = e;
    return 0;

failed:
    envelope_free(&e);
    return err;
}

void
envelope_free(struct envelope **e_p)
{
    if (*e_p == NULL) {
        return;
    }
    msgpack_unpacked_destroy(&(*e_p)->own_);
    free((*e_p)->bytes_);
    free(*e_p);
    *e_p = NULL;
}

const msgpack_object *
envelope_section(const struct envelope *e, const char *name)
{
    return map_get(&e->body, name);
}

static bool
key_is(const msgpack_object_kv *kv, const char *key)
{
    return key != NULL &&
           str_is((struct str){.p = kv->key.via.str.ptr, .n = kv->key.via.str.size}, key);
}

static void
pack_body(msgpack_packer *pk, const struct envelope *e, const char *name, struct str section,
          struct buf *out)
{
    const msgpack_object_map *m = &e->body.via.map;
    uint32_t kept = 0;

    for (uint32_t i = 0; i < m->size; i++) {
        kept += !key_is(&m->ptr[i], name);
    }
    msgpack_pack_map(pk, kept + (name != NULL));
    for (uint32_t i = 0; i < m->size; i++) {
        if (!key_is(&m->ptr[i], name)) {
            msgpack_pack_object(pk, m->ptr[i].key);
            msgpack_pack_object(pk, m->ptr[i].val);
        }
    }
    if (name != NULL) {
        pack_key(pk, name);
        buf_add_str(out, section);
    }
}

void
envelope_encode(const struct envelope *e, const char *name, struct str section, struct buf *out)
{
    const msgpack_object_map *m = &e->own_.data.via.map;
    msgpack_packer pk;

    msgpack_packer_init(&pk, out, buf_msgpack_write);
    msgpack_pack_map(&pk, m->size);
    for (uint32_t i = 0; i < m->size; i++) {
        msgpack_pack_object(&pk, m->ptr[i].key);
        if (key_is(&m->ptr[i], "body")) {
            pack_body(&pk, e, name, section, out);
        } else {
            msgpack_pack_object(&pk, m->ptr[i].val);
        }
    }
}
