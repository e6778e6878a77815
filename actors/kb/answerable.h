/* answerable - does the best passage hold an answer at all?
 *
 * A raw score says little: it grows with the length of a question and differs between knowledge
 * bases. So a logistic model weighs evidence that is relative to the question and to the knowledge
 * base (rank.h). It was fitted on samples of two FAQ sets and judged on the one it had not seen
 * (docs/adr/0014; make eval measures).
 */
#ifndef ACTORS_KB_ANSWERABLE_H
#define ACTORS_KB_ANSWERABLE_H

#include "actors/kb/rank.h"

/* The confidence from which on the best passage may be used for an answer. */
#define ANSWERABLE_FROM 0.5

/* Confidence in 0..1 that the first hit answers the question; 0 where there is none. */
double answerable(const struct ranking *found);

/* What a caller is told of hit `i`: the confidence, for hits after the first less by as much as the
 * score says. Falls with i. */
double answerable_score(const struct ranking *found, double confidence, size_t i);

#endif
