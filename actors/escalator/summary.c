#include "actors/escalator/summary.h"

#define TEXT_CHARACTERS 240 /* of the newest message */
#define NAME_CHARACTERS 80
#define QUERY_CHARACTERS 80
#define NOTE_CHARACTERS 500

struct str
summary_cut(struct str text, size_t characters)
{
    size_t i = 0;

    while (i < text.n && characters > 0) {
        i++;
        while (i < text.n && ((unsigned char)text.p[i] & 0xc0) == 0x80) {
            i++;
        }
        characters--;
    }
    return (struct str){text.p, i};
}

/* Text of the customer on one line: control characters and runs of blanks become one blank. */
static void
add_line(struct buf *out, struct str text, size_t characters)
{
    struct str cut = summary_cut(str_trim(text), characters);
    bool blank = false;

    for (size_t i = 0; i < cut.n; i++) {
        unsigned char c = (unsigned char)cut.p[i];
        if (c <= ' ' || c == 0x7f) {
            blank = true;
            continue;
        }
        if (blank) {
            buf_add_byte(out, ' ');
            blank = false;
        }
        buf_add_byte(out, (char)c);
    }
    if (cut.n < str_trim(text).n) {
        buf_add_c(out, "…");
    }
}

static void
add_who(const struct summary *s, struct buf *out)
{
    if (s->name.n > 0) {
        add_line(out, s->name, NAME_CHARACTERS);
    } else {
        buf_add_c(out, "A customer");
    }
    if (s->email.n > 0) {
        buf_add_c(out, " <");
        add_line(out, s->email, NAME_CHARACTERS);
        buf_add_byte(out, '>');
    }
    buf_printf(out, " by %.*s, ticket %.*s: ", STR_ARG(s->channel), STR_ARG(s->ref));
    if (s->messages > 1) {
        buf_printf(out, "%zu messages, the last ", s->messages);
    }
    buf_add_c(out, "“");
    add_line(out, s->text, TEXT_CHARACTERS);
    buf_add_c(out, "”\n");
}

static void
add_evidence(const struct summary *s, struct buf *out)
{
    bool any = false;

    for (uint32_t i = 0; s->evidence && i < s->evidence->via.array.size; i++) {
        const msgpack_object *words = map_array(&s->evidence->via.array.ptr[i], "words");
        for (uint32_t k = 0; words && k < words->via.array.size; k++) {
            const msgpack_object *word = &words->via.array.ptr[k];
            if (word->type == MSGPACK_OBJECT_STR) {
                buf_add_c(out, any ? ", “" : "Because of “");
                add_line(out, (struct str){word->via.str.ptr, word->via.str.size}, NAME_CHARACTERS);
                buf_add_c(out, "”");
                any = true;
            }
        }
    }
    if (any) {
        buf_add_c(out, ".\n");
    }
}

static void
add_tried(const struct summary *s, struct buf *out)
{
    if (!s->tried || s->tried->via.array.size == 0) {
        buf_add_c(out, "Nothing was searched.");
    }
    for (uint32_t i = 0; s->tried && i < s->tried->via.array.size; i++) {
        const msgpack_object *search = &s->tried->via.array.ptr[i];
        int64_t hits = 0;
        double best = 0;
        buf_add_c(out, i == 0 ? "Searched for “" : "; then for “");
        add_line(out, map_str(search, "query"), QUERY_CHARACTERS);
        buf_add_c(out, "”");
        if (map_int(search, "hits", &hits) && map_float(search, "best", &best)) {
            buf_printf(out, " (%lld found, best %.2f)", (long long)hits, best);
        }
        if (i + 1 == s->tried->via.array.size) {
            buf_add_byte(out, '.');
        }
    }
    buf_add_byte(out, '\n');
}

void
summary_write(const struct summary *s, struct buf *out)
{
    buf_printf(out, "%s\n", s->reason->sentence);
    add_who(s, out);
    add_evidence(s, out);
    if (s->has_sentiment) {
        buf_printf(out, "Sentiment %.2f", s->sentiment);
        if (s->has_previous) {
            buf_printf(out, ", before that %.2f", s->previous);
        }
        buf_add_c(out, ". ");
    }
    if (s->history > 0) {
        buf_printf(out, "%zu earlier message%s.\n", s->history, s->history == 1 ? "" : "s");
    } else {
        buf_add_c(out, "No earlier messages.\n");
    }
    add_tried(s, out);
    if (s->note.n > 0) {
        add_line(out, s->note, NOTE_CHARACTERS);
        buf_add_byte(out, '\n');
    }
}
