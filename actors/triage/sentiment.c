#include "actors/triage/sentiment.h"

#include <stdlib.h>

struct lexicon {
    int n;
};

struct lexicon *
lexicon_parse(struct str text, const char *name, struct buf *ret_faults)
{
    (void)text;
    (void)name;
    (void)ret_faults;
    return xcalloc(1, sizeof(struct lexicon));
}

struct lexicon *
lexicon_builtin(void)
{
    return xcalloc(1, sizeof(struct lexicon));
}

void
lexicon_free(struct lexicon **l_p)
{
    free(*l_p);
    *l_p = NULL;
}

double
sentiment_score(const struct lexicon *l, const struct words *words)
{
    (void)l;
    (void)words;
    return 0;
}
