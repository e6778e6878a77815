#include "actors/ingress/answer.h"

#include <assert.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* No script, no style but our own sheets (whose little pictures are data: addresses), no frame
 * around us; and the address of a page is a secret, so that no link on it may tell where it came
 * from. */
static const char house_headers[] =
    "Content-Security-Policy: default-src 'none'; style-src 'self'; img-src 'self' data:; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'\r\n"
    "X-Content-Type-Options: nosniff\r\n"
    "X-Frame-Options: DENY\r\n"
    "Referrer-Policy: no-referrer\r\n"
    "Cross-Origin-Opener-Policy: same-origin\r\n"
    "Cross-Origin-Resource-Policy: same-origin\r\n";

const char *
answer_reason(int status)
{
    static const struct {
        int status;
        const char *reason;
    } reasons[] = {
        {200, "OK"},
        {202, "Accepted"},
        {303, "See Other"},
        {400, "Bad Request"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {411, "Length Required"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {415, "Unsupported Media Type"},
        {417, "Expectation Failed"},
        {422, "Unprocessable Content"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {503, "Service Unavailable"},
        {505, "HTTP Version Not Supported"},
    };

    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
        if (reasons[i].status == status) {
            return reasons[i].reason;
        }
    }
    return status < 500 ? "Bad Request" : "Internal Server Error";
}

void
answer_fini(struct answer *a)
{
    buf_fini(&a->headers);
    buf_fini(&a->body);
}

void
answer_header(struct answer *a, const char *name, const char *format, ...)
{
    char value[1024];
    va_list args;
    int n;

    va_start(args, format);
    n = vsnprintf(value, sizeof(value), format, args);
    va_end(args);
    assert(n >= 0 && (size_t)n < sizeof(value) && strpbrk(value, "\r\n") == NULL);
    buf_printf(&a->headers, "%s: %s\r\n", name, value);
}

void
answer_json(struct answer *a, int status, json_t *json)
{
    char *text = json_dumps(json, JSON_COMPACT);

    assert(text != NULL);
    a->status = status;
    a->type = TYPE_JSON;
    buf_clear(&a->body);
    buf_add_c(&a->body, text);
    buf_add_byte(&a->body, '\n');
    free(text);
    json_decref(json);
}

void
answer_problem(struct answer *a, int status, const char *detail, const struct form *form)
{
    json_t *problem = json_pack("{ss ss si ss}", "type", "about:blank", "title",
                                answer_reason(status), "status", status, "detail", detail);

    if (form != NULL && form->fault_n > 0) {
        json_t *errors = json_array();
        for (size_t i = 0; i < form->fault_n; i++) {
            enum form_field f = form->faults[i].field;
            char pointer[64];
            snprintf(pointer, sizeof(pointer), "#/%s", form_field_name(f));
            json_array_append_new(errors, json_pack("{ss ss ss ss}", "field", form_field_name(f),
                                                    "detail", form->faults[i].detail, "allowed",
                                                    form_field_allowed(f), "pointer", pointer));
        }
        json_object_set_new(problem, "errors", errors);
    }
    answer_json(a, status, problem);
    a->type = TYPE_PROBLEM;
}

void
answer_extend(struct answer *a, const char *name, struct str value)
{
    const char *type = a->type;
    json_t *json = json_loadb(a->body.p, a->body.n, 0, NULL);

    assert(json_is_object(json));
    json_object_set_new(json, name, json_stringn(value.p, value.n));
    answer_json(a, a->status, json);
    a->type = type;
}

void
answer_encode(const struct answer *a, bool head_only, bool keep_alive, struct buf *out)
{
    buf_printf(out, "HTTP/1.1 %d %s\r\n", a->status, answer_reason(a->status));
    if (a->type != NULL) {
        buf_printf(out, "Content-Type: %s\r\n", a->type);
    }
    buf_printf(out, "Content-Length: %zu\r\n", a->body.n);
    buf_printf(out, "Cache-Control: %s\r\n", a->cache != NULL ? a->cache : "no-store");
    buf_printf(out, "Connection: %s\r\n", keep_alive ? "keep-alive" : "close");
    buf_add_c(out, house_headers);
    buf_add_str(out, buf_str(&a->headers));
    buf_add_c(out, "\r\n");
    if (!head_only) {
        buf_add_str(out, buf_str(&a->body));
    }
}
