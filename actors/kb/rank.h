/* rank - which passages of an index answer a question best, and what speaks for the best of them.
 *
 * A score is a sum of parts (a table in rank.c): BM25 over stems, the cosine of n-grams, and the
 * trained models over both. The evidence is what answerable.h judges by.
 */
#ifndef ACTORS_KB_RANK_H
#define ACTORS_KB_RANK_H

#include "actors/kb/index.h"

#define RANK_MAX_HITS 5
#define RANK_MAX_QUERY 2000 /* bytes of a question that are looked at */

/* What speaks for the best passage; each is 0..1 unless said otherwise. */
struct evidence {
    float gram_cosine; /* of the question's and the passage's n-grams */
    float bm25_share;  /* BM25 of the passage in what the question could reach at most */
    float bm25;        /* the plain BM25 score, 0.. */
    float coverage;    /* share of the question's words, by idf, that the passage has */
    float known;       /* share that any passage has */
    float known_grams; /* the same of n-grams */
    float best_line;   /* cosine of n-grams with the passage's best line */
    float best_lines;  /* mean of its three best lines */
    float probability; /* of the passage, by the score as a softmax */
    float margin;      /* that, less the second's */
    float spread;      /* entropy of all, 1 = nothing stands out */
    float logit;       /* of the trained n-gram model, any sign; 0 without one */
    float title;       /* 1: the question is the title */
    float words;       /* log (1 + words of the question) */
};

struct ranked {
    uint32_t passage; /* number in the index */
    float score;      /* any sign: to compare within one question only */
    uint32_t line; /* of the passage, that is nearest: 0 its title, then the pieces of its body */
    float adds;    /* share of the question's stems, by idf, that it has and no better hit */
};

struct ranking {
    struct ranked hit[RANK_MAX_HITS]; /* best first; those that share nothing are left out */
    size_t n;
    struct evidence evidence; /* of hit[0] */
    bool trained;             /* the index has a model */
    size_t telling;           /* words of the question that are about something (stopword.h) */
};

struct ranker; /* scratch memory for searches by one thread */

struct ranker *ranker_new(void);
void ranker_free(struct ranker **r_p);
/* The text module of the ranker, for index_new(). */
struct words *ranker_words(struct ranker *r);

/* Ranks all passages of `x` for `query`; at most `limit` (<= RANK_MAX_HITS) are returned. */
void rank(struct ranker *r, const struct index *x, struct str query, size_t limit,
          struct ranking *ret);

#endif
