#include "actors/triage/lexicon.h"

#include "actors/triage/data.h"
#include "proto/err.h"
#include "proto/runtime/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#define STEM_MIN 3

struct slot {
    uint32_t hash;
    uint32_t entry; /* number + 1; 0: empty */
};

struct lexicon {
    struct lexicon_entry *v;
    size_t n, cap;
    struct slot *slots;
    size_t n_slots; /* a power of two */
};

static const struct {
    const char *name;
    enum lexicon_kind kind;
    bool number;
} kinds[] = {
    {"negate", LEXICON_NEGATE, false},
    {"but", LEXICON_BUT, false},
    {"degree", LEXICON_DEGREE, true},
};

static uint32_t
hash(const char *p, size_t n)
{
    uint32_t h = 2166136261U;

    for (size_t i = 0; i < n; i++)
        h = (h ^ (unsigned char)p[i]) * 16777619U;
    return h;
}

static struct lexicon_entry *
find(const struct lexicon *l, const char *p, size_t n)
{
    uint32_t h = hash(p, n);

    if (l->n_slots == 0)
        return NULL;
    for (size_t i = h & (l->n_slots - 1); l->slots[i].entry; i = (i + 1) & (l->n_slots - 1)) {
        struct lexicon_entry *e = &l->v[l->slots[i].entry - 1];
        if (l->slots[i].hash == h && strlen(e->text) == n && memcmp(e->text, p, n) == 0)
            return e;
    }
    return NULL;
}

static void
slots_grow(struct lexicon *l)
{
    free(l->slots);
    l->n_slots = l->n_slots ? l->n_slots * 2 : 1024;
    l->slots = xcalloc(l->n_slots, sizeof *l->slots);
    for (size_t k = 0; k < l->n; k++) {
        uint32_t h = hash(l->v[k].text, strlen(l->v[k].text));
        size_t i = h & (l->n_slots - 1);
        while (l->slots[i].entry)
            i = (i + 1) & (l->n_slots - 1);
        l->slots[i] = (struct slot){.hash = h, .entry = (uint32_t)(k + 1)};
    }
}

/* The entry for the text, made where it is new. */
static struct lexicon_entry *
entry(struct lexicon *l, const char *p, size_t n)
{
    struct lexicon_entry *e = find(l, p, n);
    size_t i;
    uint32_t h;

    if (e)
        return e;
    if (l->n == l->cap) {
        l->cap = l->cap ? l->cap * 2 : 1024;
        l->v = xrealloc(l->v, l->cap * sizeof *l->v);
    }
    if ((l->n + 1) * 2 > l->n_slots)
        slots_grow(l);
    e = &l->v[l->n++];
    *e = (struct lexicon_entry){.text = str_dup((struct str){p, n})};
    h = hash(p, n);
    i = h & (l->n_slots - 1);
    while (l->slots[i].entry)
        i = (i + 1) & (l->n_slots - 1);
    l->slots[i] = (struct slot){.hash = h, .entry = (uint32_t)l->n};
    return e;
}

/* --- reading --------------------------------------------------------------------------------- */

/* A word; or a phrase, its words joined by _ and without their apostrophes. */
static bool
read_item(struct lexicon *l, struct str item, enum lexicon_kind kind, double number)
{
    char key[LEXICON_MAX_KEY];
    size_t n = 0, words = 1;
    bool phrase = memchr(item.p + 1, '_', item.n - 1) != NULL && item.p[0] != '-';
    struct lexicon_entry *e;

    if (item.n >= sizeof key)
        return false;
    for (size_t i = 0; i < item.n; i++) {
        if (phrase && item.p[i] == '\'')
            continue;
        if (phrase && item.p[i] == '_') {
            struct lexicon_entry *first = entry(l, key, n);
            if (words == 1)
                first->begins = true;
            words++;
        }
        key[n++] = item.p[i];
    }
    if (words > LEXICON_MAX_PHRASE)
        return false;
    e = entry(l, key, n);
    e->kind = kind;
    e->number = number;
    return true;
}

static const char *
read_line(struct lexicon *l, struct str line)
{
    struct str head = str_take_word(&line);
    enum lexicon_kind kind = LEXICON_WEIGHT;
    double number = 0;
    bool wants = true;
    char text[32], *end;

    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (str_is(head, kinds[i].name)) {
            kind = kinds[i].kind;
            wants = kinds[i].number;
            if (wants)
                head = str_take_word(&line);
        }
    if (wants) {
        if (head.n == 0 || head.n >= sizeof text)
            return "a weight is missing; allowed: a number from -4 to 4, negate, but, degree "
                   "NUMBER";
        memcpy(text, head.p, head.n);
        text[head.n] = '\0';
        number = strtod(text, &end);
        if (*end || !(number >= -4 && number <= 4))
            return "bad weight; allowed: a number from -4 to 4, negate, but, degree NUMBER";
    }
    while (line.n > 0)
        if (!read_item(l, str_take_word(&line), kind, number))
            return "a word is too long, or a phrase has more than 5 words";
    return NULL;
}

struct lexicon *
lexicon_parse(struct str text, const char *name, struct buf *ret_faults)
{
    struct lexicon *l = xcalloc(1, sizeof *l);
    const char *at = text.p, *end = text.p + text.n;
    unsigned number = 0;
    bool ok = true;

    while (at < end) {
        const char *nl = memchr(at, '\n', (size_t)(end - at));
        struct str line = str_trim((struct str){at, (size_t)((nl ? nl : end) - at)});
        const char *why = NULL;

        number++;
        if (line.n > 0 && line.p[0] != '#')
            why = read_line(l, line);
        if (why) {
            buf_printf(ret_faults, "%s:%u: %s\n", name, number, why);
            ok = false;
        }
        at = nl ? nl + 1 : end;
    }
    if (!ok)
        lexicon_free(&l);
    return l;
}

struct lexicon *
lexicon_builtin(void)
{
    struct buf faults = {0};
    struct lexicon *l = lexicon_parse(data_lexicon(), "lexicon.txt", &faults);

    if (!l)
        log_fatal(EX_SOFTWARE, "lexicon", "why=%s", log_quote(buf_c(&faults)));
    return l;
}

void
lexicon_free(struct lexicon **l_p)
{
    struct lexicon *l = *l_p;

    if (!l)
        return;
    for (size_t i = 0; i < l->n; i++)
        free(l->v[i].text);
    free(l->v);
    free(l->slots);
    free(l);
    *l_p = NULL;
}

/* --- looking up ------------------------------------------------------------------------------ */

static bool
ends(const char *p, size_t n, const char *ending)
{
    size_t e = strlen(ending);
    return n > e + 1 && memcmp(p + n - e, ending, e) == 0;
}

/* p..p+n as it is, with an e, without a doubled letter, with y for i. */
static const struct lexicon_entry *
find_stem(const struct lexicon *l, const char *p, size_t n)
{
    const struct lexicon_entry *e;
    char other[LEXICON_MAX_KEY];

    if (n < STEM_MIN || n + 1 >= sizeof other)
        return NULL;
    if ((e = find(l, p, n)) && e->kind != LEXICON_NONE)
        return e;
    memcpy(other, p, n);
    other[n] = 'e';
    if ((e = find(l, other, n + 1)) && e->kind != LEXICON_NONE)
        return e;
    if (p[n - 1] == p[n - 2] && (e = find(l, p, n - 1)) && e->kind != LEXICON_NONE)
        return e;
    if (p[n - 1] == 'i') {
        other[n - 1] = 'y';
        if ((e = find(l, other, n)) && e->kind != LEXICON_NONE)
            return e;
    }
    return NULL;
}

/* Without "looove": every doubled letter once. */
static size_t
single_letters(const char *p, size_t n, char *ret)
{
    size_t out = 0;

    for (size_t i = 0; i < n; i++)
        if (i == 0 || p[i] != p[i - 1])
            ret[out++] = p[i];
    return out;
}

const struct lexicon_entry *
lexicon_word(const struct lexicon *l, const struct word *w)
{
    static const char *const endings[] = {"s",  "es", "ed",  "d", "ing",
                                          "ly", "er", "est", "r", "st"};
    const struct lexicon_entry *e = find(l, w->text.p, w->text.n);
    char text[LEXICON_MAX_KEY];
    size_t n = w->text.n;

    if (e && e->kind != LEXICON_NONE)
        return e;
    if (w->kind != WORD_TEXT || n >= sizeof text)
        return NULL;
    if (ends(w->text.p, n, "n't"))
        return find(l, "not", 3);
    memcpy(text, w->text.p, n);
    if (ends(text, n, "'s"))
        n -= 2;
    if (w->stretched && (e = find(l, text, single_letters(w->text.p, n, text))) &&
        e->kind != LEXICON_NONE)
        return e;
    memcpy(text, w->text.p, n);
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
        if (ends(text, n, endings[i]) && (e = find_stem(l, text, n - strlen(endings[i]))) &&
            e->kind == LEXICON_WEIGHT)
            return e;
    return NULL;
}

const struct lexicon_entry *
lexicon_phrase(const struct lexicon *l, const struct word *w, size_t max, size_t *ret_n)
{
    const struct lexicon_entry *best = NULL;
    char key[LEXICON_MAX_KEY];
    size_t n = 0;

    for (size_t i = 0; i < max && i < LEXICON_MAX_PHRASE; i++) {
        const struct lexicon_entry *e;
        if (w[i].kind != WORD_TEXT || n + w[i].text.n + 2 >= sizeof key)
            break;
        if (i > 0)
            key[n++] = '_';
        for (size_t k = 0; k < w[i].text.n; k++)
            if (w[i].text.p[k] != '\'')
                key[n++] = w[i].text.p[k];
        e = find(l, key, n);
        if (i == 0 && (!e || !e->begins))
            return NULL;
        if (i > 0 && e && e->kind != LEXICON_NONE) {
            best = e;
            *ret_n = i + 1;
        }
    }
    return best;
}
