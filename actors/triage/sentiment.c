#include "actors/triage/sentiment.h"

#include "actors/triage/lexicon.h"

#include <math.h>
#include <string.h>

#define REACH 4           /* words over which a negation reaches */
#define NEGATED_GOOD -0.7 /* what "not" makes of a good word */
#define NEGATED_BAD -0.35 /* ... and of a bad one: "not bad" is no praise */
#define SHOUT 1.3         /* a word in capitals among small ones */
#define STRETCH 1.2       /* "sooo good" */
#define BEFORE_BUT 0.4    /* what came before counts less */
#define EXCLAMATION 0.25  /* each of up to four exclamation marks */
#define ALPHA 12.0        /* how soon many words say no more than few */

/* True if the token ends the reach of what stands before it. */
static bool
is_stop(const struct word *w)
{
    return w->sentence || (w->kind == WORD_MARK && strchr(",;:.!?()", w->text.p[0]) != NULL);
}

/* The factor that the words before `at` give to a weight. */
static double
surroundings(const struct lexicon *l, const struct words *words, size_t at, double weight)
{
    double factor = 1;
    bool negated = false;
    size_t reach = 0;

    if (words->v[at].sentence)
        return 1;
    for (size_t i = at; i-- > 0 && reach < REACH; reach++) {
        const struct word *w = &words->v[i];
        const struct lexicon_entry *e;

        if (w->kind == WORD_MARK && is_stop(w))
            break;
        e = w->kind == WORD_TEXT ? lexicon_word(l, w) : NULL;
        if (e && e->kind == LEXICON_BUT)
            break;
        if (e && e->kind == LEXICON_NEGATE)
            negated = true;
        else if (e && e->kind == LEXICON_DEGREE && reach < 2)
            factor *= 1 + (e->number - 1) * (reach == 0 ? 1 : 0.7);
        if (w->sentence)
            break;
    }
    if (negated)
        factor *= weight > 0 ? NEGATED_GOOD : NEGATED_BAD;
    return factor;
}

static double
emphasis(const struct words *words, const struct word *w)
{
    double factor = 1;

    if (w->shout && !words->shouted)
        factor *= SHOUT;
    if (w->stretched)
        factor *= STRETCH;
    return factor;
}

size_t
sentiment_terms(const struct lexicon *l, const struct words *words,
                struct sentiment_term ret_terms[SENTIMENT_MAX_TERMS])
{
    size_t n = 0, sentence = 0, length;

    for (size_t i = 0; i < words->n && n < SENTIMENT_MAX_TERMS; i += length) {
        const struct word *w = &words->v[i];
        const struct lexicon_entry *e = lexicon_phrase(l, w, words->n - i, &length);

        if (w->sentence)
            sentence = n;
        if (!e) {
            length = 1;
            e = lexicon_word(l, w);
        }
        if (!e)
            continue;
        if (e->kind == LEXICON_BUT) {
            for (size_t k = sentence; k < n; k++)
                ret_terms[k].factor *= BEFORE_BUT;
            sentence = n;
        }
        if (e->kind != LEXICON_WEIGHT || e->number == 0)
            continue;
        ret_terms[n] = (struct sentiment_term){
            .at = i,
            .n = length,
            .weight = e->number,
            .factor = surroundings(l, words, i, e->number) * emphasis(words, w),
        };
        n++;
    }
    return n;
}

double
sentiment_score(const struct lexicon *l, const struct words *words)
{
    struct sentiment_term terms[SENTIMENT_MAX_TERMS];
    size_t n = sentiment_terms(l, words, terms), marks = 0;
    double sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += terms[i].weight * terms[i].factor;
    for (size_t i = 0; i < words->n && marks < 4; i++)
        marks += words->v[i].kind == WORD_MARK && words->v[i].text.p[0] == '!';
    sum *= 1 + EXCLAMATION * (double)marks;
    return sum / sqrt(sum * sum + ALPHA);
}
