#include "actors/ingress/form.h"

#include "actors/identity/contact.h"
#include "actors/ingress/text.h"
#include "proto/err.h"

#include <ctype.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char *const categories[] = {"general",    "technical", "billing",
                                         "bug_report", "feedback",  NULL};
static const char *const priorities[] = {"low", "medium", "high", "urgent", NULL};

enum shape { SHAPE_LINE, SHAPE_LINES, SHAPE_EMAIL, SHAPE_PHONE, SHAPE_CHOICE, SHAPE_ID };

static const struct field {
    const char *name;
    enum shape shape;
    bool required;
    size_t max; /* characters */
    const char *allowed;
    const char *const *choices;
} fields[FORM_FIELDS] = {
    [FORM_NAME] = {"name", SHAPE_LINE, true, 100, "1 to 100 characters on one line", NULL},
    [FORM_EMAIL] = {"email", SHAPE_EMAIL, true, 254,
                    "one e-mail address of at most 254 characters, such as name@example.org", NULL},
    [FORM_PHONE] = {"phone", SHAPE_PHONE, false, 32,
                    "6 to 15 digits, with blanks, hyphens, dots, slashes, brackets and a leading + "
                    "between them, 32 characters in all",
                    NULL},
    [FORM_SUBJECT] = {"subject", SHAPE_LINE, false, 200, "at most 200 characters on one line",
                      NULL},
    [FORM_CATEGORY] = {"category", SHAPE_CHOICE, false, 50,
                       "one of general, technical, billing, bug_report, feedback", categories},
    [FORM_PRIORITY] = {"priority", SHAPE_CHOICE, false, 50, "one of low, medium, high, urgent",
                       priorities},
    [FORM_MESSAGE] = {"message", SHAPE_LINES, true, FORM_MAX_MESSAGE, "1 to 10000 characters",
                      NULL},
    [FORM_SUBMISSION_ID] = {"submission_id", SHAPE_ID, false, 100,
                            "1 to 100 letters, digits and . _ : - characters", NULL},
};

const char *
form_field_name(enum form_field f)
{
    return fields[f].name;
}

const char *
form_field_allowed(enum form_field f)
{
    return fields[f].allowed;
}

const char *const *
form_field_choices(enum form_field f)
{
    return fields[f].choices;
}

enum form_media
form_media(const char *content_type)
{
    static const struct {
        const char *name;
        enum form_media media;
    } known[] = {{"application/json", FORM_MEDIA_JSON},
                 {"application/x-www-form-urlencoded", FORM_MEDIA_URLENCODED}};
    const char *charset;

    if (content_type == NULL) {
        return FORM_MEDIA_NONE;
    }
    charset = strcasestr(content_type, "charset=");
    if (charset != NULL) {
        charset += strlen("charset=");
        charset += *charset == '"';
        if (strncasecmp(charset, "utf-8", 5) != 0 && strncasecmp(charset, "utf8", 4) != 0) {
            return FORM_MEDIA_OTHER;
        }
    }
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        size_t n = strlen(known[i].name);
        if (strncasecmp(content_type, known[i].name, n) == 0 &&
            (content_type[n] == '\0' || strchr("; \t", content_type[n]) != NULL)) {
            return known[i].media;
        }
    }
    return FORM_MEDIA_OTHER;
}

const char *
form_fault(const struct form *f, enum form_field field)
{
    for (size_t i = 0; i < f->fault_n; i++) {
        if (f->faults[i].field == field) {
            return f->faults[i].detail;
        }
    }
    return NULL;
}

static void
blame(struct form *f, enum form_field field, const char *detail)
{
    if (form_fault(f, field) == NULL) {
        f->faults[f->fault_n++] = (struct form_fault){.field = field, .detail = detail};
    }
}

static bool
wanted(enum form_kind kind, enum form_field f)
{
    return kind == FORM_REQUEST || f == FORM_MESSAGE || f == FORM_SUBMISSION_ID;
}

/* The field of that name, or FORM_FIELDS. */
static enum form_field
field_of(enum form_kind kind, struct str name)
{
    for (enum form_field f = 0; f < FORM_FIELDS; f++) {
        if (wanted(kind, f) && str_is(name, fields[f].name)) {
            return f;
        }
    }
    return FORM_FIELDS;
}

/* --- taking a body apart -------------------------------------------------------------------- */

static int
hex(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Decodes %XX and + into `out`, which has room for s.n bytes. The length, or -1. */
static ssize_t
percent_decode(struct str s, char *out)
{
    size_t n = 0;

    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] != '%') {
            out[n++] = s.p[i] == '+' ? ' ' : s.p[i];
            continue;
        }
        if (i + 2 >= s.n || hex(s.p[i + 1]) < 0 || hex(s.p[i + 2]) < 0) {
            return -1;
        }
        out[n++] = (char)(hex(s.p[i + 1]) * 16 + hex(s.p[i + 2]));
        i += 2;
    }
    return (ssize_t)n;
}

static int
read_urlencoded(enum form_kind kind, struct str body, struct form *f, struct buf *why)
{
    bool seen[FORM_FIELDS] = {false};
    char *out = f->memory;

    for (size_t at = 0; at < body.n;) {
        const char *amp = memchr(body.p + at, '&', body.n - at);
        size_t end = amp != NULL ? (size_t)(amp - body.p) : body.n;
        const char *eq = memchr(body.p + at, '=', end - at);
        size_t name_end = eq != NULL ? (size_t)(eq - body.p) : end;
        size_t value_at = eq != NULL ? name_end + 1 : end;
        ssize_t name_n = percent_decode((struct str){body.p + at, name_end - at}, out);
        enum form_field field;
        ssize_t n;

        if (name_n < 0) {
            buf_add_c(why, "A % in the body is not followed by two hexadecimal digits.");
            return ERR_MALFORMED;
        }
        field = field_of(kind, (struct str){out, (size_t)name_n});
        n = percent_decode((struct str){body.p + value_at, end - value_at}, out);
        at = end + 1;
        if (field == FORM_FIELDS) {
            continue;
        }
        if (n < 0) {
            blame(f, field, "has a % that is not followed by two hexadecimal digits");
            continue;
        }
        if (seen[field]) {
            blame(f, field, "is given twice");
            continue;
        }
        seen[field] = true;
        f->value[field] = (struct str){out, (size_t)n};
        out += n;
    }
    return 0;
}

/* Deeper than FORM_MAX_DEPTH? A parser's recursion must not be for a stranger to choose. */
static bool
too_deep(struct str body)
{
    size_t depth = 0;
    bool in_string = false;

    for (size_t i = 0; i < body.n; i++) {
        char c = body.p[i];
        if (in_string) {
            if (c == '\\') {
                i++;
            } else if (c == '"') {
                in_string = false;
            }
        } else if (c == '"') {
            in_string = true;
        } else if (c == '{' || c == '[') {
            if (++depth > FORM_MAX_DEPTH) {
                return true;
            }
        } else if ((c == '}' || c == ']') && depth > 0) {
            depth--;
        }
    }
    return false;
}

static int
parse_json(struct str body, json_t **ret, struct buf *why)
{
    json_error_t error;
    struct str text = str_trim(body);

    /* Seen before it is parsed: a large body of anything else costs some milliseconds. */
    if (text.n > 0 && text.p[0] != '{') {
        buf_add_c(why, "The body must be a JSON object.");
        return ERR_MALFORMED;
    }
    *ret =
        json_loadb(body.p ? body.p : "", body.n, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
    if (*ret == NULL) {
        buf_printf(why, "The body is not valid JSON: line %d, column %d.", error.line,
                   error.column);
        return ERR_MALFORMED;
    }
    return 0;
}

/* Copies the members that are fields. */
static void
take_members(enum form_kind kind, json_t *root, bool spoilt, struct form *f)
{
    char *out = f->memory;
    json_t *value;
    const char *key;

    json_object_foreach(root, key, value)
    {
        enum form_field field = field_of(kind, str_of(key));
        if (field == FORM_FIELDS || json_is_null(value)) {
            continue;
        }
        if (!json_is_string(value)) {
            blame(f, field, "must be a text");
            continue;
        }
        f->value[field] = (struct str){out, json_string_length(value)};
        memcpy(out, json_string_value(value), f->value[field].n);
        out += f->value[field].n;
        if (spoilt && text_has_mark(f->value[field])) {
            blame(f, field, "holds bytes that are not valid UTF-8");
        }
    }
}

static int
read_json(enum form_kind kind, struct str body, struct form *f, struct buf *why)
{
    bool spoilt = !text_is_utf8(body);
    struct buf clean = {0};
    json_t *root;
    int err;

    if (too_deep(body)) {
        buf_printf(why, "The JSON is nested more than %d levels deep.", FORM_MAX_DEPTH);
        return ERR_MALFORMED;
    }
    if (spoilt) {
        /* Bytes that are no UTF-8 become U+FFFF, which no text may hold: so the field that they
         * stand in can be named. */
        text_mark_invalid(body, &clean);
        body = buf_str(&clean);
    }
    err = parse_json(body, &root, why);
    buf_fini(&clean);
    if (err != 0) {
        return err;
    }
    take_members(kind, root, spoilt, f);
    json_decref(root);
    if (spoilt && f->fault_n == 0) {
        buf_add_c(why, "The body is not valid UTF-8.");
        return ERR_MALFORMED;
    }
    return 0;
}

/* --- checking ------------------------------------------------------------------------------- */

/* Line ends to LF, in place. */
static void
unify_lines(struct str *s, char *p)
{
    size_t n = 0;

    for (size_t i = 0; i < s->n; i++) {
        if (p[i] == '\r') {
            p[n++] = '\n';
            i += i + 1 < s->n && p[i + 1] == '\n';
        } else {
            p[n++] = p[i];
        }
    }
    s->n = n;
}

static const char *
check_phone(struct str s)
{
    size_t digits = 0;

    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (c >= '0' && c <= '9') {
            digits++;
        } else if (strchr(" -./()", c) == NULL && !(c == '+' && digits == 0)) {
            return "holds a character that no telephone number has";
        }
    }
    if (digits < 6) {
        return "has fewer than 6 digits";
    }
    return digits > 15 ? "has more than 15 digits" : NULL;
}

static const char *
check_choice(const struct field *field, struct str s)
{
    for (const char *const *c = field->choices; *c != NULL; c++) {
        if (str_is(s, *c)) {
            return NULL;
        }
    }
    return "is not one of its choices";
}

static const char *
check_id(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (!isalnum((unsigned char)s.p[i]) && strchr("._:-", s.p[i]) == NULL) {
            return "holds a character that is not allowed";
        }
    }
    return NULL;
}

static const char *
check_line(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f) {
            return "holds a line break or a control character";
        }
    }
    return NULL;
}

static const char *
check_shape(struct form *f, enum form_field field)
{
    struct str s = f->value[field];
    const char *why = NULL;

    switch (fields[field].shape) {
    case SHAPE_LINE:
    case SHAPE_LINES:
        return NULL;
    case SHAPE_EMAIL:
        contact_email(s, &f->email, &why);
        return why;
    case SHAPE_PHONE:
        return check_phone(s);
    case SHAPE_CHOICE:
        return check_choice(&fields[field], s);
    case SHAPE_ID:
        return check_id(s);
    }
    return NULL;
}

static void
check_field(struct form *f, enum form_field field)
{
    struct str *s = &f->value[field];
    const char *why;

    if (form_fault(f, field) != NULL) {
        return;
    }
    if (s->p != NULL) {
        if (memchr(s->p, '\0', s->n) != NULL) {
            blame(f, field, "holds the character NUL");
            return;
        }
        if (!text_is_utf8(*s)) {
            blame(f, field, "holds bytes that are not valid UTF-8");
            return;
        }
        unify_lines(s, f->memory + (s->p - f->memory));
        if (text_length(*s) > fields[field].max) {
            blame(f, field, "is too long");
            return;
        }
        why = fields[field].shape == SHAPE_LINES ? NULL : check_line(*s);
        if (why != NULL) {
            blame(f, field, why);
            return;
        }
        *s = text_trim(*s);
    }
    if (s->n == 0) {
        *s = (struct str){NULL, 0};
        if (fields[field].required) {
            blame(f, field, "is missing");
        }
        return;
    }
    why = check_shape(f, field);
    if (why != NULL) {
        blame(f, field, why);
    }
}

int
form_read(enum form_kind kind, enum form_media media, struct str body, struct form *ret,
          struct buf *ret_why)
{
    int err = ERR_MALFORMED;

    *ret = (struct form){0};
    ret->memory = xmalloc(body.n * 3 + 1); /* a byte that is marked grows to three */
    if (media == FORM_MEDIA_JSON) {
        err = read_json(kind, body, ret, ret_why);
    } else if (media == FORM_MEDIA_URLENCODED) {
        err = read_urlencoded(kind, body, ret, ret_why);
    } else {
        buf_add_c(ret_why, "The body's type is not known.");
    }
    if (err != 0) {
        return err;
    }
    for (enum form_field f = 0; f < FORM_FIELDS; f++) {
        if (wanted(kind, f)) {
            check_field(ret, f);
        }
    }
    return 0;
}

void
form_fini(struct form *f)
{
    free(f->memory);
    buf_fini(&f->email);
    *f = (struct form){0};
}

void
form_canonical(const struct form *f, struct buf *out)
{
    for (enum form_field i = 0; i < FORM_FIELDS; i++) {
        if (i != FORM_SUBMISSION_ID) {
            buf_printf(out, "%zu:", f->value[i].n);
            buf_add_str(out, f->value[i]);
        }
    }
}
