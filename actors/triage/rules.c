#include "actors/triage/rules_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TOKEN_TERMS 6 /* terms that one word can be met by */
#define STEM_MIN 3    /* letters of a word before an ending is taken off */
#define NEAR_MIN 5    /* letters of a word that may be misspelt */
#define SET_BITS 64

/* A word of the message, and the terms that it meets. */
struct token {
    const struct word *word;
    uint16_t terms[TOKEN_TERMS];
    uint8_t n;
    bool sentence; /* begins a sentence */
    bool clause;   /* a comma or another mark stands before it */
    bool covered;
};

/* One match that is being looked for. */
struct search {
    const struct rules *rules;
    struct token *tokens;
    size_t n;
    bool covered_too; /* words that an exception covers count as well */
    size_t used[16];  /* tokens that words of the pattern met */
    size_t n_used;
    size_t base; /* of these, before the part at hand */
    size_t end;  /* the token behind the match */
};

static size_t tokens_make(const struct rules *r, const struct words *words, struct token *ret);
static void candidates_mark(const struct rules *r, const struct token *tokens, size_t n,
                            uint64_t *ret_marked);
static bool rule_match(const struct rules *r, const struct rule *rule, struct token *tokens,
                       size_t n, const uint64_t *marked, struct rules_hit *ret);
static bool part_find(struct search *s, const struct part *part);
static bool part_here(struct search *s, const struct part *part, size_t element, size_t at);

size_t
rules_match(const struct rules *r, const struct words *words, const char *channel,
            struct rules_hit *ret_hits, size_t max)
{
    struct token *tokens = xcalloc(words->n + 1, sizeof *tokens);
    uint64_t *marked = xcalloc(r->n_patterns / SET_BITS + 1, sizeof *marked);
    size_t n = tokens_make(r, words, tokens), hits = 0;
    unsigned bit = 0;

    while (rules_channels[bit] && strcmp(rules_channels[bit], channel) != 0)
        bit++;
    candidates_mark(r, tokens, n, marked);
    for (size_t i = 0; i < r->n && hits < max; i++)
        if ((r->rules[i].channels >> bit & 1) &&
            rule_match(r, &r->rules[i], tokens, n, marked, &ret_hits[hits]))
            hits++;
    free(marked);
    free(tokens);
    return hits;
}

/* --- words and terms ------------------------------------------------------------------------- */

uint32_t
rules_hash(const char *p, size_t n)
{
    uint32_t h = 2166136261U;

    for (size_t i = 0; i < n; i++)
        h = (h ^ (unsigned char)p[i]) * 16777619U;
    return h;
}

static bool
set_has(const struct termset *set, uint16_t term)
{
    size_t low = 0, high = set->n;

    while (low < high) {
        size_t middle = (low + high) / 2;
        if (set->v[middle] == term)
            return true;
        if (set->v[middle] < term)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}

/* Adds the terms that read p..p+n, in the forms that allow it. */
static void
token_add(const struct rules *r, struct token *t, const char *p, size_t n, bool inflected)
{
    uint32_t h = rules_hash(p, n);

    for (size_t i = h & (r->n_slots - 1); r->slots[i].term; i = (i + 1) & (r->n_slots - 1)) {
        const struct term *term = &r->terms[r->slots[i].term - 1];
        if (r->slots[i].hash != h || strlen(term->text) != n || memcmp(term->text, p, n) != 0)
            continue;
        if (inflected && term->form != TERM_INFLECTED)
            continue;
        if (term->form == TERM_CAPITAL && !t->word->capital)
            continue;
        if (t->n < TOKEN_TERMS)
            t->terms[t->n++] = (uint16_t)(r->slots[i].term - 1);
    }
}

static bool
ends(const char *p, size_t n, const char *ending)
{
    size_t e = strlen(ending);
    return n >= e && memcmp(p + n - e, ending, e) == 0;
}

/* p..p+n with an ending taken off: as it stands, with an e, without a doubled letter. */
static void
token_add_stem(const struct rules *r, struct token *t, const char *p, size_t n)
{
    char e[64];

    if (n < STEM_MIN - 1 || n + 1 >= sizeof e)
        return;
    memcpy(e, p, n);
    e[n] = 'e';
    token_add(r, t, e, n + 1, true);
    if (n < STEM_MIN)
        return;
    token_add(r, t, p, n, true);
    if (n > STEM_MIN && p[n - 1] == p[n - 2])
        token_add(r, t, p, n - 1, true);
}

/* Plural, third person, past, -ing, possessive. */
static void
token_inflections(const struct rules *r, struct token *t)
{
    const char *p = t->word->text.p;
    size_t n = t->word->text.n;
    char y[64];

    if (ends(p, n, "'s")) {
        n -= 2;
        token_add(r, t, p, n, true);
    }
    if (n <= STEM_MIN || n >= sizeof y)
        return;
    memcpy(y, p, n);
    if ((ends(p, n, "ies") || ends(p, n, "ied")) && n > STEM_MIN + 1) {
        y[n - 3] = 'y';
        token_add(r, t, y, n - 2, true);
    }
    if (ends(p, n, "s") && !ends(p, n, "ss"))
        token_add(r, t, p, n - 1, true);
    if (ends(p, n, "es"))
        token_add(r, t, p, n - 2, true);
    if (ends(p, n, "ed"))
        token_add_stem(r, t, p, n - 2);
    if (ends(p, n, "ing"))
        token_add_stem(r, t, p, n - 3);
    if (ends(p, n, "ings"))
        token_add_stem(r, t, p, n - 4);
}

/* True if one slip makes one of the other: a letter too many, too few or another, or two swapped.
 * The first letter is always right. */
static bool
one_slip(const char *a, size_t n, const char *b, size_t m)
{
    size_t i = 0, j = 0;

    if (n < NEAR_MIN || a[0] != b[0] || n > m + 1 || m > n + 1)
        return false;
    while (i < n && i < m && a[i] == b[i])
        i++;
    while (j < n - i && j < m - i && a[n - 1 - j] == b[m - 1 - j])
        j++;
    if (n == m && n - i - j == 2 && a[i] == b[i + 1] && a[i + 1] == b[i])
        return true;
    /* letters from outside ASCII: one slip is one byte too few for them, and that is well */
    return n - i - j <= 1 && m - i - j <= 1;
}

/* A word that is no word of ours, one slip away from one that is. */
static void
token_misspelt(const struct rules *r, struct token *t)
{
    static const char *const endings[] = {"", "s", "ed", "ing"};
    struct str word = t->word->text;
    char form[64];

    if (word.n < NEAR_MIN)
        return;
    for (uint16_t i = 0; i < r->n_terms; i++) {
        const char *text = r->terms[i].text;
        size_t n = strlen(text);
        if (!r->terms[i].near || text[0] != word.p[0] || n + 4 >= sizeof form)
            continue;
        for (size_t k = 0; k < 4; k++) {
            size_t stem = k >= 2 && text[n - 1] == 'e' ? n - 1 : n;
            int length = snprintf(form, sizeof form, "%.*s%s", (int)stem, text, endings[k]);
            if (one_slip(word.p, word.n, form, (size_t)length) && t->n < TOKEN_TERMS) {
                t->terms[t->n++] = i;
                break;
            }
        }
    }
}

/* Only words; of the marks between them remains whether they end a sentence or a clause. */
static size_t
tokens_make(const struct rules *r, const struct words *words, struct token *ret)
{
    bool sentence = true, clause = true;
    size_t n = 0;

    for (size_t i = 0; i < words->n; i++) {
        const struct word *w = &words->v[i];
        struct token *t = &ret[n];

        sentence = sentence || w->sentence;
        if (w->kind != WORD_TEXT) {
            clause = clause || (w->kind == WORD_MARK && strchr(",;:()!?.", w->text.p[0]));
            if (w->kind != WORD_ADDRESS)
                continue;
        }
        *t = (struct token){.word = w, .sentence = sentence, .clause = clause || sentence};
        sentence = clause = false;
        n++;
        if (w->kind == WORD_ADDRESS)
            continue;
        token_add(r, t, w->text.p, w->text.n, false);
        token_inflections(r, t);
        if (t->n == 0)
            token_misspelt(r, t);
    }
    return n;
}

static void
candidates_mark(const struct rules *r, const struct token *tokens, size_t n, uint64_t *ret_marked)
{
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < tokens[i].n; k++) {
            const struct anchor *anchor = &r->anchors[tokens[i].terms[k]];
            for (size_t j = 0; j < anchor->n; j++)
                ret_marked[anchor->patterns[j] / SET_BITS] |= 1ULL
                                                              << anchor->patterns[j] % SET_BITS;
        }
}

/* --- patterns -------------------------------------------------------------------------------- */

static bool
element_meets(const struct search *s, const struct element *e, const struct token *t)
{
    if (t->covered && !s->covered_too)
        return false;
    for (size_t i = 0; i < t->n; i++)
        if (set_has(&e->set, t->terms[i]))
            return true;
    return false;
}

static bool
is_joint(const struct search *s, const struct token *t)
{
    for (size_t i = 0; i < t->n; i++)
        if (set_has(&s->rules->joints, t->terms[i]))
            return true;
    return false;
}

/* Skips 0 to max words, the fewest first. */
static bool
gap_here(struct search *s, const struct part *part, size_t element, size_t at)
{
    const struct element *e = &part->v[element];

    for (unsigned skipped = 0;; skipped++) {
        if (part_here(s, part, element + 1, at))
            return true;
        if (skipped == e->max || at >= s->n || (at > 0 && s->tokens[at].sentence))
            return false;
        if (e->kind == ELEMENT_NEAR &&
            ((skipped > 0 && s->tokens[at].clause) || is_joint(s, &s->tokens[at])))
            return false;
        at++;
    }
}

/* True if the part's elements from `element` on stand at token `at`. */
static bool
part_here(struct search *s, const struct part *part, size_t element, size_t at)
{
    const struct element *e;

    if (element == part->n) {
        s->end = at;
        return true;
    }
    e = &part->v[element];
    switch (e->kind) {
    case ELEMENT_GAP:
    case ELEMENT_NEAR:
        return gap_here(s, part, element, at);
    case ELEMENT_BEGIN:
        return (at == 0 || at == s->n || s->tokens[at].sentence) &&
               part_here(s, part, element + 1, at);
    case ELEMENT_END:
        return (at == s->n || s->tokens[at].sentence) && part_here(s, part, element + 1, at);
    case ELEMENT_ANY:
    case ELEMENT_WORD:
        break;
    }
    /* words of one pattern stand in one sentence */
    bool inside = at < s->n && (s->n_used == s->base || !s->tokens[at].sentence);
    if (inside && (e->kind == ELEMENT_ANY || element_meets(s, e, &s->tokens[at]))) {
        size_t used = s->n_used;
        if (s->n_used < sizeof s->used / sizeof *s->used)
            s->used[s->n_used++] = at;
        if (part_here(s, part, element + 1, at + 1))
            return true;
        s->n_used = used;
    }
    return e->optional && part_here(s, part, element + 1, at);
}

/* Looks for the part anywhere. What earlier parts met stays part of the evidence. */
static bool
part_find(struct search *s, const struct part *part)
{
    s->base = s->n_used;
    for (size_t at = 0; at < s->n; at++) {
        s->n_used = s->base;
        if (part_here(s, part, 0, at))
            return true;
    }
    return false;
}

static bool
pattern_match(struct search *s, const struct pattern *p)
{
    s->n_used = 0;
    s->covered_too = p->use != PATTERN_MATCH;
    for (size_t i = 0; i < p->n; i++)
        if (!part_find(s, &p->parts[i]))
            return false;
    return true;
}

/* Covers every place at which the exception stands. */
static void
pattern_cover(struct search *s, const struct pattern *p)
{
    s->covered_too = true;
    for (size_t at = 0; at < s->n; at++) {
        s->n_used = s->base = 0;
        if (!part_here(s, &p->parts[0], 0, at))
            continue;
        for (size_t i = at; i < s->end; i++)
            s->tokens[i].covered = true;
    }
}

static bool
is_marked(const uint64_t *marked, size_t pattern)
{
    return marked[pattern / SET_BITS] >> pattern % SET_BITS & 1;
}

static bool
rule_match(const struct rules *r, const struct rule *rule, struct token *tokens, size_t n,
           const uint64_t *marked, struct rules_hit *ret)
{
    struct search s = {.rules = r, .tokens = tokens, .n = n};
    bool any = false;

    for (size_t i = 0; i < rule->n; i++)
        any =
            any || (rule->patterns[i].use != PATTERN_UNLESS && is_marked(marked, rule->first + i));
    if (!any)
        return false;
    for (size_t i = 0; i < n; i++)
        tokens[i].covered = false;
    for (size_t i = 0; i < rule->n; i++)
        if (rule->patterns[i].use == PATTERN_UNLESS && is_marked(marked, rule->first + i))
            pattern_cover(&s, &rule->patterns[i]);
    for (size_t i = 0; i < rule->n; i++) {
        if (rule->patterns[i].use == PATTERN_UNLESS || !is_marked(marked, rule->first + i) ||
            !pattern_match(&s, &rule->patterns[i]))
            continue;
        *ret = (struct rules_hit){.rule = rule->name, .reason = rule->reason};
        for (size_t k = 0; k < s.n_used && k < RULES_HIT_WORDS; k++)
            ret->words[ret->n++] = tokens[s.used[k]].word->text;
        return true;
    }
    return false;
}
