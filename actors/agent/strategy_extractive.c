#include "actors/agent/query.h"
#include "actors/agent/strategy.h"

/* Without a model: whole sentences of the passages, at once. */
void
strategy_extractive(struct actor *self, const struct turn *t, strategy_done_fn *done, void *arg)
{
    const struct compose_input in = {
        .channel = t->channel,
        .name = t->name,
        .ref = t->ref,
        .messages = t->messages,
        .questions = query_questions(t->message, t->messages),
        .max_words = t->max_words,
        .hit = t->hit,
        .n = t->hits,
    };
    bool used[TURN_MAX_HITS] = {false};
    struct buf text = {0};
    int err = compose(&in, &text, used);

    done(self, arg, err, buf_str(&text), used);
    buf_fini(&text);
}
