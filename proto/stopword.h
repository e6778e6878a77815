/* stopword - English words that say nothing of what a text is about: "the", "please", "how". */
#ifndef PROTO_STOPWORD_H
#define PROTO_STOPWORD_H

#include "proto/str.h"

#include <stdbool.h>

/* Letter case does not count; an apostrophe may be there or not ("don't", "dont"). */
bool stopword(struct str word);

#endif
