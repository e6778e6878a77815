/* form - what a person or a program typed: read from JSON or from
 * application/x-www-form-urlencoded, and checked field by field. Pure: no I/O, no clock.
 *
 * Both spellings give the same fields. Unknown fields are ignored, so that a page may carry more. A
 * value keeps its characters exactly, but for the line ends (CR LF and CR become LF, as browsers
 * send CR LF) and the blanks around it.
 */
#ifndef ACTORS_INGRESS_FORM_H
#define ACTORS_INGRESS_FORM_H

#include "proto/buf.h"
#include "proto/str.h"

#include <stdbool.h>
#include <stddef.h>

#define FORM_MAX_BODY (256 * 1024) /* bytes of a request's body */
#define FORM_MAX_DEPTH 16          /* nesting of a JSON body */
#define FORM_MAX_MESSAGE 10000     /* characters of a message */

/* In the order of the page. */
enum form_field {
    FORM_NAME,
    FORM_EMAIL,
    FORM_PHONE,
    FORM_SUBJECT,
    FORM_CATEGORY,
    FORM_PRIORITY,
    FORM_MESSAGE,
    FORM_SUBMISSION_ID,
    FORM_FIELDS
};

enum form_media { FORM_MEDIA_NONE, FORM_MEDIA_JSON, FORM_MEDIA_URLENCODED, FORM_MEDIA_OTHER };

/* Which fields are looked at: a new request has them all, a reply only message and submission_id.
 */
enum form_kind { FORM_REQUEST, FORM_REPLY };

struct form_fault {
    enum form_field field;
    const char *detail; /* what is wrong, to follow the field's name: "is missing"; static */
};

struct form {
    struct str value[FORM_FIELDS]; /* .p NULL where absent or empty; borrowed from `memory` */
    struct form_fault faults[FORM_FIELDS]; /* at most one a field */
    size_t fault_n;
    struct buf email; /* the normal form of the address, where it has no fault */
    char *memory;     /* private */
};

/* The name as it is written in JSON and in the page. */
const char *form_field_name(enum form_field f);
/* What is allowed, in words: "1 to 100 characters on one line". */
const char *form_field_allowed(enum form_field f);
/* The values of a field that is a choice, NULL-terminated; NULL where it is free text. */
const char *const *form_field_choices(enum form_field f);

/* What a Content-Type header names (NULL = FORM_MEDIA_NONE). Parameters but a charset other than
 * UTF-8 are ignored. */
enum form_media form_media(const char *content_type);

/* Reads and checks a body. Returns 0 with the values and the faults of its fields in *ret; or
 * ERR_MALFORMED, where the body can't be taken apart, with a sentence appended to `ret_why`.
 * form_fini() either way. */
int form_read(enum form_kind kind, enum form_media media, struct str body, struct form *ret,
              struct buf *ret_why);
void form_fini(struct form *f);

/* The fault of a field; NULL where there is none. */
const char *form_fault(const struct form *f, enum form_field field);

/* Appends the fields, each with its length, so that two forms with the same content (and only
 * those) give the same bytes: what "the same submission" means. submission_id is left out. */
void form_canonical(const struct form *f, struct buf *out);

#endif
