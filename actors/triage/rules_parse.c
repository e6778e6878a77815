#include "actors/triage/data.h"
#include "actors/triage/rules_private.h"
#include "proto/err.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TERMS_MAX 8000    /* words in all patterns and sets */
#define PATTERNS_MAX 8000 /* patterns in all rules */
#define GAP_DEFAULT 3     /* words that ... skips */
#define GAP_MAX 30
#define FAULT_MAX 400 /* bytes of a fault */

const char *const rules_channels[] = {"webform", "email", "whatsapp", NULL};

/* The reason codes of design 5 that words can give; the others come from elsewhere. */
static const char *const reasons[] = {
    "pricing_inquiry",      "refund_request",     "legal_issue",
    "cancellation_request", "customer_requested", NULL,
};

#define ALLOWED_KEYWORDS "allowed: use, set, rule, channel, match, always, unless"

struct named_set {
    char *name;
    struct termset terms;
};

/* A text that is being read. */
struct parser {
    struct rules *rules;
    struct buf *faults;
    const char *name;
    unsigned line;
    bool ok;
    bool used_default;
    struct rule *rule; /* the one that patterns belong to, or NULL */
    struct named_set *sets;
    size_t n_sets;
    size_t cap_terms, cap_slots;
};

typedef void line_fn(struct parser *p, struct str rest);
static void read_text(struct parser *p, struct str text, const char *name);
static void read_line(struct parser *p, struct str line);
static line_fn line_use, line_set, line_rule, line_channel, line_match, line_always, line_unless;
static void read_patterns(struct parser *p, struct str rest, enum pattern_use use);
static bool read_part(struct parser *p, struct str text, struct part *ret);
static void finish(struct parser *p);

static const struct {
    const char *keyword;
    line_fn *read;
} keywords[] = {
    {"use", line_use},         {"set", line_set},     {"rule", line_rule},
    {"channel", line_channel}, {"match", line_match}, {"always", line_always},
    {"unless", line_unless},
};

static void fault(struct parser *p, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void
fault(struct parser *p, const char *format, ...)
{
    char text[FAULT_MAX + 8]; /* what is cut off in the middle of a character isn't shown */
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    buf_printf(p->faults, "%s:%u: ", p->name, p->line);
    buf_add_shown(p->faults, str_of(text), FAULT_MAX);
    buf_add_byte(p->faults, '\n');
    p->ok = false;
}

struct rules *
rules_parse(struct str text, const char *name, struct buf *ret_faults)
{
    struct parser p = {.faults = ret_faults, .ok = true};

    p.rules = xcalloc(1, sizeof *p.rules);
    if (!str_is_text(text)) {
        buf_printf(ret_faults, "%s:1: isn't UTF-8 text\n", name);
        p.ok = false;
    } else {
        read_text(&p, text, name);
        if (p.ok && p.rules->n == 0)
            fault(&p, "has no rule: at least \"use default\" is needed");
        finish(&p);
    }
    for (size_t i = 0; i < p.n_sets; i++) {
        free(p.sets[i].name);
        free(p.sets[i].terms.v);
    }
    free(p.sets);
    if (!p.ok)
        rules_free(&p.rules);
    return p.rules;
}

struct rules *
rules_load(const char *path, struct buf *ret_faults)
{
    struct rules *r = NULL;
    struct buf text = {0};
    ssize_t got = 0;
    int fd;

    if (!path[0])
        return rules_parse(data_triage_rules(), "triage.rules", ret_faults);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        buf_printf(ret_faults, "%s: %s\n", path, strerror(errno));
        return NULL;
    }
    while (text.n <= RULES_MAX_FILE && (got = read(fd, buf_reserve(&text, 8192), 8192)) > 0)
        text.n += (size_t)got;
    if (got < 0)
        buf_printf(ret_faults, "%s: %s\n", path, strerror(errno));
    else if (text.n > RULES_MAX_FILE)
        buf_printf(ret_faults, "%s: is larger than %d bytes\n", path, RULES_MAX_FILE);
    else
        r = rules_parse(buf_str(&text), path, ret_faults);
    close(fd);
    buf_fini(&text);
    return r;
}

void
rules_free(struct rules **r_p)
{
    struct rules *r = *r_p;

    if (!r)
        return;
    for (size_t i = 0; i < r->n; i++) {
        struct rule *rule = &r->rules[i];
        for (size_t j = 0; j < rule->n; j++) {
            for (size_t k = 0; k < rule->patterns[j].n; k++) {
                struct part *part = &rule->patterns[j].parts[k];
                for (size_t e = 0; e < part->n; e++)
                    free(part->v[e].set.v);
                free(part->v);
            }
            free(rule->patterns[j].parts);
        }
        free(rule->patterns);
        free(rule->name);
    }
    for (size_t i = 0; i < r->n_terms; i++) {
        free(r->terms[i].text);
        if (r->anchors)
            free(r->anchors[i].patterns);
    }
    free(r->rules);
    free(r->terms);
    free(r->anchors);
    free(r->slots);
    free(r->joints.v);
    free(r);
    *r_p = NULL;
}

/* --- lines ----------------------------------------------------------------------------------- */

static void
read_text(struct parser *p, struct str text, const char *name)
{
    const char *at = text.p, *end = text.p + text.n;

    p->name = name;
    p->line = 1;
    while (at < end) {
        const char *nl = memchr(at, '\n', (size_t)(end - at));
        struct str line = {at, (size_t)((nl ? nl : end) - at)};
        const char *comment = memchr(line.p, '#', line.n);

        if (comment)
            line.n = (size_t)(comment - line.p);
        read_line(p, str_trim(line));
        at = nl ? nl + 1 : end;
        p->line += nl && at < end;
    }
}

static void
read_line(struct parser *p, struct str line)
{
    struct str keyword = str_take_word(&line);

    if (keyword.n == 0)
        return;
    for (size_t i = 0; i < sizeof keywords / sizeof *keywords; i++)
        if (str_is(keyword, keywords[i].keyword)) {
            keywords[i].read(p, line);
            return;
        }
    fault(p, "unknown keyword \"%.*s\"; " ALLOWED_KEYWORDS, STR_ARG(keyword));
}

static void
line_use(struct parser *p, struct str rest)
{
    const char *name = p->name;
    unsigned line = p->line;

    if (!str_is(rest, "default")) {
        fault(p, "can't use \"%.*s\"; allowed: use default", STR_ARG(rest));
        return;
    }
    if (p->used_default || data_triage_rules().n == 0) {
        fault(p, "the built-in rules are already used");
        return;
    }
    p->used_default = true;
    p->rule = NULL;
    read_text(p, data_triage_rules(), "triage.rules");
    p->rule = NULL;
    p->name = name;
    p->line = line;
}

static const char *
find_reason(struct str name)
{
    for (size_t i = 0; reasons[i]; i++)
        if (str_is(name, reasons[i]))
            return reasons[i];
    return NULL;
}

static void
line_rule(struct parser *p, struct str rest)
{
    struct rules *r = p->rules;
    struct str name = str_take_word(&rest), reason = str_take_word(&rest);
    const char *code = find_reason(reason);

    p->rule = NULL;
    if (name.n == 0 || reason.n == 0 || rest.n > 0) {
        fault(p, "a rule has a name and a reason: rule NAME REASON");
        return;
    }
    if (!code) {
        fault(p,
              "unknown reason \"%.*s\"; allowed: pricing_inquiry, refund_request, legal_issue, "
              "cancellation_request, customer_requested",
              STR_ARG(reason));
        return;
    }
    for (size_t i = 0; i < r->n; i++)
        if (str_is(name, r->rules[i].name)) {
            fault(p, "there is already a rule \"%.*s\"", STR_ARG(name));
            return;
        }
    r->rules = xrealloc(r->rules, (r->n + 1) * sizeof *r->rules);
    p->rule = &r->rules[r->n++];
    *p->rule = (struct rule){.name = str_dup(name), .reason = code, .channels = ~0U};
}

static bool
in_rule(struct parser *p, const char *keyword)
{
    if (!p->rule)
        fault(p, "\"%s\" stands before the first rule", keyword);
    return p->rule != NULL;
}

static void
line_channel(struct parser *p, struct str rest)
{
    unsigned channels = 0;

    if (!in_rule(p, "channel"))
        return;
    while (rest.n > 0) {
        struct str name = str_take_word(&rest);
        unsigned bit = 0;
        while (rules_channels[bit] && !str_is(name, rules_channels[bit]))
            bit++;
        if (!rules_channels[bit]) {
            fault(p, "unknown channel \"%.*s\"; allowed: webform, email, whatsapp", STR_ARG(name));
            return;
        }
        channels |= 1U << bit;
    }
    if (channels == 0)
        fault(p, "no channel is named; allowed: webform, email, whatsapp");
    p->rule->channels = channels;
}

static void
line_match(struct parser *p, struct str rest)
{
    if (in_rule(p, "match"))
        read_patterns(p, rest, PATTERN_MATCH);
}

static void
line_always(struct parser *p, struct str rest)
{
    if (in_rule(p, "always"))
        read_patterns(p, rest, PATTERN_ALWAYS);
}

static void
line_unless(struct parser *p, struct str rest)
{
    if (in_rule(p, "unless"))
        read_patterns(p, rest, PATTERN_UNLESS);
}

/* --- terms and sets -------------------------------------------------------------------------- */

static void
set_add(struct termset *set, uint16_t term)
{
    size_t at = set->n;

    while (at > 0 && set->v[at - 1] >= term) {
        if (set->v[at - 1] == term)
            return;
        at--;
    }
    set->v = xrealloc(set->v, (set->n + 1) * sizeof *set->v);
    memmove(set->v + at + 1, set->v + at, (set->n - at) * sizeof *set->v);
    set->v[at] = term;
    set->n++;
}

/* The number of the term, which is made where it is new. */
static uint16_t
term_number(struct parser *p, struct str text, enum term_form form, bool near)
{
    struct rules *r = p->rules;

    for (size_t i = 0; i < r->n_terms; i++)
        if (r->terms[i].form == form && r->terms[i].near == near && str_is(text, r->terms[i].text))
            return (uint16_t)i;
    if (r->n_terms == p->cap_terms) {
        p->cap_terms = p->cap_terms ? p->cap_terms * 2 : 256;
        r->terms = xrealloc(r->terms, p->cap_terms * sizeof *r->terms);
    }
    r->terms[r->n_terms] = (struct term){.text = str_dup(text), .form = form, .near = near};
    return (uint16_t)r->n_terms++;
}

/* Adds one word as it stands in a pattern: word, =word, ~word, Word, @set. */
static bool
set_add_word(struct parser *p, struct termset *set, struct str word)
{
    enum term_form form = TERM_INFLECTED;
    bool near = false, ok = false;
    struct words cut = {0};

    if (word.p[0] == '@') {
        struct str name = {word.p + 1, word.n - 1};
        for (size_t i = 0; i < p->n_sets; i++) {
            if (!str_is(name, p->sets[i].name))
                continue;
            for (size_t k = 0; k < p->sets[i].terms.n; k++)
                set_add(set, p->sets[i].terms.v[k]);
            return true;
        }
        fault(p, "there is no set \"%.*s\" above this line", STR_ARG(word));
        return false;
    }
    if (word.p[0] == '=' || word.p[0] == '~') {
        form = word.p[0] == '=' ? TERM_EXACT : TERM_INFLECTED;
        near = word.p[0] == '~';
        word = (struct str){word.p + 1, word.n - 1};
    }
    words_cut(&cut, word);
    if (cut.n != 1 || cut.v[0].kind != WORD_TEXT)
        fault(p, "\"%.*s\" isn't one word", STR_ARG(word));
    else if (p->rules->n_terms >= TERMS_MAX)
        fault(p, "there are more than %d words", TERMS_MAX);
    else {
        if (cut.v[0].capital)
            form = TERM_CAPITAL;
        set_add(set, term_number(p, cut.v[0].text, form, near));
        ok = true;
    }
    words_fini(&cut);
    return ok;
}

static bool
set_add_words(struct parser *p, struct termset *set, struct str words)
{
    while (words.n > 0)
        if (!set_add_word(p, set, str_take_word(&words)))
            return false;
    return true;
}

static void
line_set(struct parser *p, struct str rest)
{
    struct str name = str_take_word(&rest), is = str_take_word(&rest);
    struct named_set *set = NULL;

    p->rule = NULL;
    if (name.n == 0 || !str_is(is, "=") || rest.n == 0) {
        fault(p, "a set has a name and words: set NAME = WORD...");
        return;
    }
    for (size_t i = 0; i < p->n_sets; i++)
        if (str_is(name, p->sets[i].name))
            set = &p->sets[i]; /* more words for it */
    if (!set) {
        p->sets = xrealloc(p->sets, (p->n_sets + 1) * sizeof *p->sets);
        set = &p->sets[p->n_sets++];
        *set = (struct named_set){.name = str_dup(name)};
    }
    set_add_words(p, &set->terms, rest);
}

/* --- patterns -------------------------------------------------------------------------------- */

/* The text up to `mark`, trimmed; *rest begins behind it. */
static struct str
next_piece(struct str *rest, char mark)
{
    const char *at = memchr(rest->p, mark, rest->n);
    struct str piece = {rest->p, at ? (size_t)(at - rest->p) : rest->n};

    *rest = at ? (struct str){at + 1, rest->n - piece.n - 1} : (struct str){rest->p + rest->n, 0};
    return str_trim(piece);
}

static void
read_patterns(struct parser *p, struct str rest, enum pattern_use use)
{
    struct rule *rule = p->rule;

    if (rest.n == 0)
        fault(p, "a pattern is missing");
    while (rest.n > 0) {
        struct str alternative = next_piece(&rest, '|');
        struct pattern *pattern;

        if (p->rules->n_patterns++ >= PATTERNS_MAX) {
            fault(p, "there are more than %d patterns", PATTERNS_MAX);
            return;
        }
        rule->patterns = xrealloc(rule->patterns, (rule->n + 1) * sizeof *rule->patterns);
        pattern = &rule->patterns[rule->n++];
        *pattern = (struct pattern){.use = use};
        do {
            struct str part = next_piece(&alternative, '&');
            pattern->parts = xrealloc(pattern->parts, (pattern->n + 1) * sizeof *pattern->parts);
            pattern->parts[pattern->n] = (struct part){0};
            if (!read_part(p, part, &pattern->parts[pattern->n++]))
                return;
        } while (alternative.n > 0);
        if (use == PATTERN_UNLESS && pattern->n > 1)
            fault(p, "an exception can't have \"&\": it covers the words that it spans");
    }
}

static bool
read_gap(struct parser *p, struct str word, struct element *ret)
{
    size_t dots = 0;
    long long max = GAP_DEFAULT;

    while (dots < word.n && word.p[dots] == '.')
        dots++;
    struct str number = {word.p + dots, word.n - dots};
    if ((dots != 2 && dots != 3) || (number.n > 0 && str_int(number, 1, GAP_MAX, &max))) {
        fault(p, "\"%.*s\" isn't a gap; allowed: ... or .. with a number from 1 to %d",
              STR_ARG(word), GAP_MAX);
        return false;
    }
    *ret = (struct element){.kind = dots == 3 ? ELEMENT_GAP : ELEMENT_NEAR, .max = (unsigned)max};
    return true;
}

/* One element; what is between brackets is one. */
static bool
read_element(struct parser *p, struct str *rest, struct element *ret)
{
    char open = rest->p[0];
    struct str word;

    if (open == '(' || open == '[') {
        const char *close = memchr(rest->p, open == '(' ? ')' : ']', rest->n);
        if (!close) {
            fault(p, "a \"%c\" isn't closed", open);
            return false;
        }
        word = str_trim((struct str){rest->p + 1, (size_t)(close - rest->p) - 1});
        *rest = str_trim((struct str){close + 1, rest->n - (size_t)(close + 1 - rest->p)});
        *ret = (struct element){.kind = ELEMENT_WORD, .optional = open == '['};
        if (word.n > 0)
            return set_add_words(p, &ret->set, word);
        fault(p, "there is nothing between the brackets");
        return false;
    }
    word = str_take_word(rest);
    if (word.p[0] == '.')
        return read_gap(p, word, ret);
    if (str_is(word, "*") || str_is(word, "^") || str_is(word, "$")) {
        ret->kind = word.p[0] == '*' ? ELEMENT_ANY : word.p[0] == '^' ? ELEMENT_BEGIN : ELEMENT_END;
        return true;
    }
    *ret = (struct element){.kind = ELEMENT_WORD};
    return set_add_word(p, &ret->set, word);
}

static bool
read_part(struct parser *p, struct str text, struct part *ret)
{
    bool anchored = false;

    while (text.n > 0) {
        struct element e = {0};
        bool ok = read_element(p, &text, &e);

        ret->v = xrealloc(ret->v, (ret->n + 1) * sizeof *ret->v);
        ret->v[ret->n++] = e;
        if (!ok)
            return false;
        anchored = anchored || (e.kind == ELEMENT_WORD && !e.optional);
    }
    if (!anchored) {
        fault(p, "a pattern needs a word that must be there");
        return false;
    }
    if (ret->v[0].kind == ELEMENT_GAP || ret->v[0].kind == ELEMENT_NEAR) {
        fault(p, "a pattern can't begin with a gap");
        return false;
    }
    return true;
}

/* --- finishing ------------------------------------------------------------------------------- */

static void
anchor_pattern(struct rules *r, const struct pattern *pattern, uint16_t number)
{
    const struct part *part = &pattern->parts[0];
    size_t i = 0;

    while (part->v[i].kind != ELEMENT_WORD || part->v[i].optional)
        i++;
    for (size_t k = 0; k < part->v[i].set.n; k++) {
        struct anchor *anchor = &r->anchors[part->v[i].set.v[k]];
        anchor->patterns = xrealloc(anchor->patterns, (anchor->n + 1) * sizeof *anchor->patterns);
        anchor->patterns[anchor->n++] = number;
    }
}

static void
fill_slots(struct rules *r)
{
    r->n_slots = 16;
    while (r->n_slots < r->n_terms * 3)
        r->n_slots *= 2;
    r->slots = xcalloc(r->n_slots, sizeof *r->slots);
    for (size_t t = 0; t < r->n_terms; t++) {
        uint32_t h = rules_hash(r->terms[t].text, strlen(r->terms[t].text));
        size_t i = h & (r->n_slots - 1);
        while (r->slots[i].term)
            i = (i + 1) & (r->n_slots - 1);
        r->slots[i] = (struct slot){.hash = h, .term = (uint16_t)(t + 1)};
    }
}

static void
take_set(struct parser *p, const char *name, struct termset *ret)
{
    for (size_t i = 0; i < p->n_sets; i++)
        if (strcmp(p->sets[i].name, name) == 0) {
            *ret = p->sets[i].terms;
            p->sets[i].terms = (struct termset){0};
        }
}

static void
finish(struct parser *p)
{
    struct rules *r = p->rules;
    size_t number = 0;

    if (!p->ok)
        return;
    take_set(p, "joints", &r->joints);
    fill_slots(r);
    r->anchors = xcalloc(r->n_terms + 1, sizeof *r->anchors);
    for (size_t i = 0; i < r->n; i++) {
        r->rules[i].first = number;
        for (size_t k = 0; k < r->rules[i].n; k++)
            anchor_pattern(r, &r->rules[i].patterns[k], (uint16_t)number++);
    }
}
