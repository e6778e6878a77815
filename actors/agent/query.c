#include "actors/agent/query.h"

#include "proto/stopword.h"

#include <ctype.h>

static void add_content(struct str sentence, struct buf *ret);
static bool next_sentence(struct str *rest, struct str *ret);
static size_t blank_run(struct str s);
static void cut(struct buf *b);
static bool next_letter(struct str s, size_t *at, char *ret);

void
query_first(const struct str *messages, size_t n, struct buf *ret)
{
    buf_clear(ret);
    for (size_t i = 0; i < n && ret->n < QUERY_MAX; i++) {
        struct str m = str_trim(messages[i]);

        if (m.n > 0 && ret->n > 0) {
            buf_add_byte(ret, '\n');
        }
        buf_add_str(ret, m);
    }
    cut(ret);
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
    while (sentence.n > 0) {
        size_t blanks = blank_run(sentence), n = 0;

        sentence.p += blanks;
        sentence.n -= blanks;
        while (n < sentence.n && !isspace((unsigned char)sentence.p[n])) {
            n++;
        }
        struct str word = {.p = sentence.p, .n = n};
        while (word.n > 0 && strchr(".,;:!?\"'()", word.p[word.n - 1])) {
            word.n--;
        }
        while (word.n > 0 && strchr("\"'(", *word.p)) {
            word.p++;
            word.n--;
        }
        if (word.n > 0 && !stopword(word)) {
            buf_add_c(ret, ret->n ? " " : "");
            buf_add_str(ret, word);
        }
        sentence.p += n;
        sentence.n -= n;
    }
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
