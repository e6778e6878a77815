#include "actors/triage/reply.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define LINES_MAX 4096      /* lines that are looked at; the rest is kept as it is */
#define ATTRIBUTION_LINES 4 /* over so many lines "On ... wrote:" may be wrapped */
#define SIGNATURE_LINES 8   /* lines of a signature behind a closing formula */

struct lines {
    struct str *v; /* without their ends */
    size_t n;
    struct str rest; /* beyond LINES_MAX */
};

/* The verb of the line above a quotation, which ends with a colon. */
static const char *const wrote[] = {
    "wrote",    "writes",   "a écrit",    "a ecrit", "schrieb",      "geschrieben", "escribió",
    "escribio", "escreveu", "ha scritto", "schreef", "skrev",        "kirjoitti",   "napisał",
    "пишет",    "пише",     "написал",    "写道",    "のメッセージ", "작성",
};

/* Lines that a program puts between reply and quotation. */
static const char *const separators[] = {
    "original message",          "ursprüngliche nachricht", "originalnachricht",
    "message d'origine",         "message original",        "mensaje original",
    "mensagem original",         "messaggio originale",     "oorspronkelijk bericht",
    "originalmeddelande",        "forwarded message",       "reply message",
    "weitergeleitete nachricht", "reply above this line",   "write above this line",
};

/* The labels of a header block; the first is its begin, the others confirm it. */
static const char *const from_labels[] = {"from:", "von:", "de:", "de :",     "da:",     "van:",
                                          "från:", "fra:", "от:", "от кого:", "发件人:", "od:"};
static const char *const more_labels[] = {
    "sent:",    "date:",    "to:",       "subject:",   "gesendet:", "datum:",     "an:",
    "betreff:", "envoyé :", "envoyé:",   "à :",        "à:",        "objet :",    "objet:",
    "fecha:",   "para:",    "asunto:",   "enviado:",   "enviada:",  "assunto:",   "inviato:",
    "data:",    "a:",       "oggetto:",  "verzonden:", "aan:",      "onderwerp:", "skickat:",
    "till:",    "ämne:",    "sendt:",    "til:",       "emne:",     "cc:",        "дата:",
    "кому:",    "тема:",    "reply-to:", "发送时间:",  "收件人:",   "主题:",      "do:",
    "temat:",
};

/* The begin of a line that a telephone or a program adds. */
static const char *const mobile[] = {
    "sent from ",
    "sent via ",
    "sent using ",
    "sent with ",
    "sent by ",
    "get outlook for ",
    "von meinem iphone gesendet",
    "gesendet von ",
    "envoyé de mon ",
    "envoyé depuis ",
    "enviado desde mi ",
    "enviado do meu ",
    "inviato da ",
    "verzonden vanaf ",
    "skickat från ",
    "отправлено ",
    "from my iphone",
    "from my android",
};

/* Formulas before a name. */
static const char *const closings[] = {
    "regards",
    "best regards",
    "kind regards",
    "warm regards",
    "kindest regards",
    "best",
    "best wishes",
    "cheers",
    "sincerely",
    "yours sincerely",
    "sincerely yours",
    "yours",
    "yours truly",
    "yours faithfully",
    "respectfully",
    "thanks",
    "thank you",
    "many thanks",
    "thanks and regards",
    "thanks & regards",
    "with best regards",
    "with kind regards",
    "br",
    "rgds",
    "mit freundlichen grüßen",
    "cordialement",
    "saludos",
    "atentamente",
    "love",
};

static void lines_split(struct str text, struct lines *ret);
static bool is_quoted(struct str line);
static bool is_overflow(const struct lines *l, size_t i);
static size_t attribution(const struct lines *l, size_t i);
static bool is_separator(struct str line);
static bool is_framed(const struct lines *l, size_t i);
static bool is_header_block(const struct lines *l, size_t i);
static bool is_mobile_line(struct str line);
static size_t signature(const struct lines *l, const bool *kept);

#define COUNT(table) (sizeof(table) / sizeof *(table))

void
reply_text(struct str text, struct buf *ret)
{
    struct lines l = {0};
    bool *kept;
    size_t i, end;

    lines_split(text, &l);
    kept = xcalloc(l.n + 1, sizeof *kept);
    for (i = 0; i < l.n; i++) {
        size_t header = attribution(&l, i);
        if (header > 0) {
            size_t next = i + header;
            while (next < l.n && str_trim(l.v[next]).n == 0)
                next++;
            if (next < l.n && !is_quoted(l.v[next]))
                break; /* quoted without marks, to the end */
            i += header - 1;
            continue;
        }
        if (is_separator(l.v[i]) || is_framed(&l, i) || is_header_block(&l, i) ||
            str_is(l.v[i], "-- ") || str_is(l.v[i], "--"))
            break;
        kept[i] = !is_quoted(l.v[i]) && !is_overflow(&l, i) && !is_mobile_line(l.v[i]);
    }
    end = signature(&l, kept);
    for (size_t j = 0; j < end; j++) {
        if (!kept[j])
            continue;
        buf_add_str(ret, l.v[j]);
        buf_add_byte(ret, '\n');
    }
    if (i == l.n && end == l.n)
        buf_add_str(ret, l.rest);
    free(kept);
    free(l.v);
}

static void
lines_split(struct str text, struct lines *ret)
{
    const char *p = text.p, *end = text.p + text.n;
    size_t cap = 0;

    while (p < end && ret->n < LINES_MAX) {
        const char *nl = memchr(p, '\n', (size_t)(end - p));
        size_t n = (size_t)((nl ? nl : end) - p);

        if (ret->n == cap) {
            cap = cap ? cap * 2 : 32;
            ret->v = xrealloc(ret->v, cap * sizeof *ret->v);
        }
        ret->v[ret->n++] = (struct str){p, n > 0 && p[n - 1] == '\r' ? n - 1 : n};
        p = nl ? nl + 1 : end;
    }
    ret->rest = (struct str){p, (size_t)(end - p)};
}

static bool
starts(struct str s, const char *what)
{
    size_t n = strlen(what);
    return s.n >= n && strncasecmp(s.p, what, n) == 0;
}

static bool
ends(struct str s, const char *what)
{
    size_t n = strlen(what);
    return s.n >= n && strncasecmp(s.p + s.n - n, what, n) == 0;
}

static bool
starts_any(struct str s, const char *const *table, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (starts(s, table[i]))
            return true;
    return false;
}

/* Without blanks and without the marks of *bold* and _underlined_ text around it. */
static struct str
bare(struct str line)
{
    line = str_trim(line);
    while (line.n > 0 && (line.p[0] == '*' || line.p[0] == '_'))
        line = (struct str){line.p + 1, line.n - 1};
    while (line.n > 0 && (line.p[line.n - 1] == '*' || line.p[line.n - 1] == '_'))
        line.n--;
    return str_trim(line);
}

static bool
is_quoted(struct str line)
{
    line = str_trim(line);
    if (line.n == 0 || line.p[0] != '>')
        return false;
    /* an arrow or a face is no quotation: ">:(" */
    return !starts(line, ">:") && !starts(line, ">_<");
}

/* The tail of a quoted line that a program has wrapped: between two lines with marks. */
static bool
is_overflow(const struct lines *l, size_t i)
{
    return i > 0 && i + 1 < l->n && is_quoted(l->v[i - 1]) && l->v[i - 1].n >= 60 &&
           is_quoted(l->v[i + 1]) && str_trim(l->v[i]).n > 0;
}

/* True where what leads a quotation in stands in this text: a date, an address. */
static bool
names_source(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] == '@' || (s.p[i] >= '0' && s.p[i] <= '9'))
            return true;
    return false;
}

static bool
has_verb(struct str line)
{
    for (size_t i = 0; i < COUNT(wrote); i++) {
        size_t n = strlen(wrote[i]);
        for (size_t at = 0; at + n <= line.n; at++)
            if (strncasecmp(line.p + at, wrote[i], n) == 0)
                return true;
    }
    return false;
}

/* What a wrapped attribution begins with: a preposition, or a date. */
static bool
is_attribution_begin(struct str line)
{
    static const char *const begins[] = {
        "on ",     "le ",   "am ", "el ", "em ", "il ", "op ", "den ", "in data ",
        "w dniu ", "dnia ", "på ", "mon", "tue", "wed", "thu", "fri",  "sat",
        "sun",     "man",   "tir", "ons", "tor", "fre", "lør", "søn"};

    return starts_any(line, begins, COUNT(begins)) || (line.p[0] >= '0' && line.p[0] <= '9');
}

/* The number of lines of "On Monday, Joe <joe@example.com> wrote:" that begins at line i, or 0. */
static size_t
attribution(const struct lines *l, size_t i)
{
    struct str first = bare(l->v[i]);
    bool source = false, verb = false;

    if (first.n == 0 || is_quoted(first))
        return 0;
    for (size_t k = 0; k < ATTRIBUTION_LINES && i + k < l->n; k++) {
        struct str line = bare(l->v[i + k]);
        if (line.n == 0 || line.n > 300 || (k > 0 && is_quoted(line)))
            return 0;
        source = source || names_source(line);
        verb = verb || has_verb(line);
        if (source && verb && (line.p[line.n - 1] == ':' || ends(line, "：")))
            return k == 0 || is_attribution_begin(first) ? k + 1 : 0;
        /* 2013/3/12 Joe <joe@example.com>, with the quotation right below */
        if (k == 0 && ((line.p[line.n - 1] == '>') || ends(line, ">:")) &&
            memchr(line.p, '@', line.n) && line.p[0] >= '0' && line.p[0] <= '9' && i + 1 < l->n)
            return 1;
    }
    return 0;
}

/* "-----Original Message-----" and its translations. */
static bool
is_separator(struct str line)
{
    size_t dashes = 0;

    line = bare(line);
    if (line.n < 8 || line.n > 120)
        return false;
    while (dashes < line.n && strchr("-=#_ ", line.p[dashes]))
        dashes++;
    if (dashes < 2)
        return false;
    line = (struct str){line.p + dashes, line.n - dashes};
    for (size_t i = 0; i < COUNT(separators); i++)
        if (starts(line, separators[i]))
            return true;
    return false;
}

/* A text between dashes above a line with a label, in whatever language: "--- Original --- / From:"
 */
static bool
is_framed(const struct lines *l, size_t i)
{
    struct str line = str_trim(l->v[i]), next;
    size_t left = 0, right = 0;

    while (left < line.n && line.p[left] == '-')
        left++;
    while (right < line.n - left && line.p[line.n - 1 - right] == '-')
        right++;
    if (left < 4 || right < 4 || left + right >= line.n || i + 1 >= l->n)
        return false;
    next = bare(l->v[i + 1]);
    const char *colon = memchr(next.p, ':', next.n < 20 ? next.n : 20);
    return colon != NULL;
}

static bool
is_header_block(const struct lines *l, size_t i)
{
    size_t more = 0;

    if (!starts_any(bare(l->v[i]), from_labels, COUNT(from_labels)))
        return false;
    for (size_t k = i + 1; k < l->n && k <= i + 5; k++)
        if (starts_any(bare(l->v[k]), more_labels, COUNT(more_labels)))
            more++;
    return more >= 2;
}

static bool
is_mobile_line(struct str line)
{
    size_t blanks = 0;
    bool asks = false;

    line = bare(line);
    while (line.n > 0 && strchr("-<[(", line.p[0]))
        line = str_trim((struct str){line.p + 1, line.n - 1});
    if (line.n == 0 || line.n > 90 || !starts_any(line, mobile, COUNT(mobile)))
        return false;
    for (size_t i = 0; i < line.n; i++) {
        blanks += line.p[i] == ' ';
        asks = asks || line.p[i] == '?';
    }
    return blanks <= 6 && !asks;
}

/* --- signatures without "-- " ---------------------------------------------------------------- */

static bool
is_closing(struct str line)
{
    line = bare(line);
    while (line.n > 0 && strchr(",.!-", line.p[line.n - 1]))
        line.n--;
    line = str_trim(line);
    for (size_t i = 0; i < COUNT(closings); i++)
        if (line.n == strlen(closings[i]) && starts(line, closings[i]))
            return true;
    return false;
}

/* Names, titles, firms, addresses, numbers: every word begins with a capital, or it has no words. A
 * request has small letters in it. */
static bool
is_card_line(struct str line)
{
    static const char *const small[] = {"of", "and", "the", "at",  "for",
                                        "de", "van", "von", "der", "da"};
    bool begin = true;
    size_t words = 0;

    line = bare(line);
    if (line.n == 0 || line.n > 70)
        return line.n == 0;
    if (line.p[line.n - 1] == '?' || line.p[line.n - 1] == '!')
        return false;
    if (memchr(line.p, '@', line.n) || starts(line, "http") || starts(line, "www."))
        return true;
    for (size_t i = 0; i < line.n; i++) {
        unsigned char c = (unsigned char)line.p[i];
        if (!isalnum(c) && c < 0x80) {
            begin = begin || c == ' ' || c == '\t';
            continue;
        }
        if (!begin)
            continue;
        begin = false;
        words++;
        if (islower(c)) {
            struct str rest = {line.p + i, line.n - i};
            bool linking = false;
            for (size_t j = 0; j < COUNT(small); j++)
                linking = linking || (starts(rest, small[j]) && (rest.n == strlen(small[j]) ||
                                                                 rest.p[strlen(small[j])] == ' '));
            if (!linking)
                return false;
        }
    }
    return words <= 8;
}

/* The line at which the signature begins (behind the closing formula), or the number of lines. */
static size_t
signature(const struct lines *l, const bool *kept)
{
    size_t last = l->n, lines = 0;

    for (size_t i = l->n; i-- > 0;) {
        if (!kept[i] || str_trim(l->v[i]).n == 0)
            continue;
        if (is_closing(l->v[i]))
            return lines > 0 ? i + 1 : last;
        if (!is_card_line(l->v[i]) || ++lines > SIGNATURE_LINES)
            return last;
    }
    return last;
}
