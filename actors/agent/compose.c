#include "actors/agent/compose.h"

#include "proto/err.h"

#include <ctype.h>

/* A further passage is told of when it has this part of the best's score: below, it is the right
 * one less than a third as often as the best is (measured on public question sets) ... */
#define CLOSE_TO_BEST 0.6
/* ... or this share of the words of several questions, that no better passage has. */
#define ADDS_ENOUGH 0.25
#define MIN_EXCERPT 12 /* words: less of a further passage is not worth naming it */

/* How a channel speaks. */
static const struct template
{
    const char *channel;
    size_t max_words;     /* of the whole */
    size_t passage_words; /* of the best passage; the others share what is left */
    const char *greeting; /* with a name, and without */
    const char *greeting_without;
    const char *lead; /* one message, several */
    const char *lead_several;
    const char *closing; /* before the reference */
    const char *signature;
    const char *thanks; /* to a message that is only courtesy: to thanks, to a greeting */
    const char *greets;
}
TEMPLATES[] = {
    {
        .channel = "webform",
        .max_words = 300,
        .passage_words = 150,
        .greeting = "Hello {},",
        .greeting_without = "Hello,",
        .lead = "Thank you for your message. Our documentation says:",
        .lead_several = "Thank you for your messages. Our documentation says:",
        .closing = "If this is not what you were looking for, please reply here. "
                   "Your ticket is {}.",
        .signature = "Kind regards\nCustomer Success",
        .thanks = "Thank you for your message. If there is anything else we can help you with, "
                  "please reply here. Your ticket is {}.",
        .greets = "Thank you for your message. What can we help you with? Please reply here and "
                  "describe what it is about. Your ticket is {}.",
    },
};

static const struct template *find_template(struct str channel);
static size_t add_passages(const struct compose_input *in, const struct template *t, size_t room,
                           struct buf *ret, bool ret_used[]);
static bool is_about(const struct compose_input *in, size_t i);
static void add_greeting(const struct template *t, struct str name, struct buf *ret);
static void fill(const char *template, struct str value, struct buf *ret);
static bool is_name(struct str name);
static void add_sources(const struct compose_input *in, const bool used[], struct buf *ret);
static size_t start_of_excerpt(struct str text, size_t at);
static struct str line_at(struct str text, size_t at);
static struct str sentence_at(struct str line);
static bool is_item(struct str line);
static bool is_code(struct str line);
static void drop_open_end(struct buf *b, size_t from);

int
compose(const struct compose_input *in, struct buf *ret, bool ret_used[])
{
    const struct template *t = find_template(in->channel);
    struct buf end = {0};
    size_t room, max_words, named;

    if (!t) {
        return ERR_NOT_FOUND;
    }
    max_words = in->max_words ? in->max_words : t->max_words;
    add_greeting(t, str_trim(in->name), ret);
    buf_printf(ret, "\n\n%s\n\n", in->messages > 1 ? t->lead_several : t->lead);
    fill(t->closing, in->ref, &end);
    buf_printf(&end, "\n\n%s\n", t->signature);
    room = compose_words(buf_str(ret)) + compose_words(buf_str(&end)) + 1;
    room = max_words > room ? max_words - room : 0;
    named = add_passages(in, t, room, ret, ret_used);
    if (named > 0) {
        add_sources(in, ret_used, ret);
        buf_add_str(ret, buf_str(&end));
    }
    buf_fini(&end);
    return named > 0 ? 0 : ERR_NOT_FOUND;
}

int
compose_courtesy(const struct compose_input *in, struct str courtesy, struct buf *ret)
{
    const struct template *t = find_template(in->channel);
    const char *line = NULL;

    if (t) {
        line = str_is(courtesy, "thanks")     ? t->thanks
               : str_is(courtesy, "greeting") ? t->greets
                                              : NULL;
    }
    if (!line) {
        return ERR_NOT_FOUND;
    }
    add_greeting(t, str_trim(in->name), ret);
    buf_add_c(ret, "\n\n");
    fill(line, in->ref, ret);
    buf_printf(ret, "\n\n%s\n", t->signature);
    return 0;
}

size_t
compose_excerpt(struct str text, size_t at, size_t max_words, struct buf *ret)
{
    size_t began = ret->n, words = 0, from = 0;
    bool full = false, was_tight = false;

    if (compose_words(text) > max_words) {
        from = start_of_excerpt(text, at < text.n ? at : 0);
    }
    while (from < text.n && !full) {
        struct str line = line_at(text, from);
        bool tight = is_item(line) || is_code(line), first = true;

        from += line.n + 1;
        for (struct str rest = is_code(line) ? line : str_trim(line); rest.n > 0 && !full;) {
            struct str sentence = tight ? rest : sentence_at(rest);
            size_t n = compose_words(sentence);

            full = words + n > max_words;
            if (!full) {
                if (ret->n > began) {
                    buf_add_c(ret, !first ? " " : tight && was_tight ? "\n" : "\n\n");
                }
                buf_add_str(ret, is_code(line) ? sentence : str_trim(sentence));
                words += n;
                was_tight = tight;
                first = false;
            }
            rest.p += sentence.n;
            rest.n -= sentence.n;
        }
    }
    if (full) {
        drop_open_end(ret, began);
    }
    return ret->n > began ? compose_words((struct str){.p = ret->p + began, .n = ret->n - began})
                          : 0;
}

size_t
compose_words(struct str text)
{
    size_t words = 0;
    bool inside = false;

    for (size_t i = 0; i < text.n; i++) {
        bool blank = isspace((unsigned char)text.p[i]) != 0;
        words += !blank && !inside;
        inside = !blank;
    }
    return words;
}

/* What of the passages has room, and which; their number. */
static size_t
add_passages(const struct compose_input *in, const struct template *t, size_t room, struct buf *ret,
             bool ret_used[])
{
    struct buf body = {0};
    size_t named = 0;

    for (size_t i = 0; i < in->n; i++) {
        const struct compose_hit *h = &in->hit[i];
        size_t naming = compose_words(h->title) + (h->url.n ? 1 : 0) + 1;
        size_t most = room > naming ? room - naming : 0;

        ret_used[i] = false;
        if (named == COMPOSE_MAX_SOURCES || !is_about(in, i) || (i > 0 && most < MIN_EXCERPT)) {
            continue;
        }
        most = most < t->passage_words / (i + 1) ? most : t->passage_words / (i + 1);
        buf_clear(&body);
        size_t took = compose_excerpt(h->text, h->at, most, &body);
        if (took > 0) {
            ret_used[i] = true;
            named++;
            room -= took + naming;
            buf_add_str(ret, buf_str(&body));
            buf_add_c(ret, "\n\n");
        }
    }
    buf_fini(&body);
    return named;
}

static bool
is_about(const struct compose_input *in, size_t i)
{
    return in->hit[i].score >= CLOSE_TO_BEST * in->hit[0].score ||
           (in->questions > 1 && in->hit[i].adds >= ADDS_ENOUGH);
}

static const struct template *
find_template(struct str channel)
{
    for (size_t i = 0; i < sizeof TEMPLATES / sizeof *TEMPLATES; i++) {
        if (str_is(channel, TEMPLATES[i].channel)) {
            return &TEMPLATES[i];
        }
    }
    return NULL;
}

static void
add_greeting(const struct template *t, struct str name, struct buf *ret)
{
    if (is_name(name)) {
        fill(t->greeting, name, ret);
    } else {
        buf_add_c(ret, t->greeting_without);
    }
}

/* The template with the value in the place of its {}. */
static void
fill(const char *template, struct str value, struct buf *ret)
{
    const char *place = strstr(template, "{}");

    buf_add(ret, template, place ? (size_t)(place - template) : strlen(template));
    if (place) {
        buf_add_str(ret, value);
        buf_add_c(ret, place + 2);
    }
}

/* Anyone can type anything into the field, and the reply goes to an address that was typed too:
 * what could be an advertisement is not repeated. */
static bool
is_name(struct str name)
{
    if (name.n == 0 || name.n > COMPOSE_MAX_NAME || compose_words(name) > 5) {
        return false;
    }
    for (size_t i = 0; i < name.n; i++) {
        unsigned char c = (unsigned char)name.p[i];
        bool dot = c == '.' && i + 1 < name.n && name.p[i + 1] != ' ';
        if (dot || c < ' ' || c == 0x7f || isdigit(c) || strchr("/@:<>[](){}\"!?=&%#$*|\\", c)) {
            return false;
        }
    }
    return true;
}

static void
add_sources(const struct compose_input *in, const bool used[], struct buf *ret)
{
    size_t n = 0;

    for (size_t i = 0; i < in->n; i++) {
        n += used[i];
    }
    buf_add_c(ret, n > 1 ? "Sources:" : "Source:");
    for (size_t i = 0; i < in->n; i++) {
        if (used[i]) {
            buf_printf(ret, "%s%.*s", n > 1 ? "\n- " : " ", STR_ARG(in->hit[i].title));
            if (in->hit[i].url.n > 0) {
                buf_printf(ret, " %.*s", STR_ARG(in->hit[i].url));
            }
        }
    }
    buf_add_c(ret, "\n\n");
}

/* The line that `at` stands in; an item or code begins with the paragraph that leads to it. */
static size_t
start_of_excerpt(struct str text, size_t at)
{
    while (at > 0) {
        bool begins = text.p[at - 1] == '\n';
        struct str line = line_at(text, at);

        if (begins && !is_item(line) && !is_code(line)) {
            break;
        }
        at--;
    }
    return at;
}

static struct str
line_at(struct str text, size_t at)
{
    const char *end = memchr(text.p + at, '\n', text.n - at);

    return (struct str){.p = text.p + at, .n = end ? (size_t)(end - text.p) - at : text.n - at};
}

/* The first sentence of a line with the blanks behind it. "e.g. this" is one. */
static struct str
sentence_at(struct str line)
{
    for (size_t i = 0; i < line.n; i++) {
        size_t next = i + 1;

        if (!strchr(".!?", line.p[i])) {
            continue;
        }
        while (next < line.n && strchr("\"')]", line.p[next])) {
            next++;
        }
        size_t word = next;
        while (word < line.n && line.p[word] == ' ') {
            word++;
        }
        if (word > next && (word == line.n || !islower((unsigned char)line.p[word]))) {
            return (struct str){.p = line.p, .n = word};
        }
    }
    return line;
}

/* "- item" or "12. item". */
static bool
is_item(struct str line)
{
    size_t digits = 0;

    while (digits < line.n && isdigit((unsigned char)line.p[digits])) {
        digits++;
    }
    return (line.n > 2 && line.p[0] == '-' && line.p[1] == ' ') ||
           (digits > 0 && digits < 4 && digits + 1 < line.n && line.p[digits] == '.' &&
            line.p[digits + 1] == ' ');
}

static bool
is_code(struct str line)
{
    return line.n > 4 && memcmp(line.p, "    ", 4) == 0;
}

/* A cut behind "as follows:" would promise what does not come. */
static void
drop_open_end(struct buf *b, size_t from)
{
    while (b->n > from && b->p[b->n - 1] == ':') {
        size_t end = b->n;

        while (b->n > from && b->p[b->n - 1] != '\n' &&
               !(b->n < end && strchr(".!?", b->p[b->n - 1]) && b->p[b->n] == ' ')) {
            b->n--;
        }
        while (b->n > from && isspace((unsigned char)b->p[b->n - 1])) {
            b->n--;
        }
    }
}
