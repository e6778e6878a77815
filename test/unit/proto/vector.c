#include "test/unit/proto/vector.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#define VECTOR_DIR "test/fixture/protocol"

static void
read_file(const char *path, struct buf *out)
{
    FILE *f = fopen(path, "rb");
    size_t n;

    cr_assert_not_null(f, "%s cannot be read", path);
    do {
        n = fread(buf_reserve(out, 65536), 1, 65536, f);
        out->n += n;
    } while (n > 0);
    fclose(f);
}

static int
is_json(const struct dirent *d)
{
    size_t n = strlen(d->d_name);
    return n > 5 && n < 100 && strcmp(d->d_name + n - 5, ".json") == 0;
}

static void
each_file(const char *file, const char *frame, void (*fn)(const struct vector *v), int *count)
{
    struct vector v = {0};
    char path[256];
    json_error_t error;

    snprintf(v.name, sizeof(v.name), "%.*s", (int)(strlen(file) - 5), file);
    snprintf(path, sizeof(path), VECTOR_DIR "/%s", file);
    v.about = json_load_file(path, 0, &error);
    cr_assert_not_null(v.about, "%s: %s", path, error.text);
    if (strcmp(vector_text(&v, "frame"), frame) == 0) {
        snprintf(path, sizeof(path), VECTOR_DIR "/%s.bin", v.name);
        read_file(path, &v.data);
        fn(&v);
        ++*count;
    }
    buf_fini(&v.data);
    json_decref(v.about);
}

void
vector_each(const char *frame, void (*fn)(const struct vector *v))
{
    struct dirent **files = NULL;
    int count = 0;
    int n = scandir(VECTOR_DIR, &files, is_json, alphasort);

    cr_assert_gt(n, 0, "no vectors in " VECTOR_DIR);
    for (int i = 0; i < n; i++) {
        each_file(files[i]->d_name, frame, fn, &count);
        free(files[i]);
    }
    free(files);
    cr_assert_gt(count, 0, "no vector of a %s", frame);
}

const char *
vector_text(const struct vector *v, const char *key)
{
    const char *text = json_string_value(json_object_get(v->about, key));
    return text ? text : "";
}

void
vector_unhex(const char *hex, struct buf *out)
{
    unsigned byte;
    for (; sscanf(hex, "%2x", &byte) == 1; hex += 2) {
        buf_add_byte(out, (char)byte);
    }
}

static bool
same_bin(const msgpack_object *o, const json_t *j)
{
    struct buf bytes = {0};
    bool same;

    vector_unhex(json_string_value(json_object_get(j, "bin")), &bytes);
    same = o->type == MSGPACK_OBJECT_BIN &&
           str_eq((struct str){.p = o->via.bin.ptr, .n = o->via.bin.size}, buf_str(&bytes));
    buf_fini(&bytes);
    return same;
}

static bool
same_map(const msgpack_object *o, const json_t *j)
{
    if (json_object_size(j) == 1 && json_is_string(json_object_get(j, "bin"))) {
        return same_bin(o, j);
    }
    if (o->type != MSGPACK_OBJECT_MAP || o->via.map.size != json_object_size(j)) {
        return false;
    }
    for (uint32_t i = 0; i < o->via.map.size; i++) {
        const msgpack_object_kv *kv = &o->via.map.ptr[i];
        char *key = str_dup((struct str){.p = kv->key.via.str.ptr, .n = kv->key.via.str.size});
        const json_t *value = json_object_get(j, key);
        free(key);
        if (value == NULL || !vector_same(&kv->val, value)) {
            return false;
        }
    }
    return true;
}

static bool
same_array(const msgpack_object *o, const json_t *j)
{
    if (o->type != MSGPACK_OBJECT_ARRAY || o->via.array.size != json_array_size(j)) {
        return false;
    }
    for (uint32_t i = 0; i < o->via.array.size; i++) {
        if (!vector_same(&o->via.array.ptr[i], json_array_get(j, i))) {
            return false;
        }
    }
    return true;
}

static bool
same_number(const msgpack_object *o, const json_t *j)
{
    if (json_is_real(j)) {
        return o->type == MSGPACK_OBJECT_FLOAT64 && o->via.f64 == json_real_value(j);
    }
    if (o->type == MSGPACK_OBJECT_NEGATIVE_INTEGER) {
        return o->via.i64 == json_integer_value(j);
    }
    return o->type == MSGPACK_OBJECT_POSITIVE_INTEGER &&
           o->via.u64 == (uint64_t)json_integer_value(j);
}

bool
vector_same(const msgpack_object *o, const json_t *j)
{
    switch (json_typeof(j)) {
    case JSON_OBJECT:
        return same_map(o, j);
    case JSON_ARRAY:
        return same_array(o, j);
    case JSON_STRING:
        return o->type == MSGPACK_OBJECT_STR &&
               str_eq((struct str){.p = o->via.str.ptr, .n = o->via.str.size},
                      (struct str){.p = json_string_value(j), .n = json_string_length(j)});
    case JSON_INTEGER:
    case JSON_REAL:
        return same_number(o, j);
    case JSON_TRUE:
    case JSON_FALSE:
        return o->type == MSGPACK_OBJECT_BOOLEAN && o->via.boolean == json_is_true(j);
    case JSON_NULL:
        return o->type == MSGPACK_OBJECT_NIL;
    }
    return false;
}
