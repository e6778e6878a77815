/* strategy - who makes a reply out of what was found: a row of a table (agent.c). */
#ifndef ACTORS_AGENT_STRATEGY_H
#define ACTORS_AGENT_STRATEGY_H

#include "actors/agent/turn.h"
#include "proto/runtime/actor.h"

/* The end of a composition, called once: `text` (borrowed) made of the hits that `used` marks; or
 * err: ERR_NOT_FOUND where nothing can be said (the turn escalates), any other to be tried again.
 */
typedef void strategy_done_fn(struct actor *self, void *arg, int err, struct str text,
                              const bool used[]);

typedef void strategy_fn(struct actor *self, const struct turn *t, strategy_done_fn *done,
                         void *arg);

struct strategy {
    const char *name;
    /* Makes a reply for a turn that has an answerable search, now or later. */
    strategy_fn *compose;
};

strategy_fn strategy_extractive;

#endif
