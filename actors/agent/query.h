/* query - what is asked of the knowledge base for a customer's messages. Pure. */
#ifndef ACTORS_AGENT_QUERY_H
#define ACTORS_AGENT_QUERY_H

#include "proto/buf.h"
#include "proto/str.h"

#include <stdbool.h>
#include <stddef.h>

#define QUERY_MAX 1000 /* bytes of a query */

/* The first query: the customer's words, message by message, but for sentences that say nothing of
 * what it is about ("Hello!"), unless there is nothing else. */
void query_first(const struct str *messages, size_t n, struct buf *ret);

/* The second, always another one than `first`: the sentences that ask something (or all, where none
 * does) without the words that carry nothing, behind the subject. Where that is the first again:
 * behind the category; else behind the ticket's reference, which no knowledge base knows. */
void query_second(struct str subject, struct str category, struct str ref,
                  const struct str *messages, size_t n, struct str first, struct buf *ret);

/* How many things the messages ask: sentences with a question mark, each counted again where
 * another question follows in it ("and how ..."); without any, the messages. At least 1. */
size_t query_questions(const struct str *messages, size_t n);

/* True if both are the same question: letter case, blanks and punctuation do not count. */
bool query_same(struct str a, struct str b);

#endif
