/* page - what a browser is shown: the form, the status of a request, a problem, and what they need
 * (style sheets, icon). The templates stand in pages/ and are part of the program. Any thread. */
#ifndef ACTORS_INGRESS_PAGE_H
#define ACTORS_INGRESS_PAGE_H

#include "actors/ingress/answer.h"
#include "actors/ingress/form.h"
#include "db/link.h"
#include "proto/buf.h"

#include <stdbool.h>

/* The form. `form` holds what was typed and its faults, or is NULL for an empty one; `notice` is a
 * sentence at its head, or NULL. Each page that is rendered has a submission_id of its own, so that
 * sending it twice is one submission; `same_id` keeps the one in `form` instead. */
void page_form(struct answer *a, int status, const struct form *form, const char *notice,
               bool same_id);

/* The status page at the path `here`; `sent` is the id of a message that it waits for, as text, or
 * "". `reply` is what was typed there and refused, or NULL. While something is still to come the
 * page asks again after `refresh_s` seconds; 0 = it doesn't. */
void page_status(struct answer *a, int status, const struct link_state *state, const char *here,
                 const char *sent, unsigned refresh_s, const struct form *reply,
                 const char *notice);

void page_problem(struct answer *a, int status, const char *detail);

/* A file of /assets/ by its name; false if there is none. */
bool page_asset(struct answer *a, struct str name);

/* What a status means, for people: "We have your message", and a sentence more. Static. */
const char *status_headline(const struct link_state *state);
const char *status_explanation(const struct link_state *state);

#endif
