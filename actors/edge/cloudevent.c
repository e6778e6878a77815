#include "actors/edge/cloudevent.h"

#include "actors/edge/log.h"
#include "actors/edge/topics.h"
#include "proto/envelope.h"
#include "proto/err.h"
#include "proto/json.h"

#include <assert.h>
#include <jansson.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MAX_DEPTH 8        /* of a customer's data: the envelope around it may have 16 */
#define TRACEPARENT_MIN 55 /* of version 00; later ones may be longer */
#define TRACEPARENT_MAX 256
#define OWN_SOURCE "/fte." /* what ce_source of our own records begins with: "/" and the topic */

/* --- writing --------------------------------------------------------------------------------- */

/* RFC 3339, UTC, microseconds. */
static void
add_time(struct buf *out, int64_t us)
{
    time_t seconds = (time_t)(us / 1000000);
    struct tm tm;

    gmtime_r(&seconds, &tm);
    buf_printf(out, "%04d-%02d-%02dT%02d:%02d:%02d.%06dZ", tm.tm_year + 1900, tm.tm_mon + 1,
               tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, (int)(us % 1000000));
}

/* Bytes for a reader of JSON: text as it is, anything else {"base64": "..."}. */
static void
add_bytes(struct buf *out, struct str s)
{
    if (str_is_text(s)) {
        json_str(out, s);
        return;
    }
    buf_add_c(out, "{\"base64\":\"");
    EVP_EncodeBlock((unsigned char *)buf_reserve(out, 4 * ((s.n + 2) / 3) + 1),
                    (const unsigned char *)s.p, (int)s.n);
    out->n += 4 * ((s.n + 2) / 3);
    buf_add_c(out, "\"}");
}

static void add_value(struct buf *out, struct str key, const msgpack_object *o);

/* A body within a body (fte.dlq): shown as what it is, where it is one. */
static void
add_record(struct buf *out, const msgpack_object *o)
{
    msgpack_unpacked u;
    struct str s;

    if (o->type != MSGPACK_OBJECT_BIN) {
        add_value(out, STR(""), o);
        return;
    }
    s = (struct str){o->via.bin.ptr, o->via.bin.size};
    if (body_decode(s.p, s.n, &u) == 0 && u.data.type == MSGPACK_OBJECT_MAP) {
        add_value(out, STR(""), &u.data);
    } else {
        add_bytes(out, s);
    }
    msgpack_unpacked_destroy(&u);
}

/* Beside json_msgpack() this one knows what our records hold: times are times, bytes are bytes. */
static void
add_value(struct buf *out, struct str key, const msgpack_object *o)
{
    switch (o->type) {
    case MSGPACK_OBJECT_POSITIVE_INTEGER:
        if (str_is(key, "at")) {
            buf_add_byte(out, '"');
            add_time(out, (int64_t)o->via.u64);
            buf_add_byte(out, '"');
        } else {
            json_msgpack(out, o);
        }
        break;
    case MSGPACK_OBJECT_BIN:
        if (o->via.bin.size == sizeof(struct id) && !str_is(key, "body")) {
            json_msgpack(out, o);
        } else {
            add_bytes(out, (struct str){o->via.bin.ptr, o->via.bin.size});
        }
        break;
    case MSGPACK_OBJECT_ARRAY:
        buf_add_byte(out, '[');
        for (uint32_t i = 0; i < o->via.array.size; i++) {
            json_comma(out);
            if (str_is(key, "records")) {
                add_record(out, &o->via.array.ptr[i]);
            } else {
                add_value(out, STR(""), &o->via.array.ptr[i]);
            }
        }
        buf_add_byte(out, ']');
        break;
    case MSGPACK_OBJECT_MAP:
        buf_add_byte(out, '{');
        for (uint32_t i = 0; i < o->via.map.size; i++) {
            const msgpack_object_kv *kv = &o->via.map.ptr[i];
            if (kv->key.type == MSGPACK_OBJECT_STR) {
                struct str name = {kv->key.via.str.ptr, kv->key.via.str.size};
                json_comma(out);
                json_msgpack(out, &kv->key); /* an empty one has no pointer */
                buf_add_byte(out, ':');
                add_value(out, name, &kv->val);
            }
        }
        buf_add_byte(out, '}');
        break;
    case MSGPACK_OBJECT_NIL:
    case MSGPACK_OBJECT_BOOLEAN:
    case MSGPACK_OBJECT_NEGATIVE_INTEGER:
    case MSGPACK_OBJECT_FLOAT32:
    case MSGPACK_OBJECT_FLOAT64:
    case MSGPACK_OBJECT_STR:
    case MSGPACK_OBJECT_EXT:
        json_msgpack(out, o);
        break;
    }
}

/* Some topics hold JSON already. */
static bool
is_json(struct str body)
{
    return body.n > 0 && body.p[0] == '{';
}

/* A dead letter may be larger than anything else that we send: it holds what others wrote. The map
 * itself is ours, and what they wrote is bytes in it. */
static bool
decode(struct str body, msgpack_unpacked *ret)
{
    int err = body_decode(body.p, body.n, ret);
    size_t offset = 0;

    return err == 0 ||
           (err == ERR_TOO_BIG && body.n <= TOPICS_MESSAGE_DEAD &&
            msgpack_unpack_next(ret, body.p, body.n, &offset) == MSGPACK_UNPACK_SUCCESS &&
            offset == body.n);
}

static void
encode_value(struct str body, struct buf *value)
{
    msgpack_unpacked u;

    if (is_json(body)) {
        buf_add_str(value, body);
        return;
    }
    if (decode(body, &u)) {
        add_value(value, STR(""), &u.data);
    } else {
        add_bytes(value, body);
    }
    msgpack_unpacked_destroy(&u);
}

struct header_writer {
    struct buf *text;
    struct cloudevent_header *headers;
    size_t at[CLOUDEVENT_HEADERS + 1]; /* where each value begins in the text, which may move */
    size_t n;
};

/* Opens a header: what is added to the text from here on is its value. */
static void
header(struct header_writer *w, const char *name)
{
    assert(w->n < CLOUDEVENT_HEADERS);
    w->headers[w->n].name = name;
    w->at[w->n++] = w->text->n;
}

static void
header_c(struct header_writer *w, const char *name, const char *value)
{
    header(w, name);
    buf_add_c(w->text, value);
}

static void
header_id(struct header_writer *w, const char *name, struct id id)
{
    char text[ID_TEXT_SIZE];

    id_format(id, text);
    header_c(w, name, text);
}

size_t
cloudevent_encode(const struct cloudevent *e, struct buf *text,
                  struct cloudevent_header ret[CLOUDEVENT_HEADERS], struct buf *value)
{
    const struct topic *topic = topic_find(e->topic);
    struct header_writer w = {.text = text, .headers = ret};

    assert(topic != NULL);
    encode_value(e->body, value);
    header_c(&w, "ce_specversion", "1.0");
    header_id(&w, "ce_id", e->id);
    header_c(&w, "ce_type", topic->type);
    header(&w, "ce_source");
    buf_printf(text, "/%s", e->topic);
    header(&w, "ce_time");
    add_time(text, e->time_us);
    header_c(&w, "content-type", "application/json");
    if (e->trace.n > 0) {
        header(&w, "traceparent");
        buf_add_str(text, e->trace);
    }
    header(&w, "ce_ftedigest");
    for (size_t i = 0; i < sizeof(e->digest); i++) {
        buf_printf(text, "%02x", e->digest[i]);
    }
    if (!id_is_nil(e->unit)) {
        header_id(&w, "ce_fteunit", e->unit);
        header(&w, "ce_fteunitat");
        buf_printf(text, "%d", e->unit_at);
        header(&w, "ce_fteunitsize");
        buf_printf(text, "%d", e->unit_size);
    }
    w.at[w.n] = text->n;
    for (size_t i = 0; i < w.n; i++) {
        ret[i].value = (struct str){text->p + w.at[i], w.at[i + 1] - w.at[i]};
    }
    return w.n;
}

/* --- reading --------------------------------------------------------------------------------- */

static struct str
header_of(const struct cloudevent_header *headers, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(headers[i].name, name) == 0) {
            return headers[i].value;
        }
    }
    return (struct str){0};
}

static void
decode_digest(struct str hex, struct str value, uint8_t ret[CLOUDEVENT_DIGEST])
{
    uint8_t sum[SHA256_DIGEST_LENGTH];

    for (size_t i = 0; hex.n == 2 * CLOUDEVENT_DIGEST && i < hex.n; i++) {
        int c = (unsigned char)hex.p[i];
        int v = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
        if (v < 0) {
            break;
        }
        ret[i / 2] = (uint8_t)((i % 2 ? ret[i / 2] : 0) << 4 | v);
        if (i + 1 == hex.n) {
            return;
        }
    }
    SHA256((const uint8_t *)(value.p ? value.p : ""), value.n, sum);
    memcpy(ret, sum, CLOUDEVENT_DIGEST);
}

/* RFC 3339 with Z or an offset; or Unix microseconds as a number. */
static bool
read_time(const json_t *o, int64_t *ret_us)
{
    int year, month, day, hour, minute, second, used = 0, off_h = 0, off_m = 0;
    int64_t us = 0, unit = 100000;
    const char *s, *at;
    struct tm tm;

    if (json_is_integer(o)) {
        *ret_us = json_integer_value(o);
        return *ret_us >= 0;
    }
    s = json_string_value(o);
    if (s == NULL || sscanf(s, "%4d-%2d-%2d%*1[Tt ]%2d:%2d:%2d%n", &year, &month, &day, &hour,
                            &minute, &second, &used) != 6) {
        return false;
    }
    at = s + used;
    if (*at == '.') {
        for (at++; *at >= '0' && *at <= '9'; at++, unit /= 10) {
            us += (*at - '0') * unit;
        }
    }
    if (*at == '+' || *at == '-') {
        int sign = *at == '-' ? -1 : 1;
        if (sscanf(at + 1, "%2d:%2d%n", &off_h, &off_m, &used) != 2 || at[1 + used] != '\0') {
            return false;
        }
        off_h *= sign;
        off_m *= sign;
    } else if ((*at != 'Z' && *at != 'z') || at[1] != '\0') {
        return false;
    }
    tm = (struct tm){.tm_year = year - 1900,
                     .tm_mon = month - 1,
                     .tm_mday = day,
                     .tm_hour = hour,
                     .tm_min = minute,
                     .tm_sec = second};
    *ret_us = ((int64_t)timegm(&tm) - off_h * 3600 - off_m * 60) * 1000000 + us;
    return *ret_us >= 0;
}

static struct str
text_of(const json_t *o)
{
    return json_is_string(o) ? (struct str){json_string_value(o), json_string_length(o)}
                             : (struct str){0};
}

/* What we don't know is passed on as it is. False where it is nested too deep, or no text. */
static bool
pack_json(msgpack_packer *pk, const json_t *o, int depth)
{
    struct str s;

    if (depth == 0) {
        return false;
    }
    switch (json_typeof(o)) {
    case JSON_OBJECT: {
        const char *key;
        json_t *value;
        msgpack_pack_map(pk, json_object_size(o));
        json_object_foreach((json_t *)o, key, value)
        {
            pack_c(pk, key);
            if (!str_is_text(str_of(key)) || !pack_json(pk, value, depth - 1)) {
                return false;
            }
        }
        return true;
    }
    case JSON_ARRAY:
        msgpack_pack_array(pk, json_array_size(o));
        for (size_t i = 0; i < json_array_size(o); i++) {
            if (!pack_json(pk, json_array_get(o, i), depth - 1)) {
                return false;
            }
        }
        return true;
    case JSON_STRING:
        s = text_of(o);
        pack_str(pk, s);
        return str_is_text(s);
    case JSON_INTEGER:
        msgpack_pack_int64(pk, json_integer_value(o));
        return true;
    case JSON_REAL:
        msgpack_pack_double(pk, json_real_value(o));
        return true;
    case JSON_TRUE:
        msgpack_pack_true(pk);
        return true;
    case JSON_FALSE:
        msgpack_pack_false(pk);
        return true;
    case JSON_NULL:
        msgpack_pack_nil(pk);
        return true;
    }
    return false;
}

struct reader {
    struct cloudevent *e;
    bool own;
    int64_t fallback_us;
    msgpack_packer pk;
    const char *why;
};

static bool
fault(struct reader *r, const char *why)
{
    r->why = why;
    return false;
}

/* An outside producer's own ids mean nothing here: the first message is the record, others follow
 * from it, so that a repeat of the record is a repeat of all of them. */
static bool
message_id(struct reader *r, const json_t *message, size_t at, struct id *ret)
{
    char name[ID_TEXT_SIZE + 24], text[ID_TEXT_SIZE];

    if (r->own) {
        return id_parse(text_of(json_object_get(message, "id")), ret) == 0;
    }
    *ret = r->e->id;
    if (at > 0) {
        id_format(r->e->id, text);
        snprintf(name, sizeof(name), "%s/%zu", text, at);
        *ret = id_derive("cloudevent:message", str_of(name));
    }
    return true;
}

static bool
pack_message(struct reader *r, const json_t *message, size_t at)
{
    struct str text = text_of(json_object_get(message, "text"));
    const json_t *time = json_object_get(message, "at");
    int64_t at_us = r->fallback_us;
    struct id id;

    if (text.n == 0 || !str_is_text(text)) {
        return fault(r, "data.messages[].text must be a text that is not empty");
    }
    if (time != NULL && !json_is_null(time) && !read_time(time, &at_us)) {
        return fault(r, "data.messages[].at must be an RFC 3339 time");
    }
    if (!message_id(r, message, at, &id)) {
        return fault(r, "data.messages[].id must be a UUID");
    }
    msgpack_pack_map(&r->pk, 3);
    pack_key(&r->pk, "id");
    pack_id(&r->pk, id);
    pack_key(&r->pk, "text");
    pack_str(&r->pk, text);
    pack_key(&r->pk, "at");
    msgpack_pack_int64(&r->pk, at_us);
    return true;
}

static bool
pack_messages(struct reader *r, const json_t *messages)
{
    size_t n = json_array_size(messages);

    if (n == 0 || n > ENVELOPE_MAX_MESSAGES) {
        return fault(r, "data.messages must be an array of 1 to 32 messages");
    }
    msgpack_pack_array(&r->pk, n);
    for (size_t i = 0; i < n; i++) {
        if (!pack_message(r, json_array_get(messages, i), i)) {
            return false;
        }
    }
    return true;
}

static bool
read_link(struct reader *r, const json_t *data, struct id *ret)
{
    const json_t *link = json_object_get(data, "link");

    if (link == NULL || json_is_null(link)) {
        *ret = id_derive_from("cloudevent:link", r->e->id);
        return true;
    }
    return (id_parse(text_of(link), ret) == 0 && !id_is_nil(*ret)) ||
           fault(r, "data.link must be a UUID");
}

static bool
pack_data(struct reader *r, const json_t *data)
{
    struct str channel = text_of(json_object_get(data, "channel"));
    const json_t *customer = json_object_get(data, "customer");
    const char *key;
    json_t *value;
    struct id link;
    size_t n = 4;

    if (channel.n == 0 || channel.n > 32 || !str_is_text(channel)) {
        return fault(r, "data.channel must be a text of 1 to 32 bytes");
    }
    if (!json_is_object(customer)) {
        return fault(r, "data.customer must be an object");
    }
    if (!read_link(r, data, &link)) {
        return false;
    }
    json_object_foreach((json_t *)data, key, value)
    {
        n += strcmp(key, "channel") && strcmp(key, "customer") && strcmp(key, "link") &&
             strcmp(key, "messages");
    }
    msgpack_pack_map(&r->pk, n);
    pack_key(&r->pk, "channel");
    pack_str(&r->pk, channel);
    pack_key(&r->pk, "link");
    pack_id(&r->pk, link);
    pack_key(&r->pk, "customer");
    if (!pack_json(&r->pk, customer, MAX_DEPTH)) {
        return fault(r, "data.customer is nested too deep or holds what is no text");
    }
    json_object_foreach((json_t *)data, key, value)
    {
        if (strcmp(key, "channel") == 0 || strcmp(key, "customer") == 0 ||
            strcmp(key, "link") == 0 || strcmp(key, "messages") == 0) {
            continue;
        }
        pack_c(&r->pk, key);
        if (!str_is_text(str_of(key)) || !pack_json(&r->pk, value, MAX_DEPTH)) {
            return fault(r, "data is nested too deep or holds what is no text");
        }
    }
    pack_key(&r->pk, "messages");
    return pack_messages(r, json_object_get(data, "messages"));
}

/* Who it is: our own records have our ids, others a name within their source. */
static bool
decode_id(const struct cloudevent_header *headers, size_t n, bool own, struct id *ret)
{
    struct str id = header_of(headers, n, "ce_id"), source = header_of(headers, n, "ce_source");
    struct buf name = {0};

    if (id.n == 0 || source.n == 0 || id.n > 512 || source.n > 512) {
        return false;
    }
    if (own) {
        return id_parse(id, ret) == 0 && !id_is_nil(*ret);
    }
    buf_add_str(&name, source);
    buf_add_byte(&name, '\x1f');
    buf_add_str(&name, id);
    *ret = id_derive("cloudevent", buf_str(&name));
    buf_fini(&name);
    return true;
}

/* Part of a unit from the beginning: only our own records (a replay) say so. */
static bool
decode_unit(const struct cloudevent_header *headers, size_t n, struct cloudevent *ret)
{
    struct str unit = header_of(headers, n, "ce_fteunit");
    long long at, size;

    if (unit.n == 0) {
        return true;
    }
    if (id_parse(unit, &ret->unit) != 0 ||
        str_int(header_of(headers, n, "ce_fteunitsize"), 1, ENVELOPE_MAX_MESSAGES, &size) != 0 ||
        str_int(header_of(headers, n, "ce_fteunitat"), 0, size - 1, &at) != 0) {
        return false;
    }
    ret->unit_at = (int)at;
    ret->unit_size = (int)size;
    return true;
}

/* W3C Trace Context, 3.2: hexadecimal digits in groups. Anything else would be a stranger's text in
 * our headers and logs. */
static bool
is_traceparent(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || c == '-')) {
            return false;
        }
    }
    return s.n >= TRACEPARENT_MIN && s.n <= TRACEPARENT_MAX;
}

static bool
begins_with(struct str s, const char *c)
{
    return s.n >= strlen(c) && memcmp(s.p, c, strlen(c)) == 0;
}

int
cloudevent_decode(const struct cloudevent_header *headers, size_t n, struct str value,
                  int64_t fallback_us, struct buf *body, struct cloudevent *ret,
                  const char **ret_why)
{
    struct str version = header_of(headers, n, "ce_specversion");
    struct str media = header_of(headers, n, "content-type");
    bool own = begins_with(header_of(headers, n, "ce_source"), OWN_SOURCE);
    struct reader r = {.e = ret, .own = own, .fallback_us = fallback_us};
    struct str time = header_of(headers, n, "ce_time");
    json_error_t fault_at;
    json_t *data, *t;
    bool ok;

    *ret = (struct cloudevent){.time_us = fallback_us};
    buf_clear(body);
    decode_digest(header_of(headers, n, "ce_ftedigest"), value, ret->digest);
    if (!str_is(version, "1.0")) {
        *ret_why = begins_with(media, "application/cloudevents")
                       ? "a CloudEvent in structured mode: only binary mode is read"
                       : "header ce_specversion must be 1.0";
        return ERR_VERSION;
    }
    if (!decode_id(headers, n, own, &ret->id)) {
        *ret_why = "headers ce_id and ce_source must be given, with 1 to 512 bytes";
        return ERR_INVALID;
    }
    if (own && !decode_unit(headers, n, ret)) {
        *ret_why = "headers ce_fteunit, ce_fteunitat, ce_fteunitsize don't fit together";
        return ERR_INVALID;
    }
    if (!begins_with(media, "application/json")) {
        *ret_why = "header content-type must be application/json";
        return ERR_INVALID;
    }
    ret->trace = header_of(headers, n, "traceparent");
    if (!is_traceparent(ret->trace)) {
        ret->trace = (struct str){0};
    }
    if (time.n > 0) {
        t = json_stringn(time.p, time.n);
        ok = t != NULL && read_time(t, &ret->time_us);
        json_decref(t);
        if (!ok) {
            *ret_why = "header ce_time must be an RFC 3339 time";
            return ERR_INVALID;
        }
    }
    data = value.n > 0 ? json_loadb(value.p, value.n, JSON_REJECT_DUPLICATES, &fault_at) : NULL;
    if (!json_is_object(data)) {
        json_decref(data);
        *ret_why = "the value must be a JSON object";
        return ERR_MALFORMED;
    }
    msgpack_packer_init(&r.pk, body, buf_msgpack_write);
    ok = pack_data(&r, data);
    json_decref(data);
    if (!ok) {
        *ret_why = r.why;
        return ERR_INVALID;
    }
    if (body->n > RLOG_MAX_BODY) {
        *ret_why = "the message is too long";
        return ERR_TOO_BIG;
    }
    ret->topic = topics[0].name;
    ret->body = buf_str(body);
    return 0;
}
