#include "actors/kb/index.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>

#define BM25_K1 1.2f
#define BM25_B 0.75f

/* A feature's number and how often it stands in the text at hand. */
struct count {
    uint32_t feature;
    uint32_t times;
};

/* The counts of all passages (or lines), one behind the other. */
struct counts {
    struct count *p;
    size_t n, cap;
    uint32_t *start;  /* n_texts + 1 */
    uint32_t *length; /* by text: keys in it */
    size_t texts;
};

typedef void features_fn(struct words *t, struct keys *ret);

static void copy_rows(struct index *x, const struct passage *rows, size_t n);
static bool same_letters(struct str a, struct str b);
static int next_letter(struct str s, size_t *at);
static void cut_lines(struct index *x, struct str **ret_line);
static size_t cut_body(struct str rest, struct str *ret_line, size_t room);
static void build_space(struct space *s, struct words *t, features_fn *features,
                        const struct index *x, const struct str *line);
static void count_text(struct counts *c, struct vocabulary *v, const struct keys *k);
static int by_feature(const void *a, const void *b);
static void post(struct space *s, const struct counts *c, bool bm25);
static void add_lines(struct space *s, const struct counts *c);
static uint32_t vocabulary_add(struct vocabulary *v, uint64_t key);
static void space_fini(struct space *s);
static float idf_of(size_t texts, size_t with);

struct index *
index_new(struct words *t, const struct passage *rows, size_t n)
{
    struct index *x = xcalloc(1, sizeof *x);
    struct str *line = NULL;

    copy_rows(x, rows, n);
    cut_lines(x, &line);
    build_space(&x->stems, t, words_stems, x, line);
    build_space(&x->grams, t, words_grams, x, line);
    x->idf_unknown_stem = idf_of(x->n, 0);
    x->idf_unknown_gram = idf_of(x->n, 0);
    free(line);
    return x;
}

void
index_learn(const struct index *x, struct models *ret)
{
    learn(&x->stems.lines, x->passage_of_line, x->stems.vocabulary.n, x->n, &ret->stems);
    learn(&x->grams.lines, x->passage_of_line, x->grams.vocabulary.n, x->n, &ret->grams);
}

void
index_take(struct index *x, struct models *m)
{
    learned_fini(&x->stems.learned);
    learned_fini(&x->grams.learned);
    x->stems.learned = m->stems;
    x->grams.learned = m->grams;
    *m = (struct models){0};
}

void
index_free(struct index **x_p)
{
    struct index *x = *x_p;

    if (x) {
        space_fini(&x->stems);
        space_fini(&x->grams);
        free(x->passage_of_line);
        free(x->line_start);
        free(x->passage);
        free(x->bytes_);
        free(x);
        *x_p = NULL;
    }
}

int64_t
vocabulary_find(const struct vocabulary *v, uint64_t key)
{
    if (v->n == 0) {
        return -1;
    }
    for (size_t at = key & v->mask; v->key[at]; at = (at + 1) & v->mask) {
        if (v->key[at] == key) {
            return v->id[at];
        }
    }
    return -1;
}

bool
index_piece(struct str *rest, struct str *ret)
{
    size_t end = 0, words = 0, sentence = 0;
    bool in_word = false;

    while (rest->n > 0 && (*rest->p == '\n' || *rest->p == ' ')) {
        rest->p++;
        rest->n--;
    }
    if (rest->n == 0) {
        return false;
    }
    for (; end < rest->n && rest->p[end] != '\n'; end++) {
        bool blank = rest->p[end] == ' ' || rest->p[end] == '\t';

        if (blank && in_word && end > 0 && strchr(".!?:;", rest->p[end - 1])) {
            sentence = end;
        }
        words += !blank && !in_word;
        in_word = !blank;
        if (words > INDEX_PIECE_WORDS && sentence > 0) {
            end = sentence;
            break;
        }
        if (words > 2 * INDEX_PIECE_WORDS) { /* no end of a sentence in sight */
            break;
        }
    }
    *ret = str_trim((struct str){.p = rest->p, .n = end});
    rest->p += end;
    rest->n -= end;
    return true;
}

bool
index_is_title(const struct passage *p, struct str question)
{
    struct str title = p->title;
    const char *colon = title.n ? memmem(title.p, title.n, ": ", 2) : NULL;

    if (same_letters(title, question)) {
        return true;
    }
    if (colon) {
        title.n -= (size_t)(colon + 2 - title.p);
        title.p = colon + 2;
    }
    return colon && same_letters(title, question);
}

static bool
same_letters(struct str a, struct str b)
{
    size_t i = 0, k = 0, letters = 0;

    for (;; letters++) {
        int x = next_letter(a, &i), y = next_letter(b, &k);

        if (x != y || x < 0) {
            return x == y && letters > 0;
        }
    }
}

/* The next letter or digit, as a small one; -1 at the end. */
static int
next_letter(struct str s, size_t *at)
{
    while (*at < s.n) {
        unsigned char c = (unsigned char)s.p[(*at)++];
        if (c >= 0x80 || isalnum(c)) {
            return c < 0x80 ? tolower(c) : c;
        }
    }
    return -1;
}

size_t
index_line_at(const struct passage *p, uint32_t line)
{
    struct str rest = p->body, piece;
    size_t at = 0;

    for (uint32_t i = 0; i < line && index_piece(&rest, &piece); i++) {
        at = (size_t)(piece.p - p->body.p);
    }
    return at;
}

/* Takes the rows up to the limits, in one block of memory. */
static void
copy_rows(struct index *x, const struct passage *rows, size_t n)
{
    size_t bytes = 0, take = 0;

    for (; take < n && take < INDEX_MAX_PASSAGES; take++) {
        const struct passage *r = &rows[take];
        size_t more = r->id.n + r->document.n + r->title.n + r->body.n + r->url.n;

        if (bytes + more > INDEX_MAX_BYTES) {
            break;
        }
        bytes += more;
    }
    x->left_out = n - take;
    x->n = take;
    x->passage = xcalloc(take + 1, sizeof *x->passage);
    x->bytes_ = xmalloc(bytes + 1);
    char *to = x->bytes_;
    for (size_t i = 0; i < take; i++) {
        const struct str *from[] = {&rows[i].id, &rows[i].document, &rows[i].title, &rows[i].body,
                                    &rows[i].url};
        struct str *into[] = {&x->passage[i].id, &x->passage[i].document, &x->passage[i].title,
                              &x->passage[i].body, &x->passage[i].url};
        for (size_t f = 0; f < sizeof from / sizeof *from; f++) {
            if (from[f]->n) {
                memcpy(to, from[f]->p, from[f]->n);
            }
            *into[f] = (struct str){.p = to, .n = from[f]->n};
            to += from[f]->n;
        }
    }
}

static void
cut_lines(struct index *x, struct str **ret_line)
{
    size_t n = 0;

    x->line_start = xcalloc(x->n + 1, sizeof *x->line_start);
    for (size_t i = 0; i < x->n; i++) {
        n += 1 + cut_body(x->passage[i].body, NULL, 0);
    }
    struct str *line = xcalloc(n + 1, sizeof *line);
    x->passage_of_line = xcalloc(n + 1, sizeof *x->passage_of_line);
    for (size_t i = 0, at = 0; i < x->n; i++) {
        x->line_start[i] = (uint32_t)at;
        line[at++] = x->passage[i].title;
        at += cut_body(x->passage[i].body, line + at, n - at);
        for (size_t l = x->line_start[i]; l < at; l++) {
            x->passage_of_line[l] = (uint32_t)i;
        }
    }
    x->line_start[x->n] = (uint32_t)n;
    x->n_lines = n;
    *ret_line = line;
}

static size_t
cut_body(struct str rest, struct str *ret_line, size_t room)
{
    struct str piece;
    size_t n = 0;

    while (index_piece(&rest, &piece)) {
        if (ret_line != NULL && n < room) {
            ret_line[n] = piece;
        }
        n++;
    }
    return n;
}

static void
build_space(struct space *s, struct words *t, features_fn *features, const struct index *x,
            const struct str *line)
{
    struct counts whole = {0}, lines = {0};
    struct keys k = {0}, all = {0};
    bool bm25 = features == words_stems;

    whole.start = xcalloc(x->n + 1, sizeof *whole.start);
    whole.length = xcalloc(x->n + 1, sizeof *whole.length);
    lines.start = xcalloc(x->n_lines + 1, sizeof *lines.start);
    lines.length = xcalloc(x->n_lines + 1, sizeof *lines.length);
    for (size_t i = 0; i < x->n; i++) {
        all.n = 0;
        for (uint32_t l = x->line_start[i]; l < x->line_start[i + 1]; l++) {
            words_read(t, line[l]);
            features(t, &k);
            count_text(&lines, &s->vocabulary, &k);
            if (all.n + k.n > all.cap) {
                all.cap = 2 * (all.n + k.n);
                all.key = xrealloc(all.key, all.cap * sizeof *all.key);
            }
            if (k.n) {
                memcpy(all.key + all.n, k.key, k.n * sizeof *k.key);
            }
            all.n += k.n;
        }
        count_text(&whole, &s->vocabulary, &all);
    }
    post(s, &whole, bm25);
    add_lines(s, &lines);
    struct counts *both[] = {&whole, &lines};
    for (size_t i = 0; i < 2; i++) {
        free(both[i]->p);
        free(both[i]->start);
        free(both[i]->length);
    }
    keys_fini(&k);
    keys_fini(&all);
}

/* Adds the features of one more text. */
static void
count_text(struct counts *c, struct vocabulary *v, const struct keys *k)
{
    size_t first = c->n;

    if (c->n + k->n > c->cap) {
        c->cap = 2 * (c->n + k->n);
        c->p = xrealloc(c->p, c->cap * sizeof *c->p);
    }
    for (size_t i = 0; i < k->n; i++) {
        c->p[first + i] = (struct count){.feature = vocabulary_add(v, k->key[i]), .times = 1};
    }
    if (k->n) {
        qsort(c->p + first, k->n, sizeof *c->p, by_feature);
    }
    for (size_t i = first; i < first + k->n; i++) {
        if (c->n > first && c->p[c->n - 1].feature == c->p[i].feature) {
            c->p[c->n - 1].times++;
        } else {
            c->p[c->n++] = c->p[i];
        }
    }
    c->length[c->texts++] = (uint32_t)k->n;
    c->start[c->texts] = (uint32_t)c->n;
}

static int
by_feature(const void *a, const void *b)
{
    uint32_t x = ((const struct count *)a)->feature, y = ((const struct count *)b)->feature;

    return (x > y) - (x < y);
}

/* From the passages' counts to each feature's list of passages. */
static void
post(struct space *s, const struct counts *c, bool bm25)
{
    struct postings *p = &s->postings;
    size_t features = s->vocabulary.n;
    double all = 0;

    p->start = xcalloc(features + 2, sizeof *p->start);
    p->idf = xcalloc(features + 1, sizeof *p->idf);
    p->passage = xcalloc(c->n + 1, sizeof *p->passage);
    p->weight = xcalloc(c->n + 1, sizeof *p->weight);
    for (size_t i = 0; i < c->n; i++) {
        p->start[c->p[i].feature + 2]++;
    }
    for (size_t f = 0; f < features; f++) {
        p->idf[f] = idf_of(c->texts, p->start[f + 2]);
        p->start[f + 2] += p->start[f + 1];
    }
    for (size_t d = 0; d < c->texts; d++) {
        all += c->length[d];
    }
    float mean = (float)(all / (double)(c->texts ? c->texts : 1));
    for (size_t d = 0; d < c->texts; d++) {
        float square = 0;

        for (uint32_t i = c->start[d]; i < c->start[d + 1]; i++) {
            float w = (1 + logf((float)c->p[i].times)) * p->idf[c->p[i].feature];
            square += w * w;
        }
        for (uint32_t i = c->start[d]; i < c->start[d + 1]; i++) {
            uint32_t f = c->p[i].feature, at = p->start[f + 1]++;
            float times = (float)c->p[i].times;
            float longer = 1 - BM25_B + BM25_B * (float)c->length[d] / (mean > 0 ? mean : 1);

            p->passage[at] = (uint32_t)d;
            p->weight[at] = bm25 ? p->idf[f] * times * (BM25_K1 + 1) / (times + BM25_K1 * longer)
                                 : (1 + logf(times)) * p->idf[f] / sqrtf(square);
        }
    }
}

/* Each line as a unit vector; the idf is that of lines, smoothed as if one more had everything. */
static void
add_lines(struct space *s, const struct counts *c)
{
    struct lines *l = &s->lines;

    l->n = c->texts;
    l->start = xcalloc(c->texts + 1, sizeof *l->start);
    l->feature = xcalloc(c->n + 1, sizeof *l->feature);
    l->weight = xcalloc(c->n + 1, sizeof *l->weight);
    l->idf = xcalloc(s->vocabulary.n + 1, sizeof *l->idf);
    memcpy(l->start, c->start, (c->texts + 1) * sizeof *l->start);
    for (size_t i = 0; i < c->n; i++) {
        l->idf[c->p[i].feature] += 1;
    }
    for (size_t f = 0; f < s->vocabulary.n; f++) {
        l->idf[f] = logf((1 + (float)l->n) / (1 + l->idf[f])) + 1;
    }
    for (size_t line = 0; line < l->n; line++) {
        float square = 0;

        for (uint32_t i = l->start[line]; i < l->start[line + 1]; i++) {
            l->feature[i] = c->p[i].feature;
            l->weight[i] = (1 + logf((float)c->p[i].times)) * l->idf[c->p[i].feature];
            square += l->weight[i] * l->weight[i];
        }
        for (uint32_t i = l->start[line]; i < l->start[line + 1]; i++) {
            l->weight[i] /= sqrtf(square);
        }
    }
}

static uint32_t
vocabulary_add(struct vocabulary *v, uint64_t key)
{
    if (2 * (v->n + 1) > v->mask + 1 || v->n == 0) {
        struct vocabulary wider = {.mask = v->n ? 4 * (v->mask + 1) - 1 : 1023};

        wider.key = xcalloc(wider.mask + 1, sizeof *wider.key);
        wider.id = xcalloc(wider.mask + 1, sizeof *wider.id);
        wider.n = v->n;
        for (size_t i = 0; v->n && i <= v->mask; i++) {
            if (v->key[i]) {
                size_t at = v->key[i] & wider.mask;
                while (wider.key[at]) {
                    at = (at + 1) & wider.mask;
                }
                wider.key[at] = v->key[i];
                wider.id[at] = v->id[i];
            }
        }
        free(v->key);
        free(v->id);
        *v = wider;
    }
    size_t at = key & v->mask;
    while (v->key[at] && v->key[at] != key) {
        at = (at + 1) & v->mask;
    }
    if (!v->key[at]) {
        v->key[at] = key;
        v->id[at] = (uint32_t)v->n++;
    }
    return v->id[at];
}

static void
space_fini(struct space *s)
{
    free(s->vocabulary.key);
    free(s->vocabulary.id);
    free(s->postings.start);
    free(s->postings.passage);
    free(s->postings.weight);
    free(s->postings.idf);
    free(s->lines.start);
    free(s->lines.feature);
    free(s->lines.weight);
    free(s->lines.idf);
    learned_fini(&s->learned);
}

static float
idf_of(size_t texts, size_t with)
{
    return logf(1 + ((float)texts - (float)with + 0.5f) / ((float)with + 0.5f));
}
