#include "proto/stopword.h"

#include <ctype.h>
#include <stdlib.h>

/* Sorted. */
static const char *const STOPWORDS[] = {
    "a",       "about",   "again",     "all",    "also",   "am",      "an",    "and",
    "any",     "anybody", "anyone",    "are",    "as",     "at",      "be",    "because",
    "been",    "being",   "but",       "by",     "can",    "cannot",  "cant",  "could",
    "dear",    "did",     "didnt",     "do",     "does",   "doesnt",  "doing", "done",
    "donot",   "dont",    "for",       "from",   "get",    "getting", "give",  "go",
    "going",   "good",    "got",       "had",    "has",    "hasnt",   "have",  "havent",
    "having",  "he",      "hello",     "help",   "her",    "here",    "hey",   "hi",
    "him",     "his",     "how",       "i",      "id",     "if",      "ill",   "im",
    "in",      "into",    "is",        "isnt",   "it",     "its",     "ive",   "just",
    "know",    "let",     "like",      "me",     "might",  "morning", "much",  "must",
    "my",      "need",    "no",        "not",    "now",    "of",      "off",   "oh",
    "ok",      "okay",    "on",        "one",    "or",     "our",     "out",   "over",
    "please",  "really",  "regards",   "should", "sir",    "so",      "some",  "somebody",
    "somehow", "someone", "something", "still",  "such",   "sure",    "tell",  "than",
    "thank",   "thanks",  "that",      "thats",  "the",    "their",   "them",  "then",
    "there",   "these",   "they",      "thing",  "things", "this",    "those", "to",
    "too",     "trying",  "us",        "very",   "want",   "was",     "we",    "were",
    "what",    "whats",   "when",      "where",  "which",  "while",   "who",   "why",
    "will",    "with",    "wont",      "would",  "yes",    "yet",     "you",   "your",
};

static int compare(const void *key, const void *entry);

bool
stopword(struct str word)
{
    char low[16];
    size_t n = 0;

    for (size_t i = 0; i < word.n; i++) {
        unsigned char c = (unsigned char)word.p[i];
        bool quote = c == '\'' || (c >= 0x80 && word.n - i >= 3 && memcmp(word.p + i, "’", 3) == 0);

        if (quote) {
            i += c == '\'' ? 0 : 2;
        } else if (n == sizeof low - 1 || c >= 0x80) {
            return false;
        } else {
            low[n++] = (char)tolower(c);
        }
    }
    low[n] = '\0';
    return bsearch(low, STOPWORDS, sizeof STOPWORDS / sizeof *STOPWORDS, sizeof *STOPWORDS,
                   compare) != NULL;
}

static int
compare(const void *key, const void *entry)
{
    return strcmp(key, *(const char *const *)entry);
}
