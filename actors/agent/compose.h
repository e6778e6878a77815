/* compose - a reply made of whole sentences of the knowledge base. Pure.
 *
 * Nothing is said of the product that a passage does not say; each passage is named. The frame
 * around it (greeting, ticket, closing) and the length are the channel's. A further passage is told
 * of only where it is nearly as good as the best, or where several things were asked and it has
 * words of the question that the better ones lack. Passages are plain text with one paragraph or
 * list item a line (actors/kb/passage.h).
 */
#ifndef ACTORS_AGENT_COMPOSE_H
#define ACTORS_AGENT_COMPOSE_H

#include "proto/buf.h"
#include "proto/str.h"

#include <stdbool.h>
#include <stddef.h>

#define COMPOSE_MAX_SOURCES 3
#define COMPOSE_MAX_NAME 60 /* bytes: a longer "name" is none */

struct compose_hit {
    struct str id, title, url, text;
    double score; /* falling */
    double adds;  /* 0..1: of the question's words, that this passage has and no better one */
    size_t at;    /* byte of `text` where the line nearest to the question begins */
};

struct compose_input {
    struct str channel;
    struct str name;  /* the customer's, may be empty */
    struct str ref;   /* of the ticket */
    size_t messages;  /* that are answered */
    size_t questions; /* that they ask (query_questions()) */
    size_t max_words; /* of the whole reply; 0 = the channel's own */
    const struct compose_hit *hit;
    size_t n;
};

/* Appends the reply to `ret` and tells which hits it was made of. 0, or ERR_NOT_FOUND where no
 * whole sentence fits or the channel has no template. */
int compose(const struct compose_input *in, struct buf *ret, bool ret_used[]);

/* Appends the channel's line for a message that is only courtesy: `courtesy` is what triage calls
 * it
 * ("thanks", "greeting"). The hits are not looked at. 0, or ERR_NOT_FOUND where the channel has no
 * such line. */
int compose_courtesy(const struct compose_input *in, struct str courtesy, struct buf *ret);

/* Appends what of `text` fits in `max_words`: whole sentences, from the line at byte `at` on where
 * not all of it fits. Words that it took. (compose() uses it; here for tests.) */
size_t compose_excerpt(struct str text, size_t at, size_t max_words, struct buf *ret);

/* Words of a text: what stands between blanks. */
size_t compose_words(struct str text);

#endif
