/* channels - what an operator has set for each channel (table channel_configs), read again and
 * again so that a change needs no restart. */
#ifndef ACTORS_AGENT_CHANNELS_H
#define ACTORS_AGENT_CHANNELS_H

#include "db/pg.h"

#include <stddef.h>

struct channels;

/* Reads now and every ten seconds over `pg`, which must live longer than the last loop's turn.
 * Caller frees with channels_free(), after pg_close(). */
struct channels *channels_new(struct loop *loop, struct pg *pg);
void channels_free(struct channels **c_p);

/* Words that a reply on `channel` may have; 0 where nothing is set: the template's own. */
size_t channels_max_words(const struct channels *c, struct str channel);

#endif
