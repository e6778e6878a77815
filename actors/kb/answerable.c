#include "actors/kb/answerable.h"

#include <math.h>

/* log-odds = CONSTANT + sum of weight * evidence. */
static const double CONSTANT = -3.0;
static const struct {
    size_t at; /* in struct evidence */
    double weight;
} WEIGHTS[] = {
    {offsetof(struct evidence, gram_cosine), 8.0},
    {offsetof(struct evidence, coverage), 1.5},
    {offsetof(struct evidence, probability), 2.0},
};

double
answerable(const struct ranking *found)
{
    double odds = CONSTANT;

    if (found->n == 0) {
        return 0;
    }
    for (size_t i = 0; i < sizeof WEIGHTS / sizeof *WEIGHTS; i++) {
        const char *evidence = (const char *)&found->evidence;
        odds += WEIGHTS[i].weight * *(const float *)(const void *)(evidence + WEIGHTS[i].at);
    }
    return 1 / (1 + exp(-odds));
}

double
answerable_score(const struct ranking *found, double confidence, size_t i)
{
    return confidence * exp((double)found->hit[i].score - (double)found->hit[0].score);
}
