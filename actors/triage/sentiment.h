/* sentiment - how a message feels, on a scale from -1 (furious) to 1 (delighted), by a lexicon.
 *
 * The words' weights come from lexicon.txt (its language is described at its top), which is built
 * in. What stands around a word changes its weight: negation ("not good"), degree ("very",
 * "slightly"), capitals, stretched letters and exclamation marks, "but"; emoji and emoticons are
 * words of their own. Pure.
 */
#ifndef ACTORS_TRIAGE_SENTIMENT_H
#define ACTORS_TRIAGE_SENTIMENT_H

#include "actors/triage/words.h"
#include "proto/buf.h"
#include "proto/str.h"

struct lexicon;

/* Reads a lexicon. Fresh (free with lexicon_free()); or NULL with a line for each fault appended to
 * ret_faults. */
struct lexicon *lexicon_parse(struct str text, const char *name, struct buf *ret_faults);
/* The built-in one. Ends the process if it has a fault (a test reads it). */
struct lexicon *lexicon_builtin(void);
/* Accepts NULL. Sets *l_p to NULL. */
void lexicon_free(struct lexicon **l_p);

/* A word or phrase that has a weight, and what stands around it. */
struct sentiment_term {
    size_t at, n;  /* tokens at..at+n of the words */
    double weight; /* of the lexicon, about -4..4 */
    double factor; /* what its surroundings make of it */
};

#define SENTIMENT_MAX_TERMS 512 /* the rest of a long text is not weighed */

/* The terms of a text, at most SENTIMENT_MAX_TERMS. Returns their number. */
size_t sentiment_terms(const struct lexicon *l, const struct words *words,
                       struct sentiment_term ret_terms[SENTIMENT_MAX_TERMS]);

/* The sentiment of a text in [-1, 1]; 0 where nothing in it has a weight. */
double sentiment_score(const struct lexicon *l, const struct words *words);

#endif
