/* decide - whether a unit of messages needs a person at once, and why: the table of escalations
 * before any model sees the text. Pure: rules, lexicon and texts in, a decision out.
 */
#ifndef ACTORS_TRIAGE_DECIDE_H
#define ACTORS_TRIAGE_DECIDE_H

#include "actors/triage/courtesy.h"
#include "actors/triage/rules.h"
#include "actors/triage/sentiment.h"
#include "actors/triage/words.h"
#include "proto/envelope.h"

#include <stdbool.h>

#define DECIDE_NEGATIVE                                                                            \
    -0.3                   /* below it in two exchanges running: negative_sentiment (design 5)     \
                            */
#define DECIDE_SULKY -0.15 /* "ok :-(" is no courtesy */
#define DECIDE_MAX_HITS 8  /* rules that are named as evidence */

struct decider {
    struct rules *rules;
    struct lexicon *lexicon;
    struct words scratch, name; /* private */
};

/* What is known of a unit. */
struct decide_input {
    const char *channel; /* "webform", "email", "whatsapp" */
    const struct str *texts;
    size_t n;           /* 1..ENVELOPE_MAX_MESSAGES */
    struct str subject; /* as given with the first message, or empty; a "Re:" says nothing new */
    struct str name;    /* what the customer is called, or empty */
    bool human;         /* a person owns the conversation */
    bool has_previous;
    double previous; /* sentiment of the exchange before */
};

struct decision {
    double sentiment;                         /* of the unit: the mean of its messages */
    double sentiments[ENVELOPE_MAX_MESSAGES]; /* of each message */
    bool escalate;
    const char *reason; /* one of the codes of design 5, or NULL; static or of the rules */
    struct rules_hit hits[DECIDE_MAX_HITS]; /* the rules that fired, the deciding one first */
    size_t n_hits;
    enum courtesy courtesy; /* of what needs no person; else none */
    struct words words;     /* private: what the hits point at */
};

/* Loads the rules in the file `rules_path` ("": the built-in ones) and the lexicon. 0, or
 * ERR_INVALID with a line for each fault appended to ret_faults. */
int decider_init(struct decider *d, const char *rules_path, struct buf *ret_faults);
void decider_fini(struct decider *d);

/* Decides. `ret` is {0} or was used before: then its memory is used again. */
void decide(struct decider *d, const struct decide_input *in, struct decision *ret);
void decision_fini(struct decision *d);

/* Compiles a channel's name to the one that rules know: NULL for an unknown one. */
const char *decide_channel(struct str name);

#endif
