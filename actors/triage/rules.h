/* rules - which words of a message call for a person: the table of the specification, and what an
 * operator adds to it, as a text that is read at start. The language is described at the top of
 * triage.rules, which is the built-in text.
 *
 * Matching is pure. A rule fires by whole words in any of their simple inflections, never by parts
 * of words; the first rule of the table that fires wins.
 */
#ifndef ACTORS_TRIAGE_RULES_H
#define ACTORS_TRIAGE_RULES_H

#include "actors/triage/words.h"
#include "proto/buf.h"
#include "proto/str.h"

#include <stddef.h>

#define RULES_MAX_FILE (256 * 1024) /* bytes of a file of rules */
#define RULES_HIT_WORDS 8           /* words of evidence that are kept */

struct rules;

/* A rule that fired, and by which words of the message (as cut: small letters). What it points at
 * belongs to the rules and to the words. */
struct rules_hit {
    const char *rule;
    const char *reason;
    struct str words[RULES_HIT_WORDS];
    size_t n;
};

/* Reads a text of rules. `name` stands for it in messages. Fresh rules (free with rules_free()); or
 * NULL with one line for each fault appended to ret_faults: "NAME:LINE: what: what is allowed". */
struct rules *rules_parse(struct str text, const char *name, struct buf *ret_faults);

/* The rules in the file `path`, or the built-in ones where it is "". As rules_parse(). */
struct rules *rules_load(const char *path, struct buf *ret_faults);

/* Accepts NULL. Sets *r_p to NULL. */
void rules_free(struct rules **r_p);

/* The rules that fire on `words`, in the order of the table, at most `max` of them. The first
 * decides. `channel` is "webform", "email" or "whatsapp". Returns their number. */
size_t rules_match(const struct rules *r, const struct words *words, const char *channel,
                   struct rules_hit *ret_hits, size_t max);

#endif
