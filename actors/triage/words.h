/* words - a text cut into words and signs, so that rules and sentiment see the same thing whatever
 * the customer's keyboard made of it.
 *
 * Text is brought into compatibility form (NFKC: full-width and mathematical letters become plain
 * ones), invisible characters are taken out, typographic apostrophes become ', letters become
 * small. A word is a run of letters, marks and digits of any script; an apostrophe between letters
 * belongs to it ("don't"). Unlike Unicode's word boundaries (UAX #29) a full stop inside never
 * joins: customers write "refund.please". Addresses (URLs, e-mail) are one token each, of no
 * meaning: a link to /pricing asks no price.
 */
#ifndef ACTORS_TRIAGE_WORDS_H
#define ACTORS_TRIAGE_WORDS_H

#include "proto/buf.h"
#include "proto/str.h"

#include <stdbool.h>
#include <stddef.h>

#define WORDS_MAX_TEXT (64 * 1024) /* bytes of a text that are looked at */

enum word_kind {
    WORD_TEXT,    /* letters or digits */
    WORD_ADDRESS, /* a URL or e-mail address; its text is empty */
    WORD_SIGN,    /* an emoji (one code point, without modifiers) or an emoticon such as :-( */
    WORD_MARK,    /* one punctuation mark or symbol: "!" "," "..." */
};

struct word {
    struct str text; /* small letters, borrowed from the words */
    enum word_kind kind;
    bool capital;   /* written with a capital first and at least one small letter */
    bool shout;     /* two letters or more, all capitals */
    bool stretched; /* a letter stood three times or more in a row ("sooo"); text has two of it */
    bool blank_before; /* white space or the beginning stands before it */
    bool sentence;     /* the first token of a sentence */
};

struct words {
    struct word *v;
    size_t n;
    bool shouted;    /* most of its letters are capitals: then they stress nothing */
    size_t cap_;     /* private */
    struct buf text; /* private: what the words point at */
};

/* Cuts `text` (UTF-8; bytes that aren't are taken for blanks). Frees nothing of `ret` before: it is
 * to be {0} or used before, then its memory is used again. */
void words_cut(struct words *ret, struct str text);
void words_fini(struct words *w);

#endif
