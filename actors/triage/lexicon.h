/* lexicon - the words of feeling and their weights, as lexicon.txt says. */
#ifndef ACTORS_TRIAGE_LEXICON_H
#define ACTORS_TRIAGE_LEXICON_H

#include "actors/triage/sentiment.h"

#include <stdint.h>

#define LEXICON_MAX_KEY 64   /* bytes of a word or phrase */
#define LEXICON_MAX_PHRASE 5 /* words of a phrase */

enum lexicon_kind {
    LEXICON_NONE,   /* only the first word of a phrase */
    LEXICON_WEIGHT, /* a word of feeling */
    LEXICON_NEGATE, /* "not": turns what follows */
    LEXICON_DEGREE, /* "very": changes the weight of what follows by this factor */
    LEXICON_BUT,    /* what follows counts more than what came before */
};

struct lexicon_entry {
    char *text;
    enum lexicon_kind kind;
    double number; /* weight or factor */
    bool begins;   /* a phrase begins with this word */
};

/* The entry for a word as it is written or for what it is an inflection of, or NULL. */
const struct lexicon_entry *lexicon_word(const struct lexicon *l, const struct word *w);
/* The longest phrase at w[0..max), with *ret_n words; or NULL. */
const struct lexicon_entry *lexicon_phrase(const struct lexicon *l, const struct word *w,
                                           size_t max, size_t *ret_n);

#endif
