#include "actors/agent/query.h"

#include "proto/stopword.h"

#include <ctype.h>
#include <strings.h>

static void add_telling(struct str message, struct buf *ret);
static void add_content(struct str sentence, struct buf *ret);
static size_t joined_questions(struct str sentence);
static bool next_word(struct str *rest, struct str *ret);
static bool is_one_of(struct str word, const char *const *words);
static bool next_sentence(struct str *rest, struct str *ret);
static size_t blank_run(struct str s);
static void cut(struct buf *b);
static bool next_letter(struct str s, size_t *at, char *ret);

void
query_first(const struct str *messages, size_t n, struct buf *ret)
{
    buf_clear(ret);
    for (size_t i = 0; i < n && ret->n < QUERY_MAX; i++) {
        add_telling(messages[i], ret);
    }
    for (size_t i = 0; i < n && ret->n == 0; i++) {
        buf_add_str(ret, str_trim(messages[i]));
    }
    cut(ret);
}

/* Its sentences but those of empty words alone: "Hello!", "Thanks." would find what is written
 * about greetings and thanks. */
static void
add_telling(struct str message, struct buf *ret)
{
    struct str sentence;
    bool began = false;

    while (ret->n < QUERY_MAX && next_sentence(&message, &sentence)) {
        struct str rest = sentence, word;
        bool tells = false;

        while (!tells && next_word(&rest, &word)) {
            tells = word.n > 0 && !stopword(word);
        }
        if (tells) {
            buf_add_c(ret, ret->n == 0 ? "" : began ? " " : "\n");
            buf_add_str(ret, sentence);
            began = true;
        }
    }
}

void
query_second(struct str subject, struct str category, struct str ref, const struct str *messages,
             size_t n, struct str first, struct buf *ret)
{
    struct buf asking = {0}, all = {0};

    for (size_t i = 0; i < n && all.n < QUERY_MAX; i++) {
        struct str rest = messages[i], sentence;

        while (all.n < QUERY_MAX && next_sentence(&rest, &sentence)) {
            add_content(sentence, &all);
            if (sentence.p[sentence.n - 1] == '?') {
                add_content(sentence, &asking);
            }
        }
    }
    struct str words = asking.n > 0 ? buf_str(&asking) : buf_str(&all);
    const struct str before[] = {str_trim(subject), str_trim(category), ref};

    for (size_t i = 0; i < sizeof before / sizeof *before; i++) {
        buf_clear(ret);
        buf_add_str(ret, before[i]);
        if (words.n > 0 && !query_same(before[i], words)) {
            buf_add_c(ret, ret->n ? " " : "");
            buf_add_str(ret, words);
        }
        cut(ret);
        if (ret->n > 0 && !query_same(buf_str(ret), first)) {
            break;
        }
    }
    buf_fini(&asking);
    buf_fini(&all);
}

size_t
query_questions(const struct str *messages, size_t n)
{
    size_t questions = 0;

    for (size_t i = 0; i < n; i++) {
        struct str rest = messages[i], sentence;

        while (next_sentence(&rest, &sentence)) {
            if (sentence.p[sentence.n - 1] == '?') {
                questions += 1 + joined_questions(sentence);
            }
        }
    }
    return questions > 0 ? questions : n > 0 ? n : 1;
}

bool
query_same(struct str a, struct str b)
{
    size_t i = 0, k = 0;
    char x = 0, y = 0;

    for (;;) {
        bool more = next_letter(a, &i, &x), more_b = next_letter(b, &k, &y);
        if (!more || !more_b) {
            return more == more_b;
        }
        if (x != y) {
            return false;
        }
    }
}

/* Its words but the empty ones, as they were typed. */
static void
add_content(struct str sentence, struct buf *ret)
{
    struct str word;

    while (next_word(&sentence, &word)) {
        if (word.n > 0 && !stopword(word)) {
            buf_add_c(ret, ret->n ? " " : "");
            buf_add_str(ret, word);
        }
    }
}

/* "... and how do I", "..., also where is": questions behind the first of a sentence. */
static size_t
joined_questions(struct str sentence)
{
    static const char *const joints[] = {"and", "or", "also", "but", NULL};
    static const char *const asking[] = {"how",  "what", "where",  "when", "which", "who",
                                         "why",  "can",  "could",  "is",   "are",   "do",
                                         "does", "will", "should", NULL};
    struct str word;
    bool joint = false;
    size_t found = 0, words = 0;

    while (next_word(&sentence, &word)) {
        found += joint && is_one_of(word, asking);
        joint = words++ > 0 && is_one_of(word, joints);
    }
    return found;
}

/* Without the punctuation around it. */
static bool
next_word(struct str *rest, struct str *ret)
{
    size_t n = 0, blanks = blank_run(*rest);

    rest->p += blanks;
    rest->n -= blanks;
    while (n < rest->n && !isspace((unsigned char)rest->p[n])) {
        n++;
    }
    *ret = (struct str){.p = rest->p, .n = n};
    rest->p += n;
    rest->n -= n;
    while (ret->n > 0 && strchr(".,;:!?\"'()", ret->p[ret->n - 1])) {
        ret->n--;
    }
    while (ret->n > 0 && strchr("\"'(", *ret->p)) {
        ret->p++;
        ret->n--;
    }
    return n > 0;
}

static bool
is_one_of(struct str word, const char *const *words)
{
    for (; *words; words++) {
        if (word.n == strlen(*words) && strncasecmp(word.p, *words, word.n) == 0) {
            return true;
        }
    }
    return false;
}

static bool
next_sentence(struct str *rest, struct str *ret)
{
    size_t n = 0, blanks = blank_run(*rest);

    rest->p += blanks;
    rest->n -= blanks;
    if (rest->n == 0) {
        return false;
    }
    while (n < rest->n) {
        char c = rest->p[n++];
        bool last = n == rest->n || isspace((unsigned char)rest->p[n]);
        if (c == '\n' || ((c == '.' || c == '!' || c == '?') && last)) {
            break;
        }
    }
    *ret = str_trim((struct str){.p = rest->p, .n = n});
    rest->p += n;
    rest->n -= n;
    return ret->n > 0;
}

static size_t
blank_run(struct str s)
{
    size_t n = 0;

    while (n < s.n && isspace((unsigned char)s.p[n])) {
        n++;
    }
    return n;
}

/* To QUERY_MAX, not inside a character. */
static void
cut(struct buf *b)
{
    if (b->n > QUERY_MAX) {
        b->n = QUERY_MAX;
        while (b->n > 0 && ((unsigned char)b->p[b->n] & 0xc0) == 0x80) {
            b->n--;
        }
    }
}

static bool
next_letter(struct str s, size_t *at, char *ret)
{
    while (*at < s.n) {
        unsigned char c = (unsigned char)s.p[(*at)++];
        if (c >= 0x80 || isalnum(c)) {
            *ret = (char)(c < 0x80 ? tolower(c) : c);
            return true;
        }
    }
    return false;
}
