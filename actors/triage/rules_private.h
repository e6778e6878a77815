/* rules_private - the compiled form of the rules, shared by their parser and their matcher. */
#ifndef ACTORS_TRIAGE_RULES_PRIVATE_H
#define ACTORS_TRIAGE_RULES_PRIVATE_H

#include "actors/triage/rules.h"

#include <stdbool.h>
#include <stdint.h>

/* How a word of a pattern wants to be met. */
enum term_form {
    TERM_INFLECTED, /* in any inflection */
    TERM_EXACT,     /* just so */
    TERM_CAPITAL,   /* just so, with a capital first */
};

/* A word of the patterns. Its number is its place in the vocabulary. */
struct term {
    char *text; /* owned, small letters */
    enum term_form form;
    bool near; /* misspellings count, too */
};

/* The numbers of some terms, ascending. */
struct termset {
    uint16_t *v; /* owned */
    size_t n;
};

enum element_kind {
    ELEMENT_WORD,  /* one word of `set` */
    ELEMENT_ANY,   /* any one word */
    ELEMENT_GAP,   /* up to `max` words of this sentence */
    ELEMENT_NEAR,  /* up to `max` words of this clause, none of them a joint */
    ELEMENT_BEGIN, /* the beginning of a sentence */
    ELEMENT_END,   /* the end of a sentence */
};

struct element {
    enum element_kind kind;
    struct termset set; /* ELEMENT_WORD */
    bool optional;      /* ELEMENT_WORD: may be missing */
    unsigned max;       /* ELEMENT_GAP, ELEMENT_NEAR */
};

/* Words that follow each other; the parts of a pattern may stand anywhere in the message. */
struct part {
    struct element *v; /* owned */
    size_t n;
};

enum pattern_use {
    PATTERN_MATCH,  /* fires, unless its words are covered */
    PATTERN_ALWAYS, /* fires, covered or not */
    PATTERN_UNLESS, /* covers what it spans */
};

struct pattern {
    enum pattern_use use;
    struct part *parts; /* owned */
    size_t n;
};

struct rule {
    char *name; /* owned */
    const char *reason;
    unsigned channels;        /* a bit for each row of rules_channels */
    struct pattern *patterns; /* owned */
    size_t n;
    size_t first; /* number of its first pattern among all */
};

/* The patterns that begin with a term: only these need to be tried where it stands. */
struct anchor {
    uint16_t *patterns; /* owned */
    size_t n;
};

/* A fixed table from texts to terms, by open addressing. */
struct slot {
    uint32_t hash;
    uint16_t term; /* number + 1; 0: empty */
};

struct rules {
    struct rule *rules;
    size_t n;
    struct term *terms;
    struct anchor *anchors; /* one per term */
    size_t n_terms;
    struct slot *slots;
    size_t n_slots;        /* a power of two */
    struct termset joints; /* the set of this name: words that end a clause */
    size_t n_patterns;
};

extern const char *const rules_channels[]; /* ends with NULL */

uint32_t rules_hash(const char *p, size_t n);

#endif
