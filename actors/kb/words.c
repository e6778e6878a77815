#include "actors/kb/words.h"

#include <libstemmer.h>
#include <stdlib.h>
#include <unicase.h>
#include <unictype.h>
#include <uninorm.h>
#include <unistr.h>

struct word {
    uint32_t at, n; /* in text.bytes */
};

struct words {
    struct sb_stemmer *stemmer; /* owned */
    struct buf folded;          /* the whole text, folded */
    struct buf bytes;           /* the words, one behind the other */
    struct word *word;          /* owned */
    size_t n, cap;
};

/* What people type into chats for common words; both sides of a comparison are written out. */
static const struct {
    const char *typed, *meant;
} CHAT[] = {
    {"u", "you"},
    {"ur", "your"},
    {"r", "are"},
    {"pls", "please"},
    {"plz", "please"},
    {"plss", "please"},
    {"thx", "thanks"},
    {"ty", "thanks"},
    {"cant", "cannot"},
    {"wont", "willnot"},
    {"dont", "donot"},
    {"didnt", "didnot"},
    {"doesnt", "donot"},
    {"im", "i"},
    {"ive", "i"},
    {"wanna", "want"},
    {"gonna", "going"},
    {"wat", "what"},
    {"wht", "what"},
    {"whats", "what"},
    {"hw", "how"},
    {"acc", "account"},
    {"acct", "account"},
    {"msg", "message"},
    {"pic", "picture"},
    {"num", "number"},
    {"tmrw", "tomorrow"},
    {"info", "information"},
    {"pwd", "password"},
    {"docs", "documentation"},
    {"config", "configuration"},
};

static void fold(struct words *t, struct str s);
static void fold_unicode(struct words *t, struct str s);
static void split(struct words *t);
static void add_word(struct words *t, size_t at);
static void add_key(struct keys *k, uint64_t key);
static uint64_t hash(const char *p, size_t n, uint64_t seed);
static bool stands_alone(ucs4_t c);

struct words *
words_new(const char *language)
{
    struct sb_stemmer *stemmer = sb_stemmer_new(language, "UTF_8");

    if (!stemmer) {
        return NULL;
    }
    struct words *t = xcalloc(1, sizeof *t);
    t->stemmer = stemmer;
    return t;
}

void
words_free(struct words **t_p)
{
    struct words *t = *t_p;

    if (t) {
        sb_stemmer_delete(t->stemmer);
        buf_fini(&t->folded);
        buf_fini(&t->bytes);
        free(t->word);
        free(t);
        *t_p = NULL;
    }
}

void
words_read(struct words *t, struct str s)
{
    buf_clear(&t->folded);
    buf_clear(&t->bytes);
    t->n = 0;
    fold(t, s);
    split(t);
}

size_t
words_count(const struct words *t)
{
    return t->n;
}

struct str
words_at(const struct words *t, size_t i)
{
    return (struct str){.p = t->bytes.p + t->word[i].at, .n = t->word[i].n};
}

uint64_t
words_stem(struct words *t, size_t i)
{
    struct str w = words_at(t, i);
    const sb_symbol *p = sb_stemmer_stem(t->stemmer, (const sb_symbol *)w.p, (int)w.n);

    return p ? hash((const char *)p, (size_t)sb_stemmer_length(t->stemmer), 1) : hash(w.p, w.n, 1);
}

void
words_stems(struct words *t, struct keys *ret)
{
    ret->n = 0;
    for (size_t i = 0; i < t->n; i++) {
        add_key(ret, words_stem(t, i));
    }
}

void
words_grams(struct words *t, struct keys *ret)
{
    ret->n = 0;
    for (size_t i = 0; i < t->n; i++) {
        char padded[WORDS_MAX_WORD + 2];
        uint8_t at[WORDS_MAX_WORD + 3]; /* where each character begins */
        struct str w = words_at(t, i);
        size_t chars = 0;

        padded[0] = ' ';
        memcpy(padded + 1, w.p, w.n);
        padded[w.n + 1] = ' ';
        for (size_t b = 0; b < w.n + 2; b++) {
            if (((unsigned char)padded[b] & 0xc0) != 0x80) {
                at[chars++] = (uint8_t)b;
            }
        }
        at[chars] = (uint8_t)(w.n + 2);
        for (size_t n = WORDS_GRAM_MIN; n <= WORDS_GRAM_MAX; n++) {
            for (size_t c = 0; c + n <= chars; c++) {
                add_key(ret, hash(padded + at[c], (size_t)(at[c + n] - at[c]), 2));
            }
        }
    }
}

void
keys_fini(struct keys *k)
{
    free(k->key);
    *k = (struct keys){0};
}

/* Lower case, accents and compatibility forms away. ASCII, the common case, needs no library. */
static void
fold(struct words *t, struct str s)
{
    char *out = buf_reserve(&t->folded, s.n + 1);

    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];

        if (c >= 0x80) {
            fold_unicode(t, s);
            return;
        }
        out[i] = (char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
    }
    t->folded.n = s.n;
}

static void
fold_unicode(struct words *t, struct str s)
{
    uint8_t *clean = xmalloc(s.n + 1);
    size_t n = 0, rest = 0;

    for (size_t i = 0; i < s.n;) {
        ucs4_t c;
        int step = u8_mbtouc(&c, (const uint8_t *)s.p + i, s.n - i);

        if (c == 0xfffd && step != 3) { /* no UTF-8 */
            clean[n++] = ' ';
        } else {
            memcpy(clean + n, s.p + i, (size_t)step);
            n += (size_t)step;
        }
        i += (size_t)step;
    }
    uint8_t *low = u8_casefold(clean, n, NULL, UNINORM_NFKD, NULL, &rest);

    buf_clear(&t->folded);
    for (size_t i = 0; low && i < rest;) {
        ucs4_t c;
        int step = u8_mbtouc(&c, low + i, rest - i);

        if (c < 0x300 || c > 0x36f) {
            buf_add(&t->folded, low + i, (size_t)step);
        }
        i += (size_t)step;
    }
    free(low);
    free(clean);
}

static void
split(struct words *t)
{
    const uint8_t *p = (const uint8_t *)t->folded.p;
    size_t n = t->folded.n, at = 0;

    buf_reserve(&t->bytes, n + 1);
    for (size_t i = 0; i < n && t->n < WORDS_MAX;) {
        ucs4_t c = p[i];
        int step = 1;
        bool letter, alone = false, apostrophe = c == '\'' || c == '`';

        if (c < 0x80) {
            letter = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        } else {
            step = u8_mbtouc(&c, p + i, n - i);
            apostrophe = c == 0x2019 || c == 0x2bc;
            letter = !apostrophe &&
                     (uc_is_general_category_withtable(c, UC_CATEGORY_MASK_L | UC_CATEGORY_MASK_M |
                                                              UC_CATEGORY_MASK_N));
            alone = letter && stands_alone(c);
        }
        if (!letter || alone) {
            if (!(apostrophe && t->bytes.n > at)) {
                add_word(t, at);
                at = t->bytes.n;
            }
        }
        if (letter) {
            buf_add(&t->bytes, p + i, (size_t)step);
        }
        if (alone) {
            add_word(t, at);
            at = t->bytes.n;
        }
        i += (size_t)step;
    }
    add_word(t, at);
}

/* What stands in t->bytes from `at` on is a word. */
static void
add_word(struct words *t, size_t at)
{
    size_t n = t->bytes.n - at;

    if (n == 0 || t->n == WORDS_MAX) {
        return;
    }
    while (n > WORDS_MAX_WORD || (n == WORDS_MAX_WORD && (t->bytes.p[at + n - 1] & 0x80))) {
        n--;
    }
    struct str w = {.p = t->bytes.p + at, .n = n};
    for (size_t i = 0; n <= 6 && i < sizeof CHAT / sizeof *CHAT; i++) {
        if (str_is(w, CHAT[i].typed)) {
            at = t->bytes.n;
            buf_add_c(&t->bytes, CHAT[i].meant);
            n = t->bytes.n - at;
            break;
        }
    }
    if (t->n == t->cap) {
        t->cap = t->cap ? t->cap * 2 : 64;
        t->word = xrealloc(t->word, t->cap * sizeof *t->word);
    }
    t->word[t->n++] = (struct word){.at = (uint32_t)at, .n = (uint32_t)n};
}

/* Scripts that are written without blanks: each character counts as a word. */
static bool
stands_alone(ucs4_t c)
{
    return (c >= 0x3040 && c <= 0x30ff) || (c >= 0x3400 && c <= 0x9fff) ||
           (c >= 0xf900 && c <= 0xfaff) || (c >= 0x20000 && c <= 0x3ffff);
}

static void
add_key(struct keys *k, uint64_t key)
{
    if (k->n == k->cap) {
        k->cap = k->cap ? k->cap * 2 : 256;
        k->key = xrealloc(k->key, k->cap * sizeof *k->key);
    }
    k->key[k->n++] = key;
}

/* FNV-1a with a last stir: keys go into tables that use the low bits. Never 0. */
static uint64_t
hash(const char *p, size_t n, uint64_t seed)
{
    uint64_t h = 14695981039346656037ULL ^ seed;

    for (size_t i = 0; i < n; i++) {
        h = (h ^ (unsigned char)p[i]) * 1099511628211ULL;
    }
    h ^= h >> 32;
    h *= 0x9e3779b97f4a7c15ULL;
    h ^= h >> 29;
    return h ? h : 1;
}
