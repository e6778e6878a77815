#include "actors/kb/rank.h"

#include "proto/stopword.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

#define NEXT_TO_EACH_OTHER 3 /* lines whose mean counts in the evidence */

/* One feature of the question that the index knows. */
struct term {
    uint32_t feature;
    float times;
};

/* A question as features of one kind. */
struct terms {
    struct term *p; /* owned; rising by feature, each once */
    size_t n, cap;
    float unknown; /* idf of what the index doesn't know, times the repetitions */
    float known;
    float square; /* of the question's vector by the passages' idf, unknown features too */
};

struct ranker {
    struct words *words;
    struct keys keys;
    struct terms stems, grams;
    float *part, *bm25, *cosine, *logit, *score; /* by passage; one block, owned */
    size_t room;                                 /* passages that there is memory for */
    float *line_weight;                          /* by n-gram: the question's, else 0; owned */
    size_t line_room;
};

typedef void part_fn(struct ranker *r, const struct index *x, float *ret);

static void part_bm25(struct ranker *r, const struct index *x, float *ret);
static void part_cosine(struct ranker *r, const struct index *x, float *ret);
static void part_learned_stems(struct ranker *r, const struct index *x, float *ret);
static void part_learned_grams(struct ranker *r, const struct index *x, float *ret);
static void make_room(struct ranker *r, const struct index *x);
static void read_terms(struct terms *t, const struct space *s, const struct keys *k,
                       float idf_unknown);
static int by_feature(const void *a, const void *b);
static void learned_scores(const struct space *s, const struct terms *t, size_t n, float *ret);
static size_t pick(struct ranker *r, const struct index *x, size_t limit, struct ranked *ret);
static void put_title_first(const struct index *x, struct str query, struct ranking *found);
static void weigh(struct ranker *r, const struct index *x, const struct ranking *found,
                  struct evidence *ret);
static bool has_feature(const struct postings *p, uint32_t feature, uint32_t passage);
static void share_out(const struct ranker *r, const struct index *x, struct ranking *found);
static void compare_lines(struct ranker *r, const struct index *x, struct ranking *found);
static uint32_t best_lines(const struct ranker *r, const struct index *x, uint32_t passage,
                           float ret_best[NEXT_TO_EACH_OTHER]);
static void weigh_shares(struct ranker *r, const struct index *x, uint32_t passage,
                         struct evidence *ret);

/* What a score is made of. A vector part is a row here. The weights were found on two FAQ sets and
 * hold for both (docs/adr/0014). */
static const struct part {
    const char *name;
    float weight;         /* where a model was trained */
    float weight_without; /* where the knowledge base is too large for one */
    part_fn *score;
} PARTS[] = {
    {"learned n-grams", 1.0f, 0.0f, part_learned_grams},
    {"learned stems", 0.5f, 0.0f, part_learned_stems},
    {"bm25", 4.0f, 10.0f, part_bm25},
    {"n-grams", 2.0f, 10.0f, part_cosine},
};

struct ranker *
ranker_new(void)
{
    struct ranker *r = xcalloc(1, sizeof *r);

    r->words = words_new("english");
    return r;
}

void
ranker_free(struct ranker **r_p)
{
    struct ranker *r = *r_p;

    if (r) {
        words_free(&r->words);
        keys_fini(&r->keys);
        free(r->stems.p);
        free(r->grams.p);
        free(r->part);
        free(r->line_weight);
        free(r);
        *r_p = NULL;
    }
}

struct words *
ranker_words(struct ranker *r)
{
    return r->words;
}

void
rank(struct ranker *r, const struct index *x, struct str query, size_t limit, struct ranking *ret)
{
    bool trained = x->grams.learned.weight != NULL;

    *ret = (struct ranking){.trained = trained};
    if (x->n == 0) {
        return;
    }
    if (query.n > RANK_MAX_QUERY) {
        query.n = RANK_MAX_QUERY;
    }
    make_room(r, x);
    words_read(r->words, query);
    for (size_t i = 0; i < words_count(r->words); i++) {
        ret->telling += !stopword(words_at(r->words, i));
    }
    words_stems(r->words, &r->keys);
    read_terms(&r->stems, &x->stems, &r->keys, x->idf_unknown_stem);
    words_grams(r->words, &r->keys);
    read_terms(&r->grams, &x->grams, &r->keys, x->idf_unknown_gram);

    memset(r->score, 0, x->n * sizeof *r->score);
    memset(r->logit, 0, x->n * sizeof *r->logit);
    for (size_t p = 0; p < sizeof PARTS / sizeof *PARTS; p++) {
        float weight = trained ? PARTS[p].weight : PARTS[p].weight_without;

        PARTS[p].score(r, x, r->part);
        for (size_t i = 0; i < x->n; i++) {
            r->score[i] += weight * r->part[i];
        }
    }
    ret->n = pick(r, x, RANK_MAX_HITS, ret->hit);
    put_title_first(x, query, ret);
    ret->n = ret->n < limit ? ret->n : limit;
    if (ret->n > 0) {
        weigh(r, x, ret, &ret->evidence);
        ret->evidence.title = index_is_title(&x->passage[ret->hit[0].passage], query);
        share_out(r, x, ret);
        compare_lines(r, x, ret);
    }
}

/* As a share of what the question could reach: comparable between questions. */
static void
part_bm25(struct ranker *r, const struct index *x, float *ret)
{
    const struct postings *p = &x->stems.postings;
    float most = (r->stems.known + r->stems.unknown) * 2.2f;

    memset(r->bm25, 0, x->n * sizeof *r->bm25);
    for (size_t i = 0; i < r->stems.n; i++) {
        uint32_t f = r->stems.p[i].feature;
        for (uint32_t k = p->start[f]; k < p->start[f + 1]; k++) {
            r->bm25[p->passage[k]] += p->weight[k];
        }
    }
    for (size_t i = 0; i < x->n; i++) {
        ret[i] = most > 0 ? r->bm25[i] / most : 0;
    }
}

static void
part_cosine(struct ranker *r, const struct index *x, float *ret)
{
    const struct postings *p = &x->grams.postings;
    float length = sqrtf(r->grams.square);

    memset(r->cosine, 0, x->n * sizeof *r->cosine);
    for (size_t i = 0; i < r->grams.n; i++) {
        uint32_t f = r->grams.p[i].feature;
        float w = (1 + logf(r->grams.p[i].times)) * p->idf[f] / length;
        for (uint32_t k = p->start[f]; k < p->start[f + 1]; k++) {
            r->cosine[p->passage[k]] += w * p->weight[k];
        }
    }
    memcpy(ret, r->cosine, x->n * sizeof *ret);
}

static void
part_learned_stems(struct ranker *r, const struct index *x, float *ret)
{
    learned_scores(&x->stems, &r->stems, x->n, ret);
}

static void
part_learned_grams(struct ranker *r, const struct index *x, float *ret)
{
    learned_scores(&x->grams, &r->grams, x->n, ret);
    memcpy(r->logit, ret, x->n * sizeof *ret);
}

static void
make_room(struct ranker *r, const struct index *x)
{
    if (r->room < x->n) {
        free(r->part);
        r->room = (x->n + 7) / 8 * 8; /* a whole stride of the models */
        r->part = xcalloc(5 * r->room, sizeof *r->part);
        r->bm25 = r->part + r->room;
        r->cosine = r->bm25 + r->room;
        r->logit = r->cosine + r->room;
        r->score = r->logit + r->room;
    }
    if (r->line_room < x->grams.vocabulary.n) {
        free(r->line_weight);
        r->line_room = x->grams.vocabulary.n;
        r->line_weight = xcalloc(r->line_room, sizeof *r->line_weight);
    }
}

static void
read_terms(struct terms *t, const struct space *s, const struct keys *k, float idf_unknown)
{
    size_t n = 0;

    if (t->cap < k->n) {
        t->cap = 2 * k->n;
        t->p = xrealloc(t->p, t->cap * sizeof *t->p);
    }
    t->unknown = t->known = t->square = 0;
    for (size_t i = 0; i < k->n; i++) {
        int64_t f = vocabulary_find(&s->vocabulary, k->key[i]);

        if (f < 0) {
            t->unknown += idf_unknown;
            t->square += idf_unknown * idf_unknown;
        } else {
            t->p[n++] = (struct term){.feature = (uint32_t)f, .times = 1};
        }
    }
    if (n) {
        qsort(t->p, n, sizeof *t->p, by_feature);
    }
    t->n = 0;
    for (size_t i = 0; i < n; i++) {
        if (t->n > 0 && t->p[t->n - 1].feature == t->p[i].feature) {
            t->p[t->n - 1].times += 1;
        } else {
            t->p[t->n++] = t->p[i];
        }
    }
    for (size_t i = 0; i < t->n; i++) {
        float idf = s->postings.idf[t->p[i].feature], w = (1 + logf(t->p[i].times)) * idf;

        t->known += idf;
        t->square += w * w;
    }
}

static int
by_feature(const void *a, const void *b)
{
    uint32_t x = ((const struct term *)a)->feature, y = ((const struct term *)b)->feature;

    return (x > y) - (x < y);
}

/* The question as a unit vector of the lines' space, times the trained weights. */
static void
learned_scores(const struct space *s, const struct terms *t, size_t n, float *ret)
{
    const struct learned *l = &s->learned;
    float square = 0;

    if (!l->weight) {
        memset(ret, 0, n * sizeof *ret);
        return;
    }
    for (size_t i = 0; i < t->n; i++) {
        float w = (1 + logf(t->p[i].times)) * s->lines.idf[t->p[i].feature];
        square += w * w;
    }
    memcpy(ret, l->intercept, n * sizeof *ret);
    for (size_t i = 0; i < t->n; i++) {
        float v = (1 + logf(t->p[i].times)) * s->lines.idf[t->p[i].feature] / sqrtf(square);
        learned_add(l, t->p[i].feature, v, ret);
    }
}

/* The best by score, of those that share at least an n-gram with the question. */
static size_t
pick(struct ranker *r, const struct index *x, size_t limit, struct ranked *ret)
{
    size_t n = 0;

    for (uint32_t i = 0; i < x->n; i++) {
        size_t at = n;

        if (r->cosine[i] <= 0) {
            continue;
        }
        while (at > 0 && ret[at - 1].score < r->score[i]) {
            at--;
        }
        if (at >= limit) {
            continue;
        }
        n += n < limit;
        memmove(ret + at + 1, ret + at, (n - at - 1) * sizeof *ret);
        ret[at] = (struct ranked){.passage = i, .score = r->score[i]};
    }
    return n;
}

/* Of the hits, the one whose title is the question: it was written for it. */
static void
put_title_first(const struct index *x, struct str query, struct ranking *found)
{
    for (size_t h = 1; h < found->n; h++) {
        struct ranked hit = found->hit[h];

        if (index_is_title(&x->passage[hit.passage], query)) {
            hit.score = found->hit[0].score + 1;
            memmove(found->hit + 1, found->hit, h * sizeof *found->hit);
            found->hit[0] = hit;
            return;
        }
    }
}

static void
weigh(struct ranker *r, const struct index *x, const struct ranking *found, struct evidence *ret)
{
    uint32_t best = found->hit[0].passage;
    float top = found->hit[0].score, sum = 0, entropy = 0;

    assert(x->n > 0); /* it has a hit; so the sum is 1 at least */
    for (size_t i = 0; i < x->n; i++) {
        float e = expf(r->score[i] - top);
        sum += e;
        entropy -= e > 0 ? e * (r->score[i] - top) : 0;
    }
    entropy = entropy / sum + logf(sum);
    *ret = (struct evidence){
        .gram_cosine = r->cosine[best],
        .bm25 = r->bm25[best],
        .probability = 1 / sum,
        .margin = (1 - (found->n > 1 ? expf(found->hit[1].score - top) : 0)) / sum,
        .spread = x->n > 1 ? entropy / logf((float)x->n) : 0,
        .logit = r->logit[best],
        .words = logf(1 + (float)words_count(r->words)),
    };
    weigh_shares(r, x, best, ret);
}

/* How much of the question the passage, and the knowledge base, knows. */
static void
weigh_shares(struct ranker *r, const struct index *x, uint32_t passage, struct evidence *ret)
{
    const struct postings *p = &x->stems.postings;
    float covered = 0, all = r->stems.known + r->stems.unknown;
    float grams = r->grams.known + r->grams.unknown;

    for (size_t i = 0; i < r->stems.n; i++) {
        uint32_t f = r->stems.p[i].feature;

        if (has_feature(p, f, passage)) {
            covered += p->idf[f];
        }
    }
    ret->coverage = all > 0 ? covered / all : 0;
    ret->known = all > 0 ? r->stems.known / all : 0;
    ret->known_grams = grams > 0 ? r->grams.known / grams : 0;
    ret->bm25_share = all > 0 ? r->bm25[passage] / (all * 2.2f) : 0;
}

static bool
has_feature(const struct postings *p, uint32_t feature, uint32_t passage)
{
    uint32_t low = p->start[feature], high = p->start[feature + 1];

    while (low < high) { /* passages rise within a list */
        uint32_t middle = (low + high) / 2;
        if (p->passage[middle] < passage) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < p->start[feature + 1] && p->passage[low] == passage;
}

/* What each hit brings that the better ones lack: where several things were asked, the answers may
 * stand in several passages. */
static void
share_out(const struct ranker *r, const struct index *x, struct ranking *found)
{
    const struct postings *p = &x->stems.postings;
    float all = r->stems.known + r->stems.unknown;

    for (size_t i = 0; i < r->stems.n && all > 0; i++) {
        uint32_t f = r->stems.p[i].feature;
        size_t h = 0;

        while (h < found->n && !has_feature(p, f, found->hit[h].passage)) {
            h++;
        }
        if (h < found->n) {
            found->hit[h].adds += p->idf[f] / all;
        }
    }
}

/* The question against each line of the hits, as cosines of n-grams. */
static void
compare_lines(struct ranker *r, const struct index *x, struct ranking *found)
{
    const struct lines *l = &x->grams.lines;
    float square = 0, idf_unknown = logf(1 + (float)l->n) + 1;

    for (size_t i = 0; i < r->grams.n; i++) {
        uint32_t f = r->grams.p[i].feature;
        float w = (1 + logf(r->grams.p[i].times)) * l->idf[f];
        r->line_weight[f] = w;
        square += w * w;
    }
    square += r->grams.unknown / x->idf_unknown_gram * idf_unknown * idf_unknown;
    float length = square > 0 ? sqrtf(square) : 1;
    for (size_t h = 0; h < found->n; h++) {
        float best[NEXT_TO_EACH_OTHER];

        found->hit[h].line = best_lines(r, x, found->hit[h].passage, best);
        if (h == 0) {
            found->evidence.best_line = best[0] / length;
            found->evidence.best_lines =
                (best[0] + best[1] + best[2]) / (NEXT_TO_EACH_OTHER * length);
        }
    }
    for (size_t i = 0; i < r->grams.n; i++) {
        r->line_weight[r->grams.p[i].feature] = 0;
    }
}

/* The three largest products with the question's vector, in order; and which line of the body has
 * the largest (the title counts for the evidence alone). */
static uint32_t
best_lines(const struct ranker *r, const struct index *x, uint32_t passage,
           float ret_best[NEXT_TO_EACH_OTHER])
{
    const struct lines *l = &x->grams.lines;
    uint32_t first = x->line_start[passage], at = 0;
    float top = 0;

    memset(ret_best, 0, NEXT_TO_EACH_OTHER * sizeof *ret_best);
    for (uint32_t line = first; line < x->line_start[passage + 1]; line++) {
        float dot = 0;

        for (uint32_t k = l->start[line]; k < l->start[line + 1]; k++) {
            dot += l->weight[k] * r->line_weight[l->feature[k]];
        }
        if (line > first && dot > top) {
            top = dot;
            at = line - first;
        }
        for (size_t b = 0; b < NEXT_TO_EACH_OTHER; b++) {
            if (dot > ret_best[b]) {
                float swap = ret_best[b];
                ret_best[b] = dot;
                dot = swap;
            }
        }
    }
    return at;
}
