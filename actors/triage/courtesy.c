#include "actors/triage/courtesy.h"

#include <stdint.h>
#include <string.h>

_Static_assert(COURTESY_MAX_WORDS < 64, "the places of a text are bits of a uint64_t");

/* What a phrase says. */
enum says {
    SAYS_HELLO = 1,
    SAYS_THANKS = 2, /* or that all is well */
    SAYS_BYE = 4,
    SAYS_MORE = 8, /* that something is still to be asked */
};

/* The phrases. (a b) is one of these words, [a b] one of these or nothing, a mark ? is one in the
 * text (all other marks are skipped). */
static const struct phrase {
    enum says says;
    const char *words;
} PHRASES[] = {
    {SAYS_HELLO, "(hello hi hey hiya heya howdy hallo helo greetings) [there] [again] "
                 "[all everyone everybody team folks guys support sir madam world]"},
    {SAYS_HELLO, "good (morning afternoon evening day) [to] [you] "
                 "[all everyone everybody team folks guys support sir madam world]"},
    {SAYS_HELLO,
     "dear [customer] (team support sir madam all service success) [team] [or] [madam]"},
    {SAYS_HELLO, "to whom it may concern"},
    {SAYS_HELLO, "how are (you things) [doing] [today] [?]"},
    {SAYS_HELLO, "[i] hope you are [doing] (well fine good)"},
    {SAYS_HELLO, "[i] hope (this all) [message email mail] [finds is] [you] well [with] [you]"},
    {SAYS_HELLO, "nice to meet you"},

    {SAYS_MORE, "[i we] [just] (have had got) (a another some) [quick small short simple] "
                "(question questions query request problem problems issue)"},
    {SAYS_MORE, "[a] [quick small short general] (question questions query) [please]"},
    {SAYS_MORE, "[i we i'm] [have] [got] [really] (need require want) [some your] "
                "(help assistance support) [please]"},
    {SAYS_MORE,
     "[can could would will] [you] [please pls] (help assist) [me us] [out] [please pls] [?]"},
    {SAYS_MORE, "(support assistance) [please pls] [?]"},
    {SAYS_MORE, "(is are) (you anyone anybody) (there here) [?]"},
    {SAYS_MORE, "(can could may) i [please] ask [you] [something] [a] [question] [?]"},
    {SAYS_MORE, "(test testing) [test testing message]"},
    {SAYS_MORE, "(this is) [is] [just only] a test [message]"},
    {SAYS_MORE, "[thanks] [thank] [you] in advance"},

    {SAYS_THANKS,
     "[many] (thanks thx thanx thnx tnx tks thankyou ty tysm cheers) [so] [very] [much] "
     "[a] [lot million ton bunch tons lots] [again] [all everyone team guys folks mate]"},
    {SAYS_THANKS,
     "[i] [just] [want wanted] [to] [say] thank (you u ya) [so] [very] [much kindly] [indeed] "
     "[again] [all everyone team guys folks]"},
    {SAYS_THANKS,
     "for [all] [of] (your the this that) [very] "
     "[kind quick fast prompt swift great good excellent helpful detailed clear] "
     "(help support reply response answer assistance time info information explanation effort "
     "efforts patience service advice)"},
    {SAYS_THANKS,
     "for (helping responding replying answering explaining) [me us that this it] [so] [very] "
     "[quickly fast promptly]"},
    {SAYS_THANKS, "for (everything that this it)"},
    {SAYS_THANKS, "for (getting coming writing) back to (me us) [so] [quickly fast promptly]"},
    {SAYS_THANKS,
     "(that this it everything all) [has] [just] [really] [now] (helped helps worked works) "
     "[me us out] [a] [lot perfectly fine well great nicely] [now again]"},
    {SAYS_THANKS,
     "(it's its that's everything's it everything all) [is] [now] "
     "(working fixed solved resolved running sorted) [fine well perfectly great] [now again]"},
    {SAYS_THANKS, "[my our the] (problem issue question) [is has] [been] [now] "
                  "(solved resolved fixed answered sorted)"},
    {SAYS_THANKS, "(that this it) [has] (answers answered) [all] my (question questions)"},
    {SAYS_THANKS, "[i we] [have] [just] (fixed solved found) (it that) [now]"},
    {SAYS_THANKS, "[i we] (got figured sorted worked) (it that) [out working sorted] [now]"},
    {SAYS_THANKS, "[i've we've] (got found) it [now]"},
    {SAYS_THANKS,
     "(that's that this it's it all) [is was] [very really so all just exactly] "
     "(great good perfect fine awesome helpful useful clear kind nice amazing excellent wonderful "
     "brilliant lovely cool) [now] [of] [you] [to] [know hear]"},
    {SAYS_THANKS, "(that's that this it's) [is was] [exactly just] what (i we) (needed wanted)"},
    {SAYS_THANKS, "(you you've you're) [have are were] [all] [been] [very really so most] "
                  "(helpful kind great awesome amazing wonderful)"},
    {SAYS_THANKS, "[very really so most extremely] (helpful useful kind)"},
    {SAYS_THANKS, "[it's] [very much greatly highly] [much] appreciated"},
    {SAYS_THANKS, "(i we) [really do very] [much] appreciate (it this that)"},
    {SAYS_THANKS, "[i we] [really do very] [much] appreciate (your the) [quick kind fast prompt] "
                  "(help support reply response answer assistance time effort)"},
    {SAYS_THANKS, "(i we) (love like) (it this that)"},
    {SAYS_THANKS,
     "[i'm we're] [i we] [am are] [very so really] (happy glad satisfied pleased) [with] "
     "[it this that] [now]"},
    {SAYS_THANKS,
     "(ok okay okey oki okidoki kk alright great perfect super superb awesome excellent brilliant "
     "cool nice good lovely wonderful fantastic amazing fine sure yay wow noted understood "
     "splendid "
     "gotcha roger) [then]"},
    {SAYS_THANKS, "[that it] sounds (good great perfect fine)"},
    {SAYS_THANKS, "[that it] makes sense [now]"},
    {SAYS_THANKS, "[i'm we're] all (good set clear done well) [now]"},
    {SAYS_THANKS, "(works worked) [perfectly fine well great nicely] [now again]"},
    {SAYS_THANKS, "(i we) (see understand)"},
    {SAYS_THANKS, "will do"},
    {SAYS_THANKS, "no (problem worries)"},
    {SAYS_THANKS, "never mind"},
    {SAYS_THANKS, "[that's that] [is was] all [for] [now today me]"},
    {SAYS_THANKS, "[i] [have] no [further more other] (questions question) [for] [now]"},
    {SAYS_THANKS, "nothing else [for] [now]"},
    {SAYS_THANKS, "(you're you) [are] [most very] welcome"},
    {SAYS_THANKS, "(well nicely) done"},
    {SAYS_THANKS, "(great good nice excellent awesome amazing fantastic) (job work service support "
                  "help answer)"},
    {SAYS_THANKS, "keep (it up) [up] [the] [good great] [work]"},

    {SAYS_BYE, "(bye goodbye ciao) [bye] [for] [now]"},
    {SAYS_BYE, "good (bye night)"},
    {SAYS_BYE, "[and] have a [very] (great nice good lovely wonderful) "
               "(day weekend evening afternoon morning week one time)"},
    {SAYS_BYE, "(see talk) [to] [you] (soon later)"},
    {SAYS_BYE, "take care"},
    {SAYS_BYE, "[and] [with] [kind best warm many] (regards wishes greetings)"},
    {SAYS_BYE, "yours (sincerely truly faithfully)"},
    {SAYS_BYE, "sincerely [yours]"},
};

static size_t read_text(const struct words *text, struct str ret[COURTESY_MAX_WORDS]);
static bool is_name(const struct words *name, struct str word);
static uint64_t phrase_ends(const char *words, const struct str *text, size_t n, size_t at);
static const char *element(const char *words, struct str word, bool *ret_has);
static enum courtesy sum_up(unsigned said);

/* Phrase by phrase: `said[i]` is what was said where a row of phrases ends before word i. What can
 * be read in two ways has said both. */
enum courtesy
courtesy_of(const struct words *text, const struct words *name)
{
    struct str word[COURTESY_MAX_WORDS];
    unsigned said[COURTESY_MAX_WORDS + 1] = {0};
    size_t n = read_text(text, word);

    for (size_t i = 0; i < n; i++) {
        if (i > 0 && !said[i]) {
            continue;
        }
        if (i > 0 && is_name(name, word[i])) {
            said[i + 1] |= said[i];
        }
        for (size_t p = 0; p < sizeof PHRASES / sizeof *PHRASES; p++) {
            uint64_t ends = phrase_ends(PHRASES[p].words, word, n, i);
            for (size_t end = i + 1; end <= n; end++) {
                if (ends >> end & 1) {
                    said[end] |= said[i] | (unsigned)PHRASES[p].says;
                }
            }
        }
    }
    return n > 0 ? sum_up(said[n]) : COURTESY_NONE;
}

const char *
courtesy_name(enum courtesy c)
{
    static const char *const names[] = {
        [COURTESY_NONE] = NULL, [COURTESY_THANKS] = "thanks", [COURTESY_GREETING] = "greeting"};

    return names[c];
}

/* The words and question marks; 0 where there is something that no phrase can hold. */
static size_t
read_text(const struct words *text, struct str ret[COURTESY_MAX_WORDS])
{
    size_t n = 0;

    for (size_t i = 0; i < text->n; i++) {
        const struct word *w = &text->v[i];
        bool counts = w->kind == WORD_TEXT || str_is(w->text, "?");

        if (w->kind == WORD_ADDRESS || (counts && n == COURTESY_MAX_WORDS)) {
            return 0;
        }
        if (counts) {
            ret[n++] = w->text;
        }
    }
    return n;
}

static bool
is_name(const struct words *name, struct str word)
{
    for (size_t i = 0; name && i < name->n; i++) {
        if (name->v[i].kind == WORD_TEXT && str_eq(name->v[i].text, word)) {
            return true;
        }
    }
    return false;
}

/* Bit i: the phrase may end before word i. No phrase is empty. */
static uint64_t
phrase_ends(const char *words, const struct str *text, size_t n, size_t at)
{
    uint64_t places = (uint64_t)1 << at;

    while (*words && places) {
        uint64_t next = *words == '[' ? places : 0;
        const char *rest = words;

        for (size_t i = at; i < n; i++) {
            bool has = false;
            if (places >> i & 1) {
                rest = element(words, text[i], &has);
            }
            next |= has ? (uint64_t)2 << i : 0;
        }
        /* A text that ends here: what is left of the phrase may be optional. */
        words = rest == words ? element(words, (struct str){0}, &(bool){false}) : rest;
        places = next;
    }
    return places & ~((uint64_t)1 << at);
}

/* Whether the first element of a phrase has the word, and where the next one begins. */
static const char *
element(const char *words, struct str word, bool *ret_has)
{
    bool group = *words == '(' || *words == '[';

    words += group;
    *ret_has = false;
    while (*words) {
        size_t n = strcspn(words, " )]");

        *ret_has |= n > 0 && n == word.n && memcmp(words, word.p, n) == 0;
        words += n;
        if (*words == ')' || *words == ']') {
            words++;
            break;
        }
        if (!group) {
            break;
        }
        words += *words == ' ';
    }
    return words + (*words == ' ');
}

static enum courtesy
sum_up(unsigned said)
{
    if (said & SAYS_MORE) {
        return COURTESY_GREETING;
    }
    if (said & SAYS_THANKS) {
        return COURTESY_THANKS;
    }
    if (said & SAYS_HELLO) {
        return COURTESY_GREETING;
    }
    return said ? COURTESY_THANKS : COURTESY_NONE;
}
