#include "actors/edge/unit.h"

#include <criterion/criterion.h>
#include <stdlib.h>

TestSuite(unit, .timeout = 30);

static struct id
number(uint8_t n)
{
    return (struct id){{n, 1}};
}

/* A record whose one message has the id number (n), over link number (link). */
static struct record *
record(uint8_t n, uint8_t link, size_t text_bytes)
{
    struct buf body = {0}, text = {0};
    struct record *r;
    msgpack_packer pk;

    memset(buf_reserve(&text, text_bytes), 'x', text_bytes);
    text.n = text_bytes;
    msgpack_packer_init(&pk, &body, buf_msgpack_write);
    msgpack_pack_map(&pk, 3);
    pack_key(&pk, "channel");
    pack_c(&pk, "webform");
    pack_key(&pk, "link");
    pack_id(&pk, number(link));
    pack_key(&pk, "messages");
    msgpack_pack_array(&pk, 1);
    msgpack_pack_map(&pk, 2);
    pack_key(&pk, "id");
    pack_id(&pk, number(n));
    pack_key(&pk, "text");
    pack_str(&pk, buf_str(&text));
    r = calloc(1, sizeof(*r) + body.n);
    memcpy(r->bytes, body.p, body.n);
    r->body = (struct str){r->bytes, body.n};
    r->id = number(n);
    r->offset = n;
    r->received_us = 1000 + n;
    buf_fini(&body);
    buf_fini(&text);
    return r;
}

/* Chains them, in this order. */
static struct record *
chain(struct record **records, size_t n)
{
    for (size_t i = 0; i + 1 < n; i++) {
        records[i]->next = records[i + 1];
    }
    return records[0];
}

static void
free_all(struct record **records, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        free(records[i]);
    }
}

static size_t
count(const struct record *first, bool waited, bool durable)
{
    size_t n;
    bool is_durable;

    unit_count(first, waited, &n, &is_durable);
    cr_assert_eq(is_durable, durable);
    return n;
}

Test(unit, is_one_record_that_found_its_conversation_idle)
{
    struct record *r[] = {record(1, 7, 5), record(2, 7, 5)};

    cr_assert_eq(count(chain(r, 2), false, false), 1);
    free_all(r, 2);
}

Test(unit, is_all_that_waited_in_a_row_over_one_link)
{
    struct record *r[] = {record(1, 7, 5), record(2, 7, 5), record(3, 8, 5), record(4, 7, 5)};

    cr_assert_eq(count(chain(r, 4), true, true), 2);
    cr_assert_eq(count(r[2], true, false), 1);
    free_all(r, 4);
}

Test(unit, never_joins_what_an_earlier_holder_may_have_sent_alone)
{
    struct record *r[] = {record(1, 7, 5), record(2, 7, 5), record(3, 7, 5)};

    r[0]->recovered = true;
    r[1]->recovered = true;
    cr_assert_eq(count(chain(r, 3), true, false), 1);
    cr_assert_eq(count(r[1], true, false), 1);
    cr_assert_eq(count(r[2], true, false), 1);
    r[0]->recovered = false;
    cr_assert_eq(count(r[0], true, false), 1);
    free_all(r, 3);
}

Test(unit, holds_at_most_32_messages)
{
    struct record *r[40];

    for (uint8_t i = 0; i < 40; i++) {
        r[i] = record(i, 7, 5);
    }
    cr_assert_eq(count(chain(r, 40), true, true), ENVELOPE_MAX_MESSAGES);
    free_all(r, 40);
}

Test(unit, leaves_the_stages_room_in_the_envelope)
{
    struct record *r[] = {record(1, 7, 60000), record(2, 7, 60000), record(3, 7, 60000)};

    cr_assert_eq(count(chain(r, 3), true, true), 2);
    free_all(r, 3);
}

Test(unit, that_was_composed_stays_as_it_was_and_waits_for_all_its_parts)
{
    struct record *r[] = {record(1, 7, 5), record(2, 7, 5), record(3, 7, 5)};

    for (int i = 0; i < 2; i++) {
        r[i]->unit = number(1);
        r[i]->unit_at = i;
        r[i]->unit_size = 2;
        r[i]->recovered = true;
    }
    cr_assert_eq(count(r[0], false, false), 0, "its second part is not here");
    cr_assert_eq(count(chain(r, 3), false, false), 2);
    free_all(r, 3);
}

static struct envelope *
encoded(const struct record *records, struct buf *out)
{
    const struct unit_head head = {.id = number(1),
                                   .key = STR("webform:0123456789abcdef"),
                                   .seq = 3,
                                   .topic = "fte.tickets.incoming",
                                   .partition = 5,
                                   .deadline_us = 99};
    struct envelope *e = NULL;
    const char *why = "";

    unit_encode(&head, records, out);
    cr_assert_eq(envelope_decode(out->p, out->n, &e, &why), 0, "%s", why);
    return e;
}

Test(unit, of_one_record_is_an_envelope_around_its_bytes)
{
    struct record *r = record(1, 7, 5);
    struct buf out = {0};
    struct envelope *e = encoded(r, &out);
    const msgpack_object *incoming = envelope_section(e, "incoming");

    cr_assert(id_eq(e->id, number(1)));
    cr_assert(str_is(e->key, "webform:0123456789abcdef"));
    cr_assert(str_is(e->kind, "message"));
    cr_assert(str_is(e->source.topic, "fte.tickets.incoming"));
    cr_assert_eq(e->source.partition, 5);
    cr_assert_eq(e->source.offset, 1);
    cr_assert_eq(e->received_us, 1001);
    cr_assert_eq(e->deadline_us, 99);
    cr_assert_eq(map_array(incoming, "messages")->via.array.size, 1);
    envelope_free(&e);
    buf_fini(&out);
    free(r);
}

Test(unit, of_a_burst_holds_the_messages_of_all_in_order)
{
    struct record *r[] = {record(1, 7, 5), record(2, 7, 5), record(3, 7, 5)};
    struct buf out = {0};
    struct envelope *e = encoded(chain(r, 3), &out);
    const msgpack_object *incoming = envelope_section(e, "incoming");
    const msgpack_object *messages = map_array(incoming, "messages");
    struct id id;

    cr_assert_eq(e->source.offset, 3, "of the newest");
    cr_assert_eq(e->received_us, 1001, "of the oldest");
    cr_assert(str_is(map_str(incoming, "channel"), "webform"));
    cr_assert_eq(messages->via.array.size, 3);
    for (uint8_t i = 0; i < 3; i++) {
        cr_assert(map_id(&messages->via.array.ptr[i], "id", &id));
        cr_assert(id_eq(id, number(i + 1)));
    }
    envelope_free(&e);
    buf_fini(&out);
    free_all(r, 3);
}

Test(unit, tells_the_stages_what_went_wrong_before)
{
    struct record *r = record(1, 7, 5);
    struct unit_head head = {.id = number(1), .key = STR("k"), .topic = "t", .error_n = 1};
    struct buf out = {0}, errors = {0};
    struct envelope *e = NULL;
    const char *why = "";
    msgpack_packer pk;

    msgpack_packer_init(&pk, &errors, buf_msgpack_write);
    pack_c(&pk, "triage: internal: x");
    head.errors = &errors;
    unit_encode(&head, r, &out);
    cr_assert_eq(envelope_decode(out.p, out.n, &e, &why), 0, "%s", why);
    cr_assert_eq(e->errors.type, MSGPACK_OBJECT_ARRAY);
    cr_assert_eq(e->errors.via.array.size, 1);
    envelope_free(&e);
    buf_fini(&out);
    buf_fini(&errors);
    free(r);
}

Test(unit, takes_no_link_or_message_from_bytes_that_have_none)
{
    struct id ids[ENVELOPE_MAX_MESSAGES];

    cr_assert(id_is_nil(unit_link(STR("\xc1"))));
    cr_assert(id_is_nil(unit_link(STR("\x80"))));
    cr_assert_eq(unit_message_ids(STR("\xc1"), ids), 0);
    cr_assert_eq(unit_message_ids(STR("\x81\xa8messages\x91\xc0"), ids), 0);
}

Test(unit, looks_into_a_body_of_any_size)
{
    struct buf body = {0};
    struct id ids[ENVELOPE_MAX_MESSAGES];

    for (size_t n = 0; n <= 2 * PROTO_MAX_BODY; n += PROTO_MAX_BODY / 2) {
        memset(buf_reserve(&body, n), 'x', n);
        body.n = n;
        cr_assert(id_is_nil(unit_link(buf_str(&body))));
        cr_assert_eq(unit_message_ids(buf_str(&body), ids), 0);
    }
    buf_fini(&body);
}
