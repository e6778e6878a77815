#include "proto/envelope.h"

#include "proto/err.h"
#include "proto/head.h"
#include "test/unit/proto/vector.h"

#include <criterion/criterion.h>

/* Unpacks `data` and compares it with a document of the vector. */
static bool
bytes_are(struct str data, const json_t *document)
{
    msgpack_unpacked u;
    bool same;

    msgpack_unpacked_init(&u);
    same = msgpack_unpack_next(&u, data.p, data.n, NULL) == MSGPACK_UNPACK_SUCCESS &&
           vector_same(&u.data, document);
    msgpack_unpacked_destroy(&u);
    return same;
}

static json_int_t
number(const json_t *document, const char *field)
{
    return json_integer_value(json_object_get(document, field));
}

static bool
text_is(struct str got, const json_t *map, const char *field)
{
    const json_t *want = json_object_get(map, field);
    return want ? str_is(got, json_string_value(want)) : got.n == 0;
}

static void
check_fields(const char *name, const struct envelope *e, const json_t *document)
{
    const json_t *source = json_object_get(document, "source");
    const json_t *errors = json_object_get(document, "errors");
    struct buf id = {0};

    vector_unhex(json_string_value(json_object_get(json_object_get(document, "id"), "bin")), &id);
    cr_expect(str_eq(buf_str(&id), (struct str){.p = (const char *)e->id.b, .n = 16}), "%s: id",
              name);
    buf_fini(&id);
    cr_expect(text_is(e->key, document, "key"), "%s: key", name);
    cr_expect_eq(e->seq, (uint64_t)number(document, "seq"), "%s: seq", name);
    cr_expect(text_is(e->kind, document, "kind"), "%s: kind", name);
    cr_expect(text_is(e->source.topic, source, "topic"), "%s: topic", name);
    cr_expect_eq(e->source.partition, number(source, "partition"), "%s: partition", name);
    cr_expect_eq(e->source.offset, number(source, "offset"), "%s: offset", name);
    cr_expect_eq(e->received_us, number(document, "received"), "%s: received", name);
    cr_expect_eq(e->deadline_us, number(document, "deadline"), "%s: deadline", name);
    cr_expect(text_is(e->trace, document, "trace"), "%s: trace", name);
    cr_expect(vector_same(&e->body, json_object_get(document, "body")), "%s: body", name);
    if (errors != NULL) {
        cr_expect(vector_same(&e->errors, errors), "%s: errors", name);
    } else {
        cr_expect_eq(e->errors.type, MSGPACK_OBJECT_NIL, "%s: errors", name);
    }
}

static void
check_added(const struct vector *v, const struct envelope *e)
{
    const json_t *add = json_object_get(v->about, "add");
    const char *section = json_string_value(json_object_get(add, "name"));
    const json_t *document = json_object_get(add, "document");
    struct buf packed = {0};
    struct buf out = {0};

    if (add == NULL) {
        return;
    }
    vector_unhex(json_string_value(json_object_get(add, "section")), &packed);
    envelope_encode(e, section, buf_str(&packed), &out);
    cr_expect(bytes_are(buf_str(&out), document), "%s: with %s added", v->name, section);
    buf_fini(&packed);
    buf_fini(&out);
}

static void
check_vector(const struct vector *v)
{
    struct envelope *e = NULL;
    struct buf again = {0};
    const char *why = "";
    const char *want = vector_text(v, "decode");
    int err = envelope_decode(v->data.p, v->data.n, &e, &why);

    if (strcmp(want, "ok") != 0) {
        cr_expect_str_eq(err_str(err), want, "%s: %s", v->name, vector_text(v, "about"));
        cr_expect_str_eq(why, vector_text(v, "why"), "%s: names %s", v->name, why);
        cr_expect_null(e, "%s", v->name);
        return;
    }
    cr_expect_eq(err, 0, "%s: %s: %s", v->name, err_str(err), why);
    if (err != 0) {
        return;
    }
    check_fields(v->name, e, json_object_get(v->about, "document"));
    envelope_encode(e, NULL, (struct str){0}, &again);
    cr_expect(bytes_are(buf_str(&again), json_object_get(v->about, "document")),
              "%s: is not the same after it was passed on", v->name);
    check_added(v, e);
    buf_fini(&again);
    envelope_free(&e);
    cr_expect_null(e);
}

Test(envelope, is_read_and_passed_on_as_the_golden_vectors_say)
{
    vector_each("envelope", check_vector);
}

static void
check_prefixes(const struct vector *v)
{
    struct envelope *e = NULL;
    const char *why;

    if (strcmp(vector_text(v, "decode"), "ok") != 0 || v->data.n > 4096) {
        return;
    }
    for (size_t n = 0; n < v->data.n; n++) {
        cr_expect_eq(envelope_decode(v->data.p, n, &e, &why), ERR_MALFORMED, "%s cut at %zu",
                     v->name, n);
    }
}

Test(envelope, is_refused_wherever_it_is_cut_off)
{
    vector_each("envelope", check_prefixes);
}

static void
check_body(const struct vector *v)
{
    msgpack_unpacked u;
    const char *want = vector_text(v, "decode");
    int err = body_decode(v->data.p, v->data.n, &u);

    cr_expect_str_eq(err == 0 ? "ok" : err_str(err), want, "%s: %s", v->name,
                     vector_text(v, "about"));
    if (err == 0) {
        cr_expect(vector_same(&u.data, json_object_get(v->about, "document")), "%s", v->name);
        msgpack_unpacked_destroy(&u);
    }
}

Test(body, is_read_as_the_golden_vectors_say)
{
    vector_each("body", check_body);
}

Test(body, over_256_KiB_is_too_big)
{
    size_t n = PROTO_MAX_BODY + 1;
    char *data = xcalloc(1, n);
    msgpack_unpacked u;

    cr_assert_eq(body_decode(data, n, &u), ERR_TOO_BIG);
    free(data);
}

/* {"text": "x", "number": 7, "minus": -7, "half": 0.5, "yes": true, "none": nil} */
static const char sample[] =
    "\x86\xa4text\xa1x\xa6number\x07\xa5minus\xf9\xa4half\xcb\x3f\xe0\0\0\0"
    "\0\0\0\xa3yes\xc3\xa4none\xc0";

Test(map, answers_absent_where_a_field_is_missing_or_of_another_type)
{
    msgpack_unpacked u;
    struct id id;
    int64_t i = 99;
    double d = 99;

    cr_assert_eq(body_decode(sample, sizeof(sample) - 1, &u), 0);
    cr_expect(str_is(map_str(&u.data, "text"), "x"));
    cr_expect_null(map_str(&u.data, "number").p);
    cr_expect_null(map_str(&u.data, "none").p);
    cr_expect_null(map_str(NULL, "text").p);
    cr_expect_not(map_int(&u.data, "text", &i));
    cr_expect_not(map_int(&u.data, "half", &i));
    cr_expect_not(map_int(&u.data, "missing", &i));
    cr_expect_eq(i, 99, "written without success");
    cr_expect(map_int(&u.data, "minus", &i) && i == -7);
    cr_expect_not(map_float(&u.data, "yes", &d));
    cr_expect_eq(d, 99, "written without success");
    cr_expect(map_float(&u.data, "half", &d) && d == 0.5);
    cr_expect(map_float(&u.data, "number", &d) && d == 7.0, "an integer is a number, too");
    cr_expect(map_bool(&u.data, "yes"));
    cr_expect_not(map_bool(&u.data, "number"));
    cr_expect_not(map_id(&u.data, "text", &id));
    cr_expect_null(map_array(&u.data, "text"));
    cr_expect_null(map_get(&u.data, "tex"));
    msgpack_unpacked_destroy(&u);
}
