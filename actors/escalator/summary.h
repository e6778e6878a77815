/* summary - a few lines that tell a person what it is about, before they read anything else. Pure.
 */
#ifndef ESCALATOR_SUMMARY_H
#define ESCALATOR_SUMMARY_H

#include "actors/escalator/reason.h"
#include "proto/buf.h"

#include <stddef.h>

struct summary {
    const struct reason *reason;
    struct str ref, channel;
    struct str name, email; /* of the customer; p NULL where unknown */
    struct str text;        /* the newest message */
    size_t messages;        /* in this unit */
    size_t history;         /* messages before it that are known, at most HISTORY_MESSAGES */
    bool has_sentiment, has_previous;
    double sentiment, previous;
    const msgpack_object *evidence; /* array of {rule, words}, or NULL */
    const msgpack_object *tried;    /* array of {query, hits, best}, or NULL */
    struct str note;                /* the agent's own summary; p NULL where there is none */
};

/* Appends the summary: lines of plain text. What the customer wrote stands in quotation marks, one
 * line, cut. */
void summary_write(const struct summary *s, struct buf *out);

/* The first `characters` characters of valid UTF-8 text: never a part of one. */
struct str summary_cut(struct str text, size_t characters);

#endif
