/* index - the knowledge base in memory, ready to be searched.
 *
 * Each passage stands in it three times: as a whole (its stems, for BM25; its n-grams, for words
 * that are misspelt), and by its lines: its title, and each line of its body, a long one cut into
 * pieces of about 60 words at the end of a sentence. So a body of question variants, one a line, is
 * matched variant by variant. From the lines a linear model is trained that tells the passages
 * apart (learn.h). An index is never changed: a change of the table makes a new one.
 *
 * A vector part has its place in rank.c (`struct part`): one more row there, its own data here.
 */
#ifndef ACTORS_KB_INDEX_H
#define ACTORS_KB_INDEX_H

#include "actors/kb/learn.h"
#include "actors/kb/words.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define INDEX_MAX_PASSAGES 20000          /* rows beyond it are left out, and counted */
#define INDEX_MAX_BYTES (8 * 1024 * 1024) /* of text: likewise */
#define INDEX_PIECE_WORDS 60

/* One row of the table knowledge_base. */
struct passage {
    struct str id;       /* unique */
    struct str document; /* what a hit reports */
    struct str title;
    struct str body;
    struct str url; /* empty where there is none */
};

/* Features of one kind (stems or n-grams), numbered 0.. */
struct vocabulary {
    uint64_t *key;  /* open addressing, 0 = free; owned */
    uint32_t *id;   /* beside it */
    size_t mask, n; /* slots - 1; features */
};

/* For each feature the passages that have it, and how much that counts. */
struct postings {
    uint32_t *start; /* n + 1 of them */
    uint32_t *passage;
    float *weight; /* BM25: ready to add up; n-grams: of the passage's unit vector */
    float *idf;    /* by feature */
};

/* A sparse vector of unit length for each line. */
struct lines {
    uint32_t *start;   /* n + 1 of them */
    uint32_t *feature; /* rising within a line */
    float *weight;
    float *idf; /* by feature: in how few lines it stands */
    size_t n;
};

/* All that is known of one kind of feature. */
struct space {
    struct vocabulary vocabulary;
    struct postings postings;
    struct lines lines;
    struct learned learned; /* empty where the knowledge base is too large for it */
};

struct index {
    struct passage *passage; /* with the texts behind it, owned */
    size_t n;
    size_t left_out;           /* rows over a limit */
    uint32_t *passage_of_line; /* by line */
    uint32_t *line_start;      /* by passage, n + 1: its lines stand together */
    size_t n_lines;
    struct space stems, grams;
    float idf_unknown_stem; /* of a word that no passage has */
    float idf_unknown_gram;
    char *bytes_; /* private */
};

/* Builds an index of copies of `rows`, without models: it can be searched, less well. `t` lends its
 * scratch memory. Caller frees with index_free(). */
struct index *index_new(struct words *t, const struct passage *rows, size_t n);

/* The models of an index: the slow part. */
struct models {
    struct learned stems, grams;
};
/* Trains them, changing nothing in `x`: another thread may do it while `x` is searched. */
void index_learn(const struct index *x, struct models *ret);
/* Gives them to the index, which owns them from now on. */
void index_take(struct index *x, struct models *m);

/* Accepts NULL. */
void index_free(struct index **x_p);

/* The feature's number, or -1. */
int64_t vocabulary_find(const struct vocabulary *v, uint64_t key);

/* The next line or piece of `*rest`, which is cut; false at the end. */
bool index_piece(struct str *rest, struct str *ret);

/* Whether the question is the passage's title, or its heading (what stands behind "Document: ");
 * letter case, blanks and punctuation do not count. */
bool index_is_title(const struct passage *p, struct str question);

/* Where in its body the line of that number begins (1 is the first; 0: the title) in bytes. */
size_t index_line_at(const struct passage *p, uint32_t line);

#endif
