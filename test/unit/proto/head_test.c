#include "proto/head.h"

#include "proto/err.h"
#include "test/unit/proto/vector.h"

#include <criterion/criterion.h>

static uint32_t
number(const struct vector *v, const char *field)
{
    return (uint32_t)json_integer_value(json_object_get(json_object_get(v->about, "head"), field));
}

static bool
bytes_are(const struct vector *v, const char *field, struct str got)
{
    const char *hex = json_string_value(json_object_get(json_object_get(v->about, "head"), field));
    struct buf want = {0};
    bool same;

    vector_unhex(hex ? hex : "", &want);
    same = str_eq(got, buf_str(&want));
    buf_fini(&want);
    return same;
}

static void
check_fields(const struct vector *v, const struct head *h)
{
    const json_t *service = json_object_get(json_object_get(v->about, "head"), "service");
    struct str id = {.p = (const char *)h->id.b, .n = id_is_nil(h->id) ? 0 : sizeof(h->id.b)};

    cr_expect_eq(h->version, PROTO_VERSION, "%s: version", v->name);
    cr_expect_eq(h->type, number(v, "type"), "%s: type", v->name);
    cr_expect(str_is(h->service, json_string_value(service)), "%s: service", v->name);
    cr_expect(bytes_are(v, "id", id), "%s: id", v->name);
    cr_expect_eq(h->attempt, number(v, "attempt"), "%s: attempt", v->name);
    cr_expect_eq(h->generation, number(v, "generation"), "%s: generation", v->name);
    cr_expect(bytes_are(v, "route", h->route), "%s: route", v->name);
    cr_expect_eq(h->count, number(v, "count"), "%s: count", v->name);
    cr_expect_eq(h->pid, number(v, "pid"), "%s: pid", v->name);
}

static void
check_vector(const struct vector *v)
{
    struct head h = {0};
    struct buf again = {0};
    const char *want = vector_text(v, "decode");
    int err = head_decode(v->data.p, v->data.n, &h);

    if (strcmp(want, "ok") != 0) {
        cr_expect_str_eq(err_str(err), want, "%s: %s", v->name, vector_text(v, "about"));
        return;
    }
    cr_expect_eq(err, 0, "%s: %s: %s", v->name, vector_text(v, "about"), err_str(err));
    if (err != 0) {
        return;
    }
    check_fields(v, &h);
    if (json_is_true(json_object_get(v->about, "canonical"))) {
        head_encode(&h, &again);
        cr_expect(str_eq(buf_str(&again), buf_str(&v->data)), "%s: encoded otherwise", v->name);
    }
    buf_fini(&again);
}

Test(head, is_read_and_written_as_the_golden_vectors_say)
{
    vector_each("head", check_vector);
}

static void
check_prefixes(const struct vector *v)
{
    struct head h;

    if (!json_is_true(json_object_get(v->about, "canonical"))) {
        return;
    }
    for (size_t n = 0; n < v->data.n; n++) {
        char *exact = xmalloc(n + 1); /* so that a sanitizer sees a read past the end */
        if (n > 0) {
            memcpy(exact, v->data.p, n);
        }
        cr_expect_eq(head_decode(exact, n, &h), ERR_MALFORMED, "%s cut at %zu", v->name, n);
        free(exact);
    }
}

Test(head, is_refused_wherever_it_is_cut_off)
{
    vector_each("head", check_prefixes);
}

Test(head, tells_version_and_type_of_a_newer_head_so_that_it_can_be_answered)
{
    static const char data[] = "\x93\x02\x03\x80";
    struct head h = {0};

    cr_assert_eq(head_decode(data, sizeof(data) - 1, &h), ERR_VERSION);
    cr_assert_eq(h.version, 2);
    cr_assert_eq(h.type, HEAD_WORK);
}

Test(head, names_every_type_and_no_other)
{
    cr_assert_str_eq(head_type_str(0), "?");
    for (uint32_t t = HEAD_READY; t <= HEAD_BYE; t++) {
        cr_assert_str_neq(head_type_str(t), "?", "type %u", t);
    }
    cr_assert_str_eq(head_type_str(HEAD_BYE + 1), "?");
    cr_assert_str_eq(head_type_str(UINT32_MAX), "?");
}

Test(head, takes_only_plain_names_for_a_service)
{
    char longest[PROTO_MAX_SERVICE + 1];

    memset(longest, 'a', sizeof(longest));
    cr_assert(head_service_ok(STR("send_response.web-form2")));
    cr_assert(head_service_ok((struct str){.p = longest, .n = PROTO_MAX_SERVICE}));
    cr_assert_not(head_service_ok((struct str){.p = longest, .n = PROTO_MAX_SERVICE + 1}));
    cr_assert_not(head_service_ok((struct str){0}));
    cr_assert_not(head_service_ok(STR("Agent")));
    cr_assert_not(head_service_ok(STR("a b")));
    cr_assert_not(head_service_ok(STR("a\n")));
}

Test(err, has_a_name_on_the_wire_for_each_code_that_comes_back_as_the_same_code)
{
    for (int err = ERR_MALFORMED; err >= ERR_INTERNAL; err--) {
        const char *name = err_str(err);
        cr_assert_eq(err_parse(name, strlen(name)), err, "%s", name);
    }
    cr_assert_eq(err_parse("from_the_future", 15), ERR_INTERNAL);
    cr_assert_str_eq(err_str(-99), "internal");
}

Test(err, is_patient_only_where_waiting_is_the_whole_cure)
{
    for (int err = ERR_MALFORMED; err >= ERR_INTERNAL; err--) {
        bool patient = err == ERR_UNAVAILABLE || err == ERR_BUSY;
        cr_assert_eq(err_is_patient(err) != 0, patient, "%s", err_str(err));
    }
}
