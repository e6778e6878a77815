/* courtesy - whether a text is nothing but courtesy: "Thanks, that helped!", "Hello". Pure.
 *
 * A person in support doesn't look such a message up and doesn't hand it over: thanks are taken
 * with a line, who only greets is asked what it is about. So precision is all: the whole text must
 * be made of the phrases of one table (courtesy.c) and of the customer's own name. One other word,
 * a number, an address or a question mark that isn't of a phrase, and it is no courtesy.
 */
#ifndef ACTORS_TRIAGE_COURTESY_H
#define ACTORS_TRIAGE_COURTESY_H

#include "actors/triage/words.h"

#define COURTESY_MAX_WORDS 40 /* a longer text is about something */

enum courtesy {
    COURTESY_NONE,
    COURTESY_THANKS,   /* thanks, praise, "ok great", a farewell: nothing is asked or open */
    COURTESY_GREETING, /* "hello", "I have a question": what it is about is still to come */
};

/* What `text` is. `name` is what the customer is called, cut too; or NULL. */
enum courtesy courtesy_of(const struct words *text, const struct words *name);

/* "thanks", "greeting"; NULL for none. Static. */
const char *courtesy_name(enum courtesy c);

#endif
