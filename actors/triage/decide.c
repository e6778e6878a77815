#include "actors/triage/decide.h"

#include "actors/triage/reply.h"
#include "proto/err.h"

#include <assert.h>
#include <string.h>
#include <strings.h>

int
decider_init(struct decider *d, const char *rules_path, struct buf *ret_faults)
{
    *d = (struct decider){.rules = rules_load(rules_path, ret_faults)};
    if (!d->rules)
        return ERR_INVALID;
    d->lexicon = lexicon_builtin();
    return 0;
}

void
decider_fini(struct decider *d)
{
    rules_free(&d->rules);
    lexicon_free(&d->lexicon);
    words_fini(&d->scratch);
    words_fini(&d->name);
}

void
decision_fini(struct decision *d)
{
    words_fini(&d->words);
}

const char *
decide_channel(struct str name)
{
    static const char *const channels[] = {"webform", "email", "whatsapp"};

    if (str_is(name, "web_form") || name.n == 0)
        return channels[0];
    for (size_t i = 0; i < sizeof channels / sizeof *channels; i++)
        if (str_is(name, channels[i]))
            return channels[i];
    return NULL;
}

/* A subject that a mail program has made of an older one. */
static bool
is_answer(struct str subject)
{
    static const char *const marks[] = {
        "re:", "aw:", "sv:", "antw:", "fw:", "fwd:", "wg:", "tr:", "rv:"};

    subject = str_trim(subject);
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++)
        if (subject.n >= strlen(marks[i]) &&
            strncasecmp(subject.p, marks[i], strlen(marks[i])) == 0)
            return true;
    return false;
}

/* Each message alone has a sentiment; the rules read the unit as one text, so that "cancel it" and
 * "my subscription" may come in two messages. */
static void
read_texts(struct decider *d, const struct decide_input *in, struct decision *ret)
{
    struct buf own = {0}, whole = {0};
    double sum = 0;

    if (in->subject.n > 0 && !is_answer(in->subject)) {
        buf_add_str(&whole, in->subject);
        buf_add_c(&whole, ".\n");
    }
    for (size_t i = 0; i < in->n; i++) {
        buf_clear(&own);
        reply_text(in->texts[i], &own);
        words_cut(&d->scratch, buf_str(&own));
        ret->sentiments[i] = sentiment_score(d->lexicon, &d->scratch);
        sum += ret->sentiments[i];
        buf_add_c(&whole, i ? ".\n" : "");
        buf_add_str(&whole, buf_str(&own));
    }
    ret->sentiment = sum / (double)in->n;
    words_cut(&ret->words, buf_str(&whole));
    buf_fini(&own);
    buf_fini(&whole);
}

void
decide(struct decider *d, const struct decide_input *in, struct decision *ret)
{
    assert(in->n > 0 && in->n <= ENVELOPE_MAX_MESSAGES);
    read_texts(d, in, ret);
    ret->n_hits = rules_match(d->rules, &ret->words, in->channel, ret->hits, DECIDE_MAX_HITS);
    if (in->human)
        ret->reason = "human_owned";
    else if (ret->n_hits > 0)
        ret->reason = ret->hits[0].reason;
    else if (in->has_previous && in->previous < DECIDE_NEGATIVE && ret->sentiment < DECIDE_NEGATIVE)
        ret->reason = "negative_sentiment";
    else
        ret->reason = NULL;
    ret->escalate = ret->reason != NULL;
    ret->courtesy = COURTESY_NONE;
    if (!ret->escalate && ret->sentiment > DECIDE_SULKY) {
        words_cut(&d->name, in->name);
        ret->courtesy = courtesy_of(&ret->words, &d->name);
    }
}
