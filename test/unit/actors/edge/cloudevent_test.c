#include "actors/edge/cloudevent.h"

#include "actors/edge/topics.h"
#include "proto/envelope.h"
#include "proto/err.h"

#include <criterion/criterion.h>
#include <jansson.h>
#include <string.h>

TestSuite(cloudevent, .timeout = 30);

static const char outside[] =
    "{\"channel\":\"webform\",\"customer\":{\"email\":\"bob@example.com\"},"
    "\"messages\":[{\"text\":\"hello\"},{\"text\":\"again\"}]}";

/* Headers of a record of somebody else's. */
static size_t
plain(struct cloudevent_header *h)
{
    const char *const all[][2] = {{"ce_specversion", "1.0"},
                                  {"ce_id", "order 7"},
                                  {"ce_type", "shop.order"},
                                  {"ce_source", "/shop"},
                                  {"content-type", "application/json; charset=utf-8"}};

    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        h[i] = (struct cloudevent_header){all[i][0], str_of(all[i][1])};
    }
    return sizeof(all) / sizeof(all[0]);
}

static void
pack_incoming(struct buf *out, struct id link, struct id message)
{
    msgpack_packer pk;

    msgpack_packer_init(&pk, out, buf_msgpack_write);
    msgpack_pack_map(&pk, 5);
    pack_key(&pk, "channel");
    pack_c(&pk, "webform");
    pack_key(&pk, "link");
    pack_id(&pk, link);
    pack_key(&pk, "customer");
    msgpack_pack_map(&pk, 1);
    pack_key(&pk, "email");
    pack_c(&pk, "ann@example.com");
    pack_key(&pk, "priority");
    msgpack_pack_int(&pk, -3);
    pack_key(&pk, "messages");
    msgpack_pack_array(&pk, 1);
    msgpack_pack_map(&pk, 3);
    pack_key(&pk, "id");
    pack_id(&pk, message);
    pack_key(&pk, "text");
    pack_c(&pk, "\xc3\xbc \"quoted\" \xf0\x9f\x98\x80\n");
    pack_key(&pk, "at");
    msgpack_pack_int64(&pk, 1700000000123456);
}

static const char *
header_text(const struct cloudevent_header *h, size_t n, const char *name)
{
    static char text[400];

    for (size_t i = 0; i < n; i++) {
        if (strcmp(h[i].name, name) == 0) {
            snprintf(text, sizeof(text), "%.*s", STR_ARG(h[i].value));
            return text;
        }
    }
    return "";
}

Test(cloudevent, what_is_written_is_read_as_it_was)
{
    struct id message = id_derive("test", STR("m")), link = id_derive("test", STR("l"));
    struct buf body = {0}, text = {0}, value = {0}, again = {0};
    struct cloudevent_header headers[CLOUDEVENT_HEADERS];
    struct cloudevent e = {.topic = "fte.tickets.incoming",
                           .id = message,
                           .unit = link,
                           .unit_at = 1,
                           .unit_size = 3,
                           .trace = STR("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
                           .time_us = 1700000000654321};
    struct cloudevent got;
    const char *why = "";
    size_t n;

    pack_incoming(&body, link, message);
    e.body = buf_str(&body);
    memset(e.digest, 0xa5, sizeof(e.digest));
    n = cloudevent_encode(&e, &text, headers, &value);
    cr_assert_str_eq(header_text(headers, n, "ce_time"), "2023-11-14T22:13:20.654321Z");
    cr_assert_str_eq(header_text(headers, n, "ce_type"), "fte.message.incoming");
    cr_assert_eq(cloudevent_decode(headers, n, buf_str(&value), 1, &again, &got, &why), 0, "%s",
                 why);
    cr_assert(id_eq(got.id, message) && id_eq(got.unit, link));
    cr_assert_eq(got.unit_at, 1);
    cr_assert_eq(got.unit_size, 3);
    cr_assert(str_eq(got.trace, e.trace));
    cr_assert_eq(got.time_us, e.time_us);
    cr_assert_eq(memcmp(got.digest, e.digest, sizeof(e.digest)), 0);
    cr_assert_eq(again.n, body.n, "the same fields, if in another order");
    buf_fini(&body);
    buf_fini(&text);
    buf_fini(&value);
    buf_fini(&again);
}

Test(cloudevent, a_repeat_of_somebody_elses_record_has_the_same_ids)
{
    struct cloudevent_header headers[8];
    size_t n = plain(headers);
    struct cloudevent first, second;
    struct buf one = {0}, two = {0};
    const char *why = "";

    cr_assert_eq(cloudevent_decode(headers, n, str_of(outside), 5, &one, &first, &why), 0, "%s",
                 why);
    cr_assert_eq(cloudevent_decode(headers, n, str_of(outside), 5, &two, &second, &why), 0);
    cr_assert(str_eq(buf_str(&one), buf_str(&two)));
    cr_assert(id_eq(first.id, second.id));
    cr_assert(id_is_nil(first.unit));
    cr_assert_eq(first.time_us, 5);
    headers[1].value = STR("order 8");
    cr_assert_eq(cloudevent_decode(headers, n, str_of(outside), 5, &two, &second, &why), 0);
    cr_assert(!id_eq(first.id, second.id));
    cr_assert(!str_eq(buf_str(&one), buf_str(&two)), "its messages have ids of their own");
    buf_fini(&one);
    buf_fini(&two);
}

Test(cloudevent, nobody_else_says_which_unit_or_id_it_is)
{
    struct cloudevent_header headers[12];
    size_t n = plain(headers);
    struct buf body = {0};
    struct cloudevent e;
    const char *why = "";

    headers[1].value = STR("0af76519-16cd-53dd-8448-eb211c80319c");
    headers[n++] =
        (struct cloudevent_header){"ce_fteunit", STR("0af76519-16cd-53dd-8448-eb211c80319c")};
    headers[n++] = (struct cloudevent_header){"ce_fteunitat", STR("0")};
    headers[n++] = (struct cloudevent_header){"ce_fteunitsize", STR("2")};
    cr_assert_eq(cloudevent_decode(headers, n, str_of(outside), 5, &body, &e, &why), 0, "%s", why);
    cr_assert(id_is_nil(e.unit));
    cr_assert_neq(e.id.b[0], 0x0a);
    buf_fini(&body);
}

Test(cloudevent, times_are_read_with_any_offset_and_fraction)
{
    const struct {
        const char *text;
        int64_t us;
    } times[] = {
        {"1970-01-01T00:00:01Z", 1000000},
        {"1970-01-01t00:00:01.5z", 1500000},
        {"1970-01-01T01:00:00.000001+01:00", 1},
        {"1969-12-31T23:00:00-01:00", 0},
        {"1970-01-01T00:00:00.123456789Z", 123456},
        {"1970-01-01 00:00:01Z", 1000000},
        {"2026-11-24_10:00:00Z", -1},
        {"1970-01-01T00:00:01", -1},
        {"1969-12-31T23:59:59Z", -1},
        {"now", -1},
        {"", 7},
        {"1970-01-01T00:00:01Zx", -1},
        {"1970-01-01T00:00:01+1", -1},
    };
    struct cloudevent_header headers[8];
    size_t n = plain(headers);
    struct buf body = {0};
    struct cloudevent e;
    const char *why = "";

    for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
        headers[n] = (struct cloudevent_header){"ce_time", str_of(times[i].text)};
        int err = cloudevent_decode(headers, n + 1, str_of(outside), 7, &body, &e, &why);
        if (times[i].us < 0) {
            cr_assert_eq(err, ERR_INVALID, "%s", times[i].text);
        } else {
            cr_assert_eq(err, 0, "%s: %s", times[i].text, why);
            cr_assert_eq(e.time_us, times[i].us, "%s", times[i].text);
        }
    }
    buf_fini(&body);
}

Test(cloudevent, a_trace_that_is_none_is_left_out)
{
    const struct {
        const char *trace;
        bool taken;
    } traces[] = {
        {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", true},
        {"01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-what-may-come", false},
        {"cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-0a", true},
        {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b71692033\x7f\x1b-01", false},
        {"00-0AF7651916CD43DD8448EB211C80319C-B7AD6B7169203331-01", false},
        {"00-0af7651916cd43dd8448eb211c80319c", false},
        {"please call Ann at 555 1234, she is waiting for her refund", false},
    };
    struct cloudevent_header headers[8];
    size_t n = plain(headers);
    struct buf body = {0};
    struct cloudevent e;
    const char *why = "";

    for (size_t i = 0; i < sizeof(traces) / sizeof(traces[0]); i++) {
        headers[n] = (struct cloudevent_header){"traceparent", str_of(traces[i].trace)};
        cr_assert_eq(cloudevent_decode(headers, n + 1, str_of(outside), 7, &body, &e, &why), 0);
        cr_expect_eq(e.trace.n > 0, traces[i].taken, "%s", traces[i].trace);
    }
    buf_fini(&body);
}

Test(cloudevent, hostile_values_are_refused_in_words)
{
    struct cloudevent_header headers[8];
    size_t n = plain(headers);
    struct buf body = {0}, deep = {0}, long_text = {0};
    struct cloudevent e;
    const char *why;

    buf_add_c(&deep, "{\"channel\":\"webform\",\"customer\":{\"email\":\"b\"},\"x\":");
    for (int i = 0; i < 1000; i++) {
        buf_add_c(&deep, "[");
    }
    for (int i = 0; i < 1000; i++) {
        buf_add_c(&deep, "]");
    }
    buf_add_c(&deep, ",\"messages\":[{\"text\":\"x\"}]}");
    buf_add_c(&long_text,
              "{\"channel\":\"webform\",\"customer\":{\"email\":\"b\"},\"messages\":[{\"text\":\"");
    memset(buf_reserve(&long_text, 300000), 'x', 300000);
    long_text.n += 300000;
    buf_add_c(&long_text, "\"}]}");
    const struct {
        struct str value;
        int err;
    } cases[] = {
        {STR(""), ERR_MALFORMED},
        {STR("null"), ERR_MALFORMED},
        {STR("{\"a\":1,\"a\":2}"), ERR_MALFORMED},
        {STR("{\"channel\":\"webform\",\"customer\":{},\"messages\":[{\"text\":\"a\\u0000b\"}]}"),
         ERR_MALFORMED},
        {buf_str(&deep), ERR_INVALID},
        {buf_str(&long_text), ERR_TOO_BIG},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        why = NULL;
        cr_assert_eq(cloudevent_decode(headers, n, cases[i].value, 7, &body, &e, &why),
                     cases[i].err, "case %zu", i);
        cr_assert_not_null(why);
    }
    buf_fini(&body);
    buf_fini(&deep);
    buf_fini(&long_text);
}

Test(cloudevent, bytes_that_are_no_text_are_base64)
{
    struct buf body = {0}, text = {0}, value = {0};
    struct cloudevent_header headers[CLOUDEVENT_HEADERS];
    struct cloudevent e = {.topic = "fte.channels.webform.inbound",
                           .id = id_derive("test", STR("b"))};
    msgpack_packer pk;

    msgpack_packer_init(&pk, &body, buf_msgpack_write);
    msgpack_pack_map(&pk, 2);
    pack_key(&pk, "type");
    pack_c(&pk, "application/json");
    pack_key(&pk, "body");
    msgpack_pack_bin(&pk, 4);
    msgpack_pack_bin_body(&pk, "\xff\x00\x01\x02", 4);
    e.body = buf_str(&body);
    cloudevent_encode(&e, &text, headers, &value);
    cr_assert_str_eq(buf_c(&value),
                     "{\"type\":\"application/json\",\"body\":{\"base64\":\"/wABAg==\"}}");
    buf_fini(&body);
    buf_fini(&text);
    buf_fini(&value);
}

Test(cloudevent, a_name_may_be_empty)
{
    struct buf text = {0}, value = {0};
    struct cloudevent_header headers[CLOUDEVENT_HEADERS];
    struct cloudevent e = {.topic = "fte.tickets.incoming",
                           .id = id_derive("test", STR("e")),
                           .body = STR("\x82\xa0\x01\xa1x\x81\xa0\xa0")};

    cloudevent_encode(&e, &text, headers, &value);
    cr_assert_str_eq(buf_c(&value), "{\"\":1,\"x\":{\"\":\"\"}}");
    buf_fini(&text);
    buf_fini(&value);
}

Test(cloudevent, a_body_that_is_json_stays_as_it_is)
{
    struct buf text = {0}, value = {0};
    struct cloudevent_header headers[CLOUDEVENT_HEADERS];
    struct cloudevent e = {.topic = "fte.metrics",
                           .id = id_derive("test", STR("j")),
                           .body = STR("{\"minute_unix\": 60}")};

    cloudevent_encode(&e, &text, headers, &value);
    cr_assert_str_eq(buf_c(&value), "{\"minute_unix\": 60}");
    buf_fini(&text);
    buf_fini(&value);
}

/* {records: [bytes]}, as fte.dlq has it. */
static void
pack_letter(struct buf *out, const char *bytes, size_t n)
{
    msgpack_packer pk;

    buf_clear(out);
    msgpack_packer_init(&pk, out, buf_msgpack_write);
    msgpack_pack_map(&pk, 1);
    pack_key(&pk, "records");
    msgpack_pack_array(&pk, 1);
    msgpack_pack_bin(&pk, n);
    msgpack_pack_bin_body(&pk, bytes, n);
}

Test(cloudevent, shows_a_dead_letter_with_its_bytes_however_long_they_are)
{
    static char bytes[TOPICS_MESSAGE];
    struct cloudevent_header headers[CLOUDEVENT_HEADERS];
    const size_t sizes[] = {0, 1, 200000, 262144, 300000, TOPICS_MESSAGE};
    struct buf letter = {0}, text = {0}, value = {0};

    memset(bytes, 'x', sizeof(bytes));
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct cloudevent e = {.topic = "fte.dlq", .id = id_random()};
        json_t *shown;
        const char *record;
        pack_letter(&letter, bytes, sizes[i]);
        e.body = buf_str(&letter);
        buf_clear(&text);
        buf_clear(&value);
        cloudevent_encode(&e, &text, headers, &value);
        shown = json_loadb(value.p, value.n, 0, NULL);
        record = json_string_value(json_array_get(json_object_get(shown, "records"), 0));
        cr_assert_not_null(record, "of %zu bytes", sizes[i]);
        cr_assert_eq(strlen(record), sizes[i]);
        json_decref(shown);
    }
    buf_fini(&letter);
    buf_fini(&text);
    buf_fini(&value);
}
