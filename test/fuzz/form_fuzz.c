/* form_fuzz - whatever comes as the body of a form, in JSON or as a browser sends it, it is refused
 * with a sentence of ours, or each field has a fault or an allowed value; fields that are allowed
 * are the same in either spelling, and make records that every stage can decode.
 *
 *   "request" or "reply", a blank, a Content-Type, a line feed, the body
 */
#include "actors/edge/unit.h"
#include "actors/identity/contact.h"
#include "actors/ingress/answer.h"
#include "actors/ingress/append.h"
#include "actors/ingress/text.h"
#include "proto/envelope.h"
#include "proto/err.h"
#include "test/fuzz/fuzz.h"

#include <jansson.h>
#include <unistr.h>

static const struct {
    enum form_field field;
    bool required;
    size_t max;
} limits[] = {
    {FORM_NAME, true, 100},      {FORM_EMAIL, true, 254},          {FORM_PHONE, false, 32},
    {FORM_SUBJECT, false, 200},  {FORM_CATEGORY, false, 50},       {FORM_PRIORITY, false, 50},
    {FORM_MESSAGE, true, 10000}, {FORM_SUBMISSION_ID, false, 100},
};

/* --- what is said about it ------------------------------------------------------------------- */

static void
check_sentence(struct str why)
{
    static const char *const sentences[] = {
        "A % in the body is not followed by two hexadecimal digits.",
        "The JSON is nested more than 16 levels deep.",
        "The body is not valid JSON: line ",
        "The body must be a JSON object.",
        "The body is not valid UTF-8.",
        "The body's type is not known.",
    };
    bool known = false;

    for (size_t i = 0; i < sizeof(sentences) / sizeof(sentences[0]); i++) {
        known = known || begins(why, sentences[i]);
    }
    insist(known && is_line(why) && why.n < 80 && why.p[why.n - 1] == '.');
}

static void
check_problem(const struct form *f)
{
    struct answer a = {0};
    json_t *json;

    answer_problem(&a, 422, "Some fields have values that are not allowed.", f);
    json = json_loadb(a.body.p, a.body.n, 0, NULL);
    insist(json_array_size(json_object_get(json, "errors")) == f->fault_n);
    json_decref(json);
    answer_fini(&a);
}

/* --- what was taken -------------------------------------------------------------------------- */

static bool
is_choice(enum form_field field, struct str value)
{
    const char *const *c = form_field_choices(field);

    while (c != NULL && *c != NULL && !str_is(value, *c)) {
        c++;
    }
    return c == NULL || *c != NULL;
}

static void
check_value(enum form_kind kind, const struct form *f, size_t i)
{
    enum form_field field = limits[i].field;
    struct str v = f->value[field];
    bool wanted = kind == FORM_REQUEST || field == FORM_MESSAGE || field == FORM_SUBMISSION_ID;

    insist(wanted || (v.p == NULL && form_fault(f, field) == NULL));
    if (!wanted || form_fault(f, field) != NULL) {
        return;
    }
    insist(v.p != NULL ? v.n > 0 : !limits[i].required);
    insist(str_is_text(v) && text_length(v) <= limits[i].max);
    insist(str_eq(text_trim(v), v) && (v.p == NULL || is_choice(field, v)));
    insist(v.p == NULL || (field == FORM_MESSAGE ? memchr(v.p, '\r', v.n) == NULL : is_line(v)));
}

/* The normal form of an address is its own normal form. */
static void
check_email(enum form_kind kind, const struct form *f)
{
    struct buf again = {0};

    insist((f->email.n > 0) == (kind == FORM_REQUEST && form_fault(f, FORM_EMAIL) == NULL));
    if (f->email.n > 0) {
        insist(f->email.n <= CONTACT_EMAIL_MAX && str_is_text(buf_str(&f->email)));
        insist(contact_email(buf_str(&f->email), &again, NULL) == 0);
        insist(str_eq(buf_str(&again), buf_str(&f->email)));
    }
    buf_fini(&again);
}

/* Shown on a page: only what may be shown. */
static void
check_shown(const struct form *f)
{
    for (size_t i = 0; i < FORM_FIELDS; i++) {
        struct buf shown = {0};
        text_printable(f->value[i], &shown);
        insist(str_is_text(buf_str(&shown)));
        for (size_t k = 0; k < shown.n; k++) {
            unsigned char c = (unsigned char)shown.p[k];
            insist((c >= 0x20 || c == '\t' || c == '\n') && c != 0x7f);
        }
        buf_fini(&shown);
    }
}

/* --- the two spellings ----------------------------------------------------------------------- */

static void
write_json(const struct form *f, struct buf *out)
{
    json_t *json = json_object();
    char *text;

    for (enum form_field i = 0; i < FORM_FIELDS; i++) {
        if (f->value[i].p != NULL) {
            json_object_set_new(json, form_field_name(i),
                                json_stringn(f->value[i].p, f->value[i].n));
        }
    }
    text = json_dumps(json, JSON_ENSURE_ASCII);
    insist(text != NULL);
    buf_add_c(out, text);
    free(text);
    json_decref(json);
}

static void
write_urlencoded(const struct form *f, struct buf *out)
{
    for (enum form_field i = 0; i < FORM_FIELDS; i++) {
        buf_printf(out, "%s%s=", i > 0 ? "&" : "", form_field_name(i));
        for (size_t k = 0; k < f->value[i].n; k++) {
            buf_printf(out, "%%%02X", (unsigned char)f->value[i].p[k]);
        }
    }
}

static void
check_again(enum form_kind kind, enum form_media media, const struct form *f)
{
    struct buf body = {0}, why = {0}, first = {0}, second = {0};
    struct form again;

    (media == FORM_MEDIA_JSON ? write_json : write_urlencoded)(f, &body);
    if (body.n <= FORM_MAX_BODY) {
        insist(form_read(kind, media, buf_str(&body), &again, &why) == 0);
        insist(again.fault_n == 0);
        form_canonical(f, &first);
        form_canonical(&again, &second);
        insist(str_eq(buf_str(&first), buf_str(&second)));
        insist(str_eq(f->value[FORM_SUBMISSION_ID], again.value[FORM_SUBMISSION_ID]));
        insist(str_eq(buf_str(&f->email), buf_str(&again.email)));
        form_fini(&again);
    }
    buf_fini(&body);
    buf_fini(&why);
    buf_fini(&first);
    buf_fini(&second);
}

/* --- the records ----------------------------------------------------------------------------- */

static void
check_incoming(struct str body)
{
    struct record record = {.body = body};
    struct unit_head head = {
        .id = id_derive("fuzz", STR("unit")), .key = STR("fuzz"), .topic = INCOMING_TOPIC};
    struct envelope *unit = NULL;
    const char *why = "";
    struct buf packed = {0};

    unit_encode(&head, &record, &packed);
    if (envelope_decode(packed.p, packed.n, &unit, &why) != 0) {
        fprintf(stderr, "the envelope's %s is malformed\n", why);
    }
    insist(unit != NULL);
    insist(map_array(envelope_section(unit, "incoming"), "messages") != NULL);
    envelope_free(&unit);
    buf_fini(&packed);
}

static void
check_records(enum form_media media, const struct form *f, struct str raw)
{
    char key[CONTACT_KEY_SIZE];
    struct append_message m = {.id = id_derive("fuzz", STR("m")),
                               .link = id_derive("fuzz", STR("l")),
                               .key = key,
                               .email = buf_str(&f->email),
                               .form = f,
                               .at_us = 1,
                               .media = media == FORM_MEDIA_JSON ? "json" : "urlencoded",
                               .raw = raw};
    struct buf packed = {0};
    msgpack_unpacked u;
    size_t at = 0;

    contact_key(m.email, key);
    if (append_pack(&m, &packed) != 0) {
        insist(raw.n > 150 * 1024 && packed.n == 0);
        return;
    }
    msgpack_unpacked_init(&u);
    for (int i = 0; i < 2; i++) {
        insist(msgpack_unpack_next(&u, packed.p, packed.n, &at) == MSGPACK_UNPACK_SUCCESS);
        const msgpack_object *body = map_get(&u.data, "body");
        insist(body != NULL && body->type == MSGPACK_OBJECT_BIN);
        if (i == 1) {
            check_incoming((struct str){body->via.bin.ptr, body->via.bin.size});
        }
    }
    insist(at == packed.n);
    msgpack_unpacked_destroy(&u);
    buf_fini(&packed);
}

/* --------------------------------------------------------------------------------------------- */

static void
check_form(enum form_kind kind, enum form_media media, const struct form *f, struct str body)
{
    for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
        check_value(kind, f, i);
    }
    for (size_t i = 0; i < f->fault_n; i++) {
        const char *detail = f->faults[i].detail;
        insist(detail != NULL && is_line(str_of(detail)) && strlen(detail) < 120);
        for (size_t k = 0; k < i; k++) {
            insist(f->faults[k].field != f->faults[i].field);
        }
    }
    check_email(kind, f);
    check_shown(f);
    check_problem(f);
    if (f->fault_n == 0) {
        check_again(kind, FORM_MEDIA_JSON, f);
        check_again(kind, FORM_MEDIA_URLENCODED, f);
        if (kind == FORM_REQUEST) {
            check_records(media, f, body);
        }
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str body = {(const char *)data, size};
    struct str type = take(&body, '\n');
    struct str word = take(&type, ' ');
    enum form_kind kind = str_is(word, "reply") ? FORM_REPLY : FORM_REQUEST;
    char *content_type = str_dup(type);
    enum form_media media = form_media(content_type);
    struct buf why = {0};
    struct form f;
    int err = form_read(kind, media, body, &f, &why);

    insist(err == 0 || err == ERR_MALFORMED);
    if (err == 0) {
        check_form(kind, media, &f, body);
    } else {
        check_sentence(buf_str(&why));
    }
    form_fini(&f);
    buf_fini(&why);
    free(content_type);
    return 0;
}
