/* words - a customer's or an author's words in the form in which they are compared.
 *
 * Unicode: compatibility forms and accents are folded (NFKD without U+0300..U+036F), then case.
 * A word is a run of letters, digits and their marks; an apostrophe inside it falls away ("don't",
 * "dont"); an ideograph or kana stands alone. A few spellings of chats are written out ("pls").
 * Everything is written into memory that is used again for the next text.
 */
#ifndef ACTORS_KB_WORDS_H
#define ACTORS_KB_WORDS_H

#include "proto/buf.h"
#include "proto/str.h"

#include <stddef.h>
#include <stdint.h>

#define WORDS_MAX 4096    /* of one text; what follows is not looked at */
#define WORDS_MAX_WORD 64 /* bytes of a word that are looked at */
#define WORDS_GRAM_MIN 2  /* characters of the shortest piece of a word; a blank stands at both */
#define WORDS_GRAM_MAX 4  /* ends of the word */

/* Features of one text: a key for each word stem or n-gram, with repetitions. */
struct keys {
    uint64_t *key; /* owned */
    size_t n, cap;
};

struct words; /* the stemmer and scratch memory of one thread */

/* `language`: a name that Snowball knows ("english", "en"). NULL where it does not.
 * Caller frees with words_free(). */
struct words *words_new(const char *language);
void words_free(struct words **t_p);

/* Reads `s`; the four below then tell of it. Bytes that are no UTF-8 count as blanks. */
void words_read(struct words *t, struct str s);
size_t words_count(const struct words *t);
/* The word as it is compared, before stemming; borrowed until the next words_read(). */
struct str words_at(const struct words *t, size_t i);
/* One key for each word's stem / for each n-gram of each word; `ret` is overwritten. */
void words_stems(struct words *t, struct keys *ret);
void words_grams(struct words *t, struct keys *ret);

/* The stem's key of one word of the text. */
uint64_t words_stem(struct words *t, size_t i);

void keys_fini(struct keys *k);

#endif
