/* data - the texts that are built into the program (actors/triage/embed.sh), so that it finds them
 * wherever it is installed. */
#ifndef ACTORS_TRIAGE_DATA_H
#define ACTORS_TRIAGE_DATA_H

#include "proto/str.h"

/* triage.rules */
struct str data_triage_rules(void);
/* lexicon.txt */
struct str data_lexicon(void);

#endif
