#include "actors/ingress/append.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static struct form form;

static struct append_message
a_message(const char *json)
{
    struct buf why = {0};

    cr_assert_eq(form_read(FORM_REQUEST, FORM_MEDIA_JSON, str_of(json), &form, &why), 0);
    return (struct append_message){.id = id_derive("t", STR("id")),
                                   .link = id_derive("t", STR("link")),
                                   .key = "webform:0123456789abcdef",
                                   .email = buf_str(&form.email),
                                   .form = &form,
                                   .at_us = 1234567,
                                   .media = "application/json",
                                   .raw = str_of(json)};
}

Test(append, packs_the_raw_record_first_and_then_the_normal_form)
{
    struct append_message m = a_message(
        "{\"name\":\"Ann\",\"email\":\"ANN@b.org\",\"message\":\"hi\",\"priority\":\"low\"}");
    struct buf out = {0};
    msgpack_unpacked records[2], in;
    size_t at = 0;
    struct id id;
    int64_t at_us;

    cr_assert_eq(append_pack(&m, &out), 0);
    for (int i = 0; i < 2; i++) {
        msgpack_unpacked_init(&records[i]);
        cr_assert_eq(msgpack_unpack_next(&records[i], out.p, out.n, &at), MSGPACK_UNPACK_SUCCESS);
    }
    cr_expect_eq(at, out.n, "two records and nothing else");
    const msgpack_object *raw = &records[0].data, *normal = &records[1].data;
    cr_expect(str_is(map_str(raw, "topic"), "fte.channels.webform.inbound"));
    cr_expect(str_is(map_str(normal, "topic"), "fte.tickets.incoming"));
    cr_expect(map_id(normal, "id", &id) && id_eq(id, m.id));
    const msgpack_object *body = map_get(normal, "body");
    cr_assert_eq(body_decode(body->via.bin.ptr, body->via.bin.size, &in), 0);
    cr_expect(str_is(map_str(&in.data, "channel"), "webform"));
    cr_expect(str_is(map_str(&in.data, "priority"), "low"));
    cr_expect_null(map_get(&in.data, "subject"));
    cr_expect(str_is(map_str(map_get(&in.data, "customer"), "email"), "ann@b.org"));
    cr_expect_null(map_get(map_get(&in.data, "customer"), "phone"));
    const msgpack_object *message = &map_array(&in.data, "messages")->via.array.ptr[0];
    cr_expect(str_is(map_str(message, "text"), "hi"));
    cr_expect(map_int(message, "at", &at_us) && at_us == 1234567);
    msgpack_unpacked_destroy(&in);
    msgpack_unpacked_destroy(&records[0]);
    msgpack_unpacked_destroy(&records[1]);
    buf_fini(&out);
    form_fini(&form);
}

Test(append, refuses_what_no_message_between_actors_may_hold)
{
    struct append_message m =
        a_message("{\"name\":\"A\",\"email\":\"a@b.org\",\"message\":\"hi\"}");
    struct buf out = {0};

    m.raw.n = 200 * 1024;
    m.raw.p = xcalloc(1, m.raw.n);
    cr_expect_eq(append_pack(&m, &out), ERR_TOO_BIG);
    cr_expect_eq(out.n, 0);
    free((void *)(uintptr_t)m.raw.p);
    form_fini(&form);
}
