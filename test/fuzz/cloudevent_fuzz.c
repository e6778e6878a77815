/* cloudevent_fuzz - whatever another producer writes to fte.tickets.incoming, it is read or refused
 * with words of ours; what was read is a unit that every stage can decode, and written as a record
 * of ours it is read as the same. Whatever stands in a record of the log, it is written as JSON.
 *
 *   headers "name: value", an empty line, the value; or, behind a first byte 0xc1, a body of
 * msgpack
 */
#include "actors/edge/cloudevent.h"
#include "actors/edge/log.h"
#include "actors/edge/topics.h"
#include "actors/edge/unit.h"
#include "proto/envelope.h"
#include "proto/err.h"
#include "test/fuzz/fuzz.h"

#include <jansson.h>

#define MSGPACK_MARK 0xc1 /* no msgpack and no text begins with it */
#define NOW_US 1700000000000000

/* --- any record, as others see it ------------------------------------------------------------ */

static void
check_written(const struct cloudevent_header *headers, size_t n, struct str value)
{
    /* As reals: jansson's integers have 64 bits with a sign, those of JSON have no limit. */
    json_t *json = json_loadb(value.p, value.n,
                              JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, NULL);

    insist(n >= 7 && n <= CLOUDEVENT_HEADERS);
    for (size_t i = 0; i < n; i++) {
        insist(is_line(headers[i].value) && headers[i].value.n > 0);
    }
    insist(json != NULL);
    json_decref(json);
}

static void
write_any(struct str body)
{
    struct cloudevent_header headers[CLOUDEVENT_HEADERS];

    if (body.n > 0 && body.p[0] == '{') {
        return; /* JSON of ours, handed on as it is */
    }
    for (size_t i = 0; i < TOPICS_N; i++) {
        struct buf text = {0}, value = {0};
        struct cloudevent e = {.topic = topics[i].name,
                               .id = id_derive("fuzz", STR("record")),
                               .body = body,
                               .time_us = NOW_US};
        size_t n = cloudevent_encode(&e, &text, headers, &value);
        check_written(headers, n, buf_str(&value));
        buf_fini(&text);
        buf_fini(&value);
    }
}

/* --- somebody's record ----------------------------------------------------------------------- */

/* As the edge makes an envelope of it. */
static void
check_unit(const struct cloudevent *e)
{
    struct record record = {.body = e->body, .trace = e->trace, .received_us = e->time_us};
    struct unit_head head = {.id = e->id, .key = STR("fuzz"), .topic = "fte.tickets.incoming"};
    struct envelope *unit = NULL;
    const char *why = "";
    struct buf packed = {0};

    unit_encode(&head, &record, &packed);
    if (envelope_decode(packed.p, packed.n, &unit, &why) != 0) {
        fprintf(stderr, "the envelope's %s is malformed\n", why);
    }
    insist(unit != NULL);

    const msgpack_object *incoming = envelope_section(unit, "incoming");
    const msgpack_object *messages = map_array(incoming, "messages");
    struct id id;
    insist(map_str(incoming, "channel").n > 0 && map_id(incoming, "link", &id) && !id_is_nil(id));
    insist(map_get(incoming, "customer")->type == MSGPACK_OBJECT_MAP);
    insist(messages != NULL && messages->via.array.size >= 1);
    insist(messages->via.array.size <= ENVELOPE_MAX_MESSAGES);
    for (uint32_t i = 0; i < messages->via.array.size; i++) {
        int64_t at;
        insist(map_id(&messages->via.array.ptr[i], "id", &id));
        insist(map_str(&messages->via.array.ptr[i], "text").n > 0);
        insist(map_int(&messages->via.array.ptr[i], "at", &at) && at >= 0);
    }
    envelope_free(&unit);
    buf_fini(&packed);
}

/* Writes it as a record of ours and reads that; what is read then stays the same for good. */
static void
check_again(const struct cloudevent *e, int rounds)
{
    struct cloudevent_header headers[CLOUDEVENT_HEADERS];
    struct buf text = {0}, value = {0}, body = {0};
    struct cloudevent again;
    const char *why = "";
    size_t n = cloudevent_encode(e, &text, headers, &value);
    int err = cloudevent_decode(headers, n, buf_str(&value), 1, &body, &again, &why);

    check_written(headers, n, buf_str(&value));
    if (err != 0) {
        fprintf(stderr, "%s: %s\n", why, buf_c(&value));
    }
    insist(err == 0);
    insist(id_eq(again.id, e->id) && id_eq(again.unit, e->unit) && again.time_us == e->time_us);
    insist(again.unit_at == e->unit_at && again.unit_size == e->unit_size);
    insist(str_eq(again.trace, e->trace));
    insist(memcmp(again.digest, e->digest, sizeof(e->digest)) == 0);
    check_unit(&again);
    if (rounds > 1) {
        check_again(&again, rounds - 1);
    } else {
        insist(str_eq(again.body, e->body));
    }
    buf_fini(&text);
    buf_fini(&value);
    buf_fini(&body);
}

static const char *
known_name(struct str name)
{
    static const char *const names[] = {"ce_specversion", "ce_id",         "ce_type",
                                        "ce_source",      "ce_time",       "content-type",
                                        "traceparent",    "ce_ftedigest",  "ce_fteunit",
                                        "ce_fteunitat",   "ce_fteunitsize"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (str_is(name, names[i])) {
            return names[i];
        }
    }
    return "ce_other";
}

static size_t
read_headers(struct str *rest, struct cloudevent_header ret[CLOUDEVENT_HEADERS])
{
    size_t n = 0;

    while (rest->n > 0) {
        struct str value = take(rest, '\n');
        if (value.n == 0) {
            break;
        }
        struct str name = take(&value, ':');
        if (n < CLOUDEVENT_HEADERS) {
            ret[n++] = (struct cloudevent_header){known_name(name), str_trim(value)};
        }
    }
    return n;
}

static void
read_any(struct str input)
{
    struct cloudevent_header headers[CLOUDEVENT_HEADERS];
    size_t n = read_headers(&input, headers);
    struct buf body = {0};
    struct cloudevent e;
    const char *why = NULL;
    int err = cloudevent_decode(headers, n, input, NOW_US, &body, &e, &why);

    insist(err == 0 || err == ERR_VERSION || err == ERR_MALFORMED || err == ERR_INVALID ||
           err == ERR_TOO_BIG);
    insist((err == 0) == (why == NULL));
    if (err != 0) {
        /* Words of ours, and nothing of theirs. */
        insist(is_line(str_of(why)) && why[0] != '\0' && strlen(why) < 100);
    } else {
        insist(!id_is_nil(e.id) && e.time_us >= 0 && e.trace.n <= 256);
        insist(id_is_nil(e.unit) || (e.unit_at >= 0 && e.unit_at < e.unit_size));
        insist(e.body.n > 0 && e.body.n <= RLOG_MAX_BODY && str_eq(e.body, buf_str(&body)));
        check_unit(&e);
        check_again(&e, 3);
    }
    buf_fini(&body);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str input = {(const char *)data, size};

    if (size > 0 && data[0] == MSGPACK_MARK) {
        write_any((struct str){input.p + 1, size - 1});
    } else {
        read_any(input);
    }
    return 0;
}
