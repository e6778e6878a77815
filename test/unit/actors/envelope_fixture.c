#include "test/unit/actors/envelope_fixture.h"

#include <criterion/criterion.h>
#include <jansson.h>
#include <string.h>

struct id
fixture_id(const char *name)
{
    return id_derive("test", str_of(name));
}

static void
pack_json(msgpack_packer *pk, const json_t *j)
{
    const char *text, *key;
    size_t i;
    json_t *v;

    switch (json_typeof(j)) {
    case JSON_OBJECT:
        msgpack_pack_map(pk, json_object_size(j));
        json_object_foreach((json_t *)j, key, v)
        {
            pack_key(pk, key);
            pack_json(pk, v);
        }
        break;
    case JSON_ARRAY:
        msgpack_pack_array(pk, json_array_size(j));
        json_array_foreach(j, i, v)
        {
            pack_json(pk, v);
        }
        break;
    case JSON_STRING:
        text = json_string_value(j);
        if (strncmp(text, "id:", 3) == 0) {
            pack_id(pk, fixture_id(text + 3));
        } else {
            pack_c(pk, text);
        }
        break;
    case JSON_INTEGER:
        msgpack_pack_int64(pk, json_integer_value(j));
        break;
    case JSON_REAL:
        msgpack_pack_double(pk, json_real_value(j));
        break;
    case JSON_TRUE:
        msgpack_pack_true(pk);
        break;
    case JSON_FALSE:
        msgpack_pack_false(pk);
        break;
    case JSON_NULL:
        msgpack_pack_nil(pk);
        break;
    }
}

struct envelope *
fixture_envelope(const char *text)
{
    static const char frame[] =
        "{\"v\": 1, \"id\": \"id:unit\", \"key\": \"webform:0123456789abcdef\", \"seq\": 1,"
        " \"kind\": \"message\","
        " \"source\": {\"topic\": \"fte.tickets.incoming\", \"partition\": 0, \"offset\": 7},"
        " \"received\": 1750000000000000, \"deadline\": 1750000060000000, \"trace\": \"\","
        " \"errors\": null}";
    json_error_t error;
    json_t *j = json_loads(frame, 0, &error), *body = json_loads(text, 0, &error);
    struct envelope *e = NULL;
    struct buf packed = {0};
    const char *why = "";
    msgpack_packer pk;

    cr_assert(body, "the test's JSON: %s", error.text);
    json_object_set_new(j, "body", body);
    msgpack_packer_init(&pk, &packed, buf_msgpack_write);
    pack_json(&pk, j);
    json_decref(j);
    cr_assert_eq(envelope_decode(packed.p, packed.n, &e, &why), 0, "%s", why);
    buf_fini(&packed);
    return e;
}
