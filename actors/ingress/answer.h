/* answer - one HTTP answer: status, headers, body; written whole, with the headers that every
 * answer of ours has. */
#ifndef ACTORS_INGRESS_ANSWER_H
#define ACTORS_INGRESS_ANSWER_H

#include "actors/ingress/form.h"
#include "proto/buf.h"

#include <jansson.h>
#include <stdbool.h>

#define TYPE_HTML "text/html; charset=utf-8"
#define TYPE_JSON "application/json"
#define TYPE_PROBLEM "application/problem+json"
#define TYPE_TEXT "text/plain; charset=utf-8"

struct answer {
    int status;
    const char *type;   /* static; NULL where there is no body */
    const char *cache;  /* Cache-Control; NULL = no-store */
    struct buf headers; /* further lines, each ended by CR LF */
    struct buf body;
};

void answer_fini(struct answer *a);

/* Adds a header. `value` must be ours or checked: no line ends (assert). */
void answer_header(struct answer *a, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The body is this JSON. Takes `json`. */
void answer_json(struct answer *a, int status, json_t *json);

/* A problem of RFC 9457: {type, title, status, detail, errors: [{field, detail, allowed,
 * pointer}]}. `form` may be NULL: no errors. `detail` is shown to whoever sent the request. */
void answer_problem(struct answer *a, int status, const char *detail, const struct form *form);

/* Adds a text to an answer that is a JSON object. */
void answer_extend(struct answer *a, const char *name, struct str value);

/* The reason phrase of a status. Static. */
const char *answer_reason(int status);

/* The whole answer as bytes, appended to `out`; without the body where `head_only`. */
void answer_encode(const struct answer *a, bool head_only, bool keep_alive, struct buf *out);

#endif
