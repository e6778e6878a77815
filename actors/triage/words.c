#include "actors/triage/words.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unicase.h>
#include <unictype.h>
#include <uninorm.h>
#include <unistr.h>

/* Where a text is being read. */
struct cut {
    struct words *to;
    const char *p, *end;
    const char *line; /* start of the line */
    bool blank;       /* white space, or the beginning, stands before p */
    bool sentence;    /* the next token begins a sentence */
    size_t capitals, letters;
};

#define SHORT_LINE 50 /* bytes: a line this short isn't wrapped, so its end ends a sentence */

static void text_clean(struct str text, struct buf *ret);
static void cut_blank(struct cut *c);
static bool cut_address(struct cut *c);
static bool cut_emoticon(struct cut *c);
static bool cut_word(struct cut *c);
static void cut_mark(struct cut *c);
static struct word *word_add(struct cut *c, enum word_kind kind);
static void word_write(struct cut *c, struct word *w, const char *p, size_t n);

void
words_cut(struct words *ret, struct str text)
{
    struct buf clean = {0};
    const char *p;
    struct cut c;

    if (text.n > WORDS_MAX_TEXT)
        text.n = WORDS_MAX_TEXT;
    text_clean(text, &clean);
    p = buf_str(&clean).p;
    ret->n = 0;
    buf_clear(&ret->text);
    /* One small letter takes at most half as much again as its capital: nothing moves after this.
     */
    buf_reserve(&ret->text, clean.n * 2 + 16);
    c = (struct cut){.to = ret, .p = p, .end = p + clean.n, .line = p};
    c.blank = c.sentence = true;
    while (c.p < c.end) {
        cut_blank(&c);
        if (c.p < c.end && !cut_address(&c) && !cut_emoticon(&c) && !cut_word(&c))
            cut_mark(&c);
    }
    ret->shouted = c.letters >= 8 && c.capitals * 10 > c.letters * 6;
    buf_fini(&clean);
}

void
words_fini(struct words *w)
{
    free(w->v);
    buf_fini(&w->text);
    *w = (struct words){0};
}

/* --- cleaning -------------------------------------------------------------------------------- */

static bool
is_invisible(ucs4_t c)
{
    return c == 0xAD || c == 0x34F || c == 0x61C || (c >= 0x180B && c <= 0x180E) ||
           (c >= 0x200B && c <= 0x200F) || (c >= 0x202A && c <= 0x202E) ||
           (c >= 0x2060 && c <= 0x206F) || (c >= 0xFE00 && c <= 0xFE0F) || c == 0xFEFF ||
           (c >= 0x1F3FB && c <= 0x1F3FF) || (c >= 0xE0000 && c <= 0xE0FFF);
}

/* ' in its many printed forms; NFKC leaves them as they are */
static bool
is_apostrophe(ucs4_t c)
{
    return c == 0x2019 || c == 0x2018 || c == 0x201B || c == 0x2BC || c == 0x2BB || c == 0x60 ||
           c == 0xB4 || c == 0x2032 || c == 0xFF07;
}

/* Texts that come out of web pages carry these; only the few that change what is read. */
static size_t
entity(const char *p, const char *end, char *ret)
{
    static const struct {
        const char *name;
        char c;
    } entities[] = {{"&amp;", '&'},  {"&lt;", '<'},    {"&gt;", '>'},    {"&quot;", '"'},
                    {"&#39;", '\''}, {"&#039;", '\''}, {"&apos;", '\''}, {"&nbsp;", ' '}};

    for (size_t i = 0; i < sizeof entities / sizeof *entities; i++) {
        size_t n = strlen(entities[i].name);
        if ((size_t)(end - p) >= n && memcmp(p, entities[i].name, n) == 0) {
            *ret = entities[i].c;
            return n;
        }
    }
    return 0;
}

static void
add_clean(struct buf *ret, const char *p, size_t n)
{
    const char *end = p + n;

    while (p < end) {
        unsigned char byte = (unsigned char)*p;
        ucs4_t c = byte;
        int size = 1;
        char plain;
        size_t skip;

        if (byte >= 0x80)
            size = u8_mbtouc(&c, (const uint8_t *)p, (size_t)(end - p));
        if (c == '&' && (skip = entity(p, end, &plain)) > 0) {
            buf_add_byte(ret, plain);
            p += skip;
            continue;
        }
        if (c == 0xFFFD || c == 0)
            buf_add_byte(ret, ' ');
        else if (is_apostrophe(c))
            buf_add_byte(ret, '\'');
        else if (!is_invisible(c))
            buf_add(ret, p, (size_t)size);
        p += size;
    }
}

static void
text_clean(struct str text, struct buf *ret)
{
    struct buf valid = {0};
    size_t n = 0, i = 0;
    uint8_t *form;

    while (i < text.n && (unsigned char)text.p[i] < 0x80)
        i++;
    if (i == text.n) {
        add_clean(ret, text.p, text.n);
        return;
    }
    add_clean(&valid, text.p, text.n);
    form = u8_normalize(UNINORM_NFKC, (const uint8_t *)valid.p, valid.n, NULL, &n);
    if (form)
        add_clean(ret, (const char *)form, n);
    free(form);
    buf_fini(&valid);
}

/* --- cutting --------------------------------------------------------------------------------- */

static ucs4_t
peek(const char *p, const char *end, int *ret_size)
{
    ucs4_t c = 0;

    *ret_size = 0;
    if (p >= end)
        return 0;
    if ((unsigned char)*p < 0x80) {
        *ret_size = 1;
        return (unsigned char)*p;
    }
    *ret_size = u8_mbtouc(&c, (const uint8_t *)p, (size_t)(end - p));
    return c;
}

static bool
is_letter(ucs4_t c)
{
    if (c < 0x80)
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    return uc_is_property_alphabetic(c) || uc_is_general_category_withtable(c, UC_CATEGORY_MASK_M);
}

static bool
is_digit(ucs4_t c)
{
    return c < 0x80 ? c >= '0' && c <= '9'
                    : uc_is_general_category_withtable(c, UC_CATEGORY_MASK_N);
}

static bool
is_blank(ucs4_t c)
{
    return c < 0x80 ? c <= ' ' || c == 0x7F : uc_is_property_white_space(c);
}

static void
cut_blank(struct cut *c)
{
    int size;
    ucs4_t code;

    while ((code = peek(c->p, c->end, &size)), size > 0 && is_blank(code)) {
        if (code == '\n' || code == 0x2028 || code == 0x2029) {
            if (c->p - c->line < SHORT_LINE)
                c->sentence = true;
            c->line = c->p + size;
        }
        c->blank = true;
        c->p += size;
    }
}

static struct word *
word_add(struct cut *c, enum word_kind kind)
{
    struct words *to = c->to;
    struct word *w;

    if (to->n == to->cap_) {
        to->cap_ = to->cap_ ? to->cap_ * 2 : 64;
        to->v = xrealloc(to->v, to->cap_ * sizeof *to->v);
    }
    w = &to->v[to->n++];
    *w = (struct word){.kind = kind, .blank_before = c->blank, .sentence = c->sentence};
    w->text = (struct str){to->text.p + to->text.n, 0};
    c->blank = c->sentence = false;
    return w;
}

/* Writes the word's text in small letters and notes how it was written. */
static void
word_write(struct cut *c, struct word *w, const char *p, size_t n)
{
    size_t capitals = 0, smalls = 0, run = 0;
    const char *end = p + n;
    bool first = true;
    ucs4_t last = 0;

    while (p < end) {
        uint8_t out[6];
        int size, out_n;
        ucs4_t code = peek(p, end, &size);
        ucs4_t small =
            code < 0x80 ? (code >= 'A' && code <= 'Z' ? code + 32 : code) : uc_tolower(code);

        if (is_letter(code)) {
            bool capital = small != code;
            w->capital = w->capital || (first && capital);
            capitals += capital;
            smalls += !capital;
        }
        run = small == last && is_letter(code) ? run + 1 : 1;
        last = small;
        first = false;
        p += size;
        if (run > 2) {
            w->stretched = true;
            continue;
        }
        out_n = u8_uctomb(out, small, sizeof out);
        if (out_n > 0)
            buf_add(&c->to->text, out, (size_t)out_n);
    }
    w->text.n = (size_t)(c->to->text.p + c->to->text.n - w->text.p);
    w->shout = capitals >= 2 && smalls == 0;
    w->capital = w->capital && smalls > 0;
    c->capitals += capitals;
    c->letters += capitals + smalls;
}

static bool
starts_with(const char *p, const char *end, const char *what)
{
    size_t n = strlen(what);
    return (size_t)(end - p) >= n && strncasecmp(p, what, n) == 0;
}

static bool
is_address_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           strchr("._%+-", c) != NULL;
}

/* The length of an e-mail address at p, or 0. */
static size_t
mail_length(const char *p, const char *end)
{
    const char *at = p, *q, *dot = NULL;

    while (at < end && *at && is_address_char(*at))
        at++;
    if (at == p || at >= end || *at != '@')
        return 0;
    for (q = at + 1; q < end && *q && is_address_char(*q); q++)
        ;
    while (q > at && strchr("._%+-", q[-1]))
        q--;
    for (const char *c = at + 2; c < q; c++)
        dot = *c == '.' ? c : dot;
    return dot ? (size_t)(q - p) : 0;
}

static size_t
link_length(const char *p, const char *end)
{
    const char *q = p;
    bool scheme = starts_with(p, end, "http://") || starts_with(p, end, "https://") ||
                  starts_with(p, end, "www.") || starts_with(p, end, "ftp://");

    if (!scheme)
        return 0;
    while (q < end && !is_blank((unsigned char)*q) && !strchr("<>\"", *q))
        q++;
    while (q > p && strchr(".,;:!?)]'", q[-1]))
        q--;
    return (size_t)(q - p);
}

static bool
cut_address(struct cut *c)
{
    size_t n = link_length(c->p, c->end);

    if (n == 0)
        n = mail_length(c->p, c->end);
    if (n == 0 && c->blank && *c->p == '@') { /* @somebody */
        const char *q = c->p + 1;
        while (q < c->end && *q && (is_address_char(*q)))
            q++;
        n = q > c->p + 1 ? (size_t)(q - c->p) : 0;
    }
    if (n == 0)
        return false;
    word_add(c, WORD_ADDRESS);
    c->p += n;
    return true;
}

/* The mouth of an emoticon as it is written here, or 0. */
static char
mouth(char c)
{
    switch (c) {
    case ')':
    case ']':
    case '}':
    case '>':
        return ')';
    case '(':
    case '[':
    case '{':
    case '<':
    case 'c':
    case 'C':
        return '(';
    case 'd':
    case 'D':
        return 'd';
    case 'p':
    case 'P':
        return 'p';
    case 'o':
    case 'O':
        return 'o';
    case '/':
    case '\\':
        return '/';
    case '|':
    case '*':
    case '3':
    case '@':
    case '$':
        return c == '3' ? '*' : c == '@' || c == '$' ? '/' : c;
    default:
        return 0;
    }
}

struct face {
    const char *written, *text;
};

/* Faces that aren't eyes, nose and mouth in this order. */
static const struct face faces[] = {
    {"</3", "</3"}, {"<3", "<3"},   {"^_^", ":)"},  {"^.^", ":)"}, {"^^", ":)"},  {"-_-", ":|"},
    {"-.-", ":|"},  {"o_o", ":o"},  {"o.o", ":o"},  {"(:", ":)"},  {"(-:", ":)"}, {"(=", ":)"},
    {"(;", ";)"},   {">_<", ":("},  {"t_t", ":'("}, {"xd", ":d"},  {"x-d", ":d"}, {":3", ":)"},
    {">:(", ":("},  {">:-(", ":("}, {"d:", ":("},
};

/* Eyes, perhaps a tear and a nose, mouth: the form without nose goes to ret_text. */
static size_t
eyes_nose_mouth(const char *p, const char *end, char ret_text[4])
{
    const char *q = p + 1;
    bool tear = false;
    char m;

    if (*p != ':' && *p != ';' && *p != '=')
        return 0;
    if (q < end && (*q == '\'' || *q == ',')) {
        tear = true;
        q++;
    }
    if (q + 1 < end && strchr("-^~o", *q) && mouth(q[1]))
        q++;
    if (q >= end || !(m = mouth(*q)))
        return 0;
    /* letters and digits end a face only where nothing goes on after them */
    if ((is_letter((unsigned char)*q) || is_digit((unsigned char)*q)) && q + 1 < end &&
        (is_letter((unsigned char)q[1]) || is_digit((unsigned char)q[1])))
        return 0;
    while (q + 1 < end && q[1] == *q)
        q++;
    snprintf(ret_text, 4, "%c%s%c", *p == ';' ? ';' : ':', tear ? "'" : "", m);
    return (size_t)(q + 1 - p);
}

static bool
cut_emoticon(struct cut *c)
{
    char text[4] = "";
    size_t n = eyes_nose_mouth(c->p, c->end, text);
    struct word *w;

    for (size_t i = 0; n == 0 && c->blank && i < sizeof faces / sizeof *faces; i++) {
        size_t length = strlen(faces[i].written);
        const char *after = c->p + length;
        if (starts_with(c->p, c->end, faces[i].written) &&
            (after == c->end || is_blank((unsigned char)*after) || strchr(".,!?)", *after))) {
            snprintf(text, sizeof text, "%s", faces[i].text);
            n = length;
        }
    }
    if (n == 0)
        return false;
    w = word_add(c, WORD_SIGN);
    buf_add_c(&c->to->text, text);
    w->text.n = strlen(text);
    w->stretched = n > 4;
    c->p += n;
    return true;
}

/* The end of the word that begins at p, or p where none does. */
static const char *
word_end(const char *p, const char *end)
{
    bool letter = false, digit = false;
    int size;

    for (;;) {
        ucs4_t c = peek(p, end, &size), next;
        int next_size;

        if (size == 0)
            return p;
        if (is_letter(c) || is_digit(c)) {
            letter = is_letter(c);
            digit = !letter;
            p += size;
            continue;
        }
        next = peek(p + size, end, &next_size);
        if (letter && c == '\'' && is_letter(next))
            p += size;
        else if (digit && (c == '.' || c == ',') && next_size > 0 && is_digit(next))
            p += size;
        else
            return p;
    }
}

static bool
cut_word(struct cut *c)
{
    const char *end = word_end(c->p, c->end);

    if (end == c->p)
        return false;
    word_write(c, word_add(c, WORD_TEXT), c->p, (size_t)(end - c->p));
    c->p = end;
    return true;
}

static bool
is_emoji(ucs4_t c)
{
    return (c >= 0x1F000 && c <= 0x1FAFF) || (c >= 0x2600 && c <= 0x27BF) ||
           (c >= 0x2B00 && c <= 0x2BFF) || (c >= 0x231A && c <= 0x23FF);
}

static void
cut_mark(struct cut *c)
{
    int size;
    ucs4_t code = peek(c->p, c->end, &size);
    struct word *w = word_add(c, is_emoji(code) ? WORD_SIGN : WORD_MARK);

    buf_add(&c->to->text, c->p, (size_t)size);
    w->text.n = (size_t)size;
    c->p += size;
    if (code == '.' || code == '!' || code == '?' || code == 0x3002 || code == 0xFF01)
        c->sentence = true;
}
