/* learn - a linear model that tells the passages of one knowledge base apart.
 *
 * Softmax regression over the unit vectors of the lines, each labelled with its passage; trained
 * when the index is built, in full batches by Nesterov's method from zero, so the same table
 * gives the same model. It learns which words and letters of a passage are its own: what BM25 can't
 * see where all entries of an FAQ speak of cards and orders. docs/adr/0014 has figures.
 */
#ifndef ACTORS_KB_LEARN_H
#define ACTORS_KB_LEARN_H

#include <stddef.h>
#include <stdint.h>

struct lines;

struct learned {
    float *weight;    /* [feature][stride], owned; NULL: not trained */
    float *intercept; /* [stride] */
    size_t stride;    /* passages, rounded up to 8 */
};

/* Trains on `lines` (labels: passage_of_line) over `features` features and `passages` passages.
 * Leaves *ret empty where that would cost too much: the work is bounded, not the table. */
void learn(const struct lines *lines, const uint32_t *passage_of_line, size_t features,
           size_t passages, struct learned *ret);
void learned_fini(struct learned *l);

/* Adds `by` times the feature's weights to the scores, which have room for a whole stride. */
void learned_add(const struct learned *l, uint32_t feature, float by, float *scores);

#endif
