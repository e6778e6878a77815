#include "actors/kb/answerable.h"

#include <math.h>

#define AT(name) offsetof(struct evidence, name)
#define MAX_WEIGHTS 8
#define SAME_LINE 0.98 /* cosine of a line and the question: hardly a letter is different */
#define CERTAIN 0.99

/* Log-odds = constant + sum of weight * evidence. The constant is such that even odds are where
 * nine of ten right answers pass on both sets (docs/adr/0014). */
static const struct model {
    double constant;
    struct {
        size_t at; /* in struct evidence */
        double weight;
    } weight[MAX_WEIGHTS]; /* ends with a weight of 0 */
} TRAINED =
    {
        .constant = -6.454,
        .weight = {{AT(logit), 0.786},
                   {AT(probability), 2.513},
                   {AT(words), 1.242},
                   {AT(best_line), 1.832},
                   {AT(known), 0.504},
                   {AT(known_grams), 0.958},
                   {AT(gram_cosine), -1.038}},
},
  UNTRAINED = {
      .constant = -4.109,
      .weight = {{AT(gram_cosine), 4.006},
                 {AT(probability), 4.032},
                 {AT(words), 1.141},
                 {AT(coverage), 0.707},
                 {AT(known), -0.374}},
};

double
answerable(const struct ranking *found)
{
    const struct model *m = found->trained ? &TRAINED : &UNTRAINED;
    const char *evidence = (const char *)&found->evidence;
    double odds = m->constant;

    if (found->n > 0 && (found->evidence.title > 0 || found->evidence.best_line >= SAME_LINE)) {
        return CERTAIN; /* the passage was written to answer just this */
    }
    if (found->n == 0 || found->telling == 0) { /* "how to?" is like every "How to ..." */
        return 0;
    }
    for (size_t i = 0; i < MAX_WEIGHTS && m->weight[i].weight != 0; i++) {
        odds += m->weight[i].weight * *(const float *)(const void *)(evidence + m->weight[i].at);
    }
    return 1 / (1 + exp(-odds));
}

double
answerable_score(const struct ranking *found, double confidence, size_t i)
{
    return confidence * exp((double)found->hit[i].score - (double)found->hit[0].score);
}
