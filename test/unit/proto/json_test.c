#include "proto/json.h"

#include <criterion/criterion.h>
#include <jansson.h>
#include <math.h>

Test(json, keeps_every_value_that_json_knows)
{
    struct buf out = {0}, packed = {0};
    struct id id = id_derive("test", STR("x"));
    char text[ID_TEXT_SIZE];
    msgpack_unpacked u;
    msgpack_packer pk;
    json_t *j;

    msgpack_packer_init(&pk, &packed, buf_msgpack_write);
    msgpack_pack_map(&pk, 8);
    msgpack_pack_str_with_body(&pk, "text", 4);
    msgpack_pack_str_with_body(&pk, "a\"b\\c\n\x01\xc3\xa9", 9);
    msgpack_pack_str_with_body(&pk, "id", 2);
    msgpack_pack_bin(&pk, 16);
    msgpack_pack_bin_body(&pk, id.b, 16);
    msgpack_pack_str_with_body(&pk, "bin", 3);
    msgpack_pack_bin(&pk, 2);
    msgpack_pack_bin_body(&pk, "xy", 2);
    msgpack_pack_str_with_body(&pk, "list", 4);
    msgpack_pack_array(&pk, 3);
    msgpack_pack_int64(&pk, -7);
    msgpack_pack_true(&pk);
    msgpack_pack_nil(&pk);
    msgpack_pack_int(&pk, 5); /* a key that is no text, with its value */
    msgpack_pack_int(&pk, 6);
    msgpack_pack_str_with_body(&pk, "big", 3);
    msgpack_pack_int64(&pk, 1750000000000000);
    msgpack_pack_str_with_body(&pk, "half", 4);
    msgpack_pack_double(&pk, 0.5);
    msgpack_pack_str_with_body(&pk, "nan", 3);
    msgpack_pack_double(&pk, NAN);

    msgpack_unpacked_init(&u);
    cr_assert_eq(msgpack_unpack_next(&u, packed.p, packed.n, NULL), MSGPACK_UNPACK_SUCCESS);
    json_msgpack(&out, &u.data);
    j = json_loadb(out.p, out.n, 0, NULL);
    cr_assert(j, "%.*s", (int)out.n, out.p);
    cr_assert_eq(json_object_size(j), 7);
    cr_assert_str_eq(json_string_value(json_object_get(j, "text")), "a\"b\\c\n\x01\xc3\xa9");
    id_format(id, text);
    cr_assert_str_eq(json_string_value(json_object_get(j, "id")), text);
    cr_assert(json_is_null(json_object_get(j, "bin")));
    cr_assert_eq(json_array_size(json_object_get(j, "list")), 3);
    cr_assert_eq(json_integer_value(json_object_get(j, "big")), 1750000000000000);
    cr_assert_float_eq(json_real_value(json_object_get(j, "half")), 0.5, 0);
    cr_assert(json_is_null(json_object_get(j, "nan")));
    json_decref(j);
    msgpack_unpacked_destroy(&u);
    buf_fini(&packed);
    buf_fini(&out);
}

Test(json, puts_a_comma_where_one_is_due)
{
    struct buf out = {0};

    buf_add_byte(&out, '{');
    json_key(&out, "a");
    buf_add_byte(&out, '[');
    json_comma(&out);
    json_float(&out, 1);
    json_comma(&out);
    json_str(&out, STR("["));
    json_comma(&out);
    json_str(&out, (struct str){0});
    buf_add_byte(&out, ']');
    json_key(&out, "b");
    json_msgpack(&out, NULL);
    buf_add_byte(&out, '}');
    cr_assert_str_eq(buf_c(&out), "{\"a\":[1,\"[\",null],\"b\":null}");
    buf_fini(&out);
}
