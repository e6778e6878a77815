#include "actors/kb/passage.h"

#include "proto/err.h"

#include <cmark.h>
#include <ctype.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#define DEEPEST_HEADING 4 /* deeper ones are a line of their passage */

/* A Markdown document on its way to passages. */
struct cutter {
    struct passages *out;
    struct str path, base;
    struct buf document; /* its title */
    struct buf heading;  /* of the passage at hand; empty above the first */
    struct buf body;
    struct buf id;
    size_t words; /* in the body */
    int ordinal;
};

static struct str skip_front_matter(struct str text);
static void cut_block(struct cutter *c, cmark_node *node);
static void cut_list(struct cutter *c, cmark_node *list, int depth);
static void cut_code(struct cutter *c, cmark_node *node);
static void begin_heading(struct cutter *c, cmark_node *node);
static void finish(struct cutter *c);
static void add_line(struct cutter *c, const char *before, struct str line);
static void add_paragraph(struct cutter *c, const char *before, cmark_node *node);
static void plain(cmark_node *node, struct buf *ret);
static void table_row(struct str row, struct buf *ret);
static void slug(struct str heading, struct buf *ret);
static struct kb_row *add_row(struct passages *p);
static struct str keep(struct passages *p, struct str s);
static bool has_id(const struct passages *p, struct str id);
static int read_json_row(struct passages *p, json_t *o, const char **ret_why);
static struct str field(json_t *o, const char *name);

void
passages_markdown(struct passages *p, struct str path, struct str text, struct str base)
{
    struct cutter c = {.out = p, .path = path, .base = base};

    text = skip_front_matter(text);
    cmark_node *root = cmark_parse_document(text.p, text.n, CMARK_OPT_DEFAULT);
    for (cmark_node *node = cmark_node_first_child(root); node; node = cmark_node_next(node)) {
        cut_block(&c, node);
    }
    finish(&c);
    cmark_node_free(root);
    buf_fini(&c.document);
    buf_fini(&c.heading);
    buf_fini(&c.body);
    buf_fini(&c.id);
}

int
passages_jsonl(struct passages *p, struct str text, struct buf *ret_why)
{
    for (size_t line = 1; text.n > 0; line++) {
        const char *end = memchr(text.p, '\n', text.n);
        struct str row = {.p = text.p, .n = end ? (size_t)(end - text.p) : text.n};
        const char *why = NULL;
        json_error_t error;
        int err;

        text.p += row.n + (end != NULL);
        text.n -= row.n + (end != NULL);
        if (str_trim(row).n == 0) {
            continue;
        }
        json_t *o = json_loadb(row.p, row.n, JSON_REJECT_DUPLICATES, &error);
        if (!o) {
            buf_printf(ret_why, "line %zu: not JSON: %s", line, error.text);
            return ERR_MALFORMED;
        }
        err = read_json_row(p, o, &why);
        json_decref(o);
        if (err) {
            buf_printf(ret_why, "line %zu: %s", line, why);
            return err;
        }
    }
    return 0;
}

void
passages_fini(struct passages *p)
{
    for (size_t i = 0; i < p->n_text_; i++) {
        free(p->text_[i]);
    }
    free(p->text_);
    free(p->row);
    *p = (struct passages){0};
}

/* "---" lines around settings of a site generator. */
static struct str
skip_front_matter(struct str text)
{
    if (text.n < 4 || memcmp(text.p, "---\n", 4) != 0) {
        return text;
    }
    const char *end = memmem(text.p + 3, text.n - 3, "\n---\n", 5);
    if (!end) {
        return text;
    }
    size_t skip = (size_t)(end - text.p) + 5;
    return (struct str){.p = text.p + skip, .n = text.n - skip};
}

static void
cut_block(struct cutter *c, cmark_node *node)
{
    cmark_node_type type = cmark_node_get_type(node);

    if (type == CMARK_NODE_HEADING && cmark_node_get_heading_level(node) <= DEEPEST_HEADING) {
        begin_heading(c, node);
        return;
    }
    if (c->words >= PASSAGE_MAX_WORDS) {
        finish(c);
    }
    if (type == CMARK_NODE_LIST) {
        cut_list(c, node, 0);
    } else if (type == CMARK_NODE_CODE_BLOCK) {
        cut_code(c, node);
    } else if (type == CMARK_NODE_BLOCK_QUOTE) {
        for (cmark_node *in = cmark_node_first_child(node); in; in = cmark_node_next(in)) {
            cut_block(c, in);
        }
    } else if (type == CMARK_NODE_PARAGRAPH || type == CMARK_NODE_HEADING) {
        add_paragraph(c, "", node);
    }
}

static void
cut_list(struct cutter *c, cmark_node *list, int depth)
{
    bool ordered = cmark_node_get_list_type(list) == CMARK_ORDERED_LIST;
    int number = cmark_node_get_list_start(list);

    for (cmark_node *item = cmark_node_first_child(list); item; item = cmark_node_next(item)) {
        char mark[24];
        bool first = true;

        snprintf(mark, sizeof mark, ordered ? "%d. " : "- ", number++);
        for (cmark_node *in = cmark_node_first_child(item); in; in = cmark_node_next(in)) {
            if (cmark_node_get_type(in) == CMARK_NODE_LIST) {
                if (depth < 4) {
                    cut_list(c, in, depth + 1);
                }
            } else if (cmark_node_get_type(in) == CMARK_NODE_CODE_BLOCK) {
                cut_code(c, in);
            } else {
                add_paragraph(c, first ? mark : "", in);
            }
            first = false;
        }
    }
}

static void
cut_code(struct cutter *c, cmark_node *node)
{
    struct str code = str_of(cmark_node_get_literal(node));

    while (code.n > 0) {
        const char *end = memchr(code.p, '\n', code.n);
        struct str line = {.p = code.p, .n = end ? (size_t)(end - code.p) : code.n};

        if (str_trim(line).n > 0) {
            add_line(c, "    ", line);
        }
        code.p += line.n + (end != NULL);
        code.n -= line.n + (end != NULL);
    }
}

static void
begin_heading(struct cutter *c, cmark_node *node)
{
    finish(c);
    buf_clear(&c->heading);
    plain(node, &c->heading);
    if (c->document.n == 0) {
        buf_add_str(&c->document, buf_str(&c->heading));
    }
}

/* The passage at hand becomes a row, where it has a body. */
static void
finish(struct cutter *c)
{
    struct buf title = {0}, url = {0}, anchor = {0};
    bool under = c->heading.n > 0 && !str_eq(buf_str(&c->heading), buf_str(&c->document));

    if (c->body.n > 0) {
        buf_add_str(&title, c->document.n ? buf_str(&c->document) : c->path);
        if (under) {
            buf_printf(&title, ": %s", buf_c(&c->heading));
        }
        slug(buf_str(&c->heading), &anchor);
        buf_clear(&c->id);
        buf_printf(&c->id, "%.*s#%s", STR_ARG(c->path), buf_c(&anchor));
        size_t whole = c->id.n;
        for (int again = 2; has_id(c->out, buf_str(&c->id)); again++) {
            c->id.n = whole;
            buf_printf(&c->id, "~%d", again);
        }
        if (c->base.n > 0) {
            buf_printf(&url, "%.*s/%.*s#%s", STR_ARG(c->base), STR_ARG(c->path), buf_c(&anchor));
        }
        struct kb_row *row = add_row(c->out);
        row->id = keep(c->out, buf_str(&c->id));
        row->document = keep(c->out, c->path);
        row->ordinal = c->ordinal++;
        row->title = keep(c->out, buf_str(&title));
        row->body = keep(c->out, buf_str(&c->body));
        row->url = keep(c->out, buf_str(&url));
    }
    buf_clear(&c->body);
    c->words = 0;
    buf_fini(&title);
    buf_fini(&url);
    buf_fini(&anchor);
}

static void
add_line(struct cutter *c, const char *before, struct str line)
{
    if (c->body.n + line.n + 8 > PASSAGE_MAX_BODY) {
        finish(c);
    }
    if (line.n + 8 > PASSAGE_MAX_BODY) { /* no text for people; the start tells what it is */
        line.n = PASSAGE_MAX_BODY - 8;
        while (line.n > 0 && ((unsigned char)line.p[line.n] & 0xc0) == 0x80) {
            line.n--;
        }
    }
    if (c->body.n > 0) {
        buf_add_byte(&c->body, '\n');
    }
    buf_add_c(&c->body, before);
    buf_add_str(&c->body, line);
    for (size_t i = 0; i < line.n; i++) {
        c->words += line.p[i] == ' ';
    }
    c->words++;
}

/* One line; or, for a table that cmark takes for a paragraph, one for each of its rows. */
static void
add_paragraph(struct cutter *c, const char *before, cmark_node *node)
{
    struct buf text = {0}, row = {0};

    plain(node, &text);
    if (text.n > 0 && text.p[0] == '|') {
        for (struct str rest = buf_str(&text); rest.n > 0;) {
            const char *end = memmem(rest.p + 1, rest.n - 1, "\n|", 2);
            struct str line = {.p = rest.p, .n = end ? (size_t)(end - rest.p) : rest.n};

            buf_clear(&row);
            table_row(line, &row);
            if (row.n > 0) {
                add_line(c, "- ", buf_str(&row));
            }
            rest.p += line.n + (end != NULL);
            rest.n -= line.n + (end != NULL);
        }
    } else if (text.n > 0) {
        for (size_t i = 0; i < text.n; i++) {
            text.p[i] = text.p[i] == '\n' ? ' ' : text.p[i];
        }
        add_line(c, before, buf_str(&text));
    }
    buf_fini(&text);
    buf_fini(&row);
}

/* "| a | b | c |" becomes "a: b; c"; the ruler under a head becomes nothing. */
static void
table_row(struct str row, struct buf *ret)
{
    size_t cell = 0;
    bool ruler = true;

    for (size_t i = 0; i < row.n; i++) {
        ruler = ruler && strchr("|-: \n", row.p[i]);
    }
    while (!ruler && row.n > 0) {
        const char *end = memchr(row.p, '|', row.n);
        struct str text = {.p = row.p, .n = end ? (size_t)(end - row.p) : row.n};

        row.p += text.n + (end != NULL);
        row.n -= text.n + (end != NULL);
        text = str_trim(text);
        if (text.n > 0) {
            buf_add_c(ret, cell == 0 ? "" : cell == 1 ? ": " : "; ");
            buf_add_str(ret, text);
            cell++;
        }
    }
}

/* The text of a node without its marks; line ends as they stood. */
static void
plain(cmark_node *node, struct buf *ret)
{
    cmark_iter *iter = cmark_iter_new(node);
    cmark_event_type event;

    while ((event = cmark_iter_next(iter)) != CMARK_EVENT_DONE) {
        cmark_node_type type = cmark_node_get_type(cmark_iter_get_node(iter));

        if (event != CMARK_EVENT_ENTER) {
            continue;
        }
        if (type == CMARK_NODE_TEXT || type == CMARK_NODE_CODE) {
            buf_add_c(ret, cmark_node_get_literal(cmark_iter_get_node(iter)));
        } else if (type == CMARK_NODE_SOFTBREAK || type == CMARK_NODE_LINEBREAK) {
            buf_add_byte(ret, '\n');
        }
    }
    cmark_iter_free(iter);
}

/* As GitHub names a heading in a link: lower case, blanks as hyphens, no punctuation. */
static void
slug(struct str heading, struct buf *ret)
{
    for (size_t i = 0; i < heading.n; i++) {
        unsigned char ch = (unsigned char)heading.p[i];

        if (ch == ' ' || ch == '-') {
            buf_add_byte(ret, '-');
        } else if (ch >= 0x80 || isalnum(ch) || ch == '_') {
            buf_add_byte(ret, (char)(ch < 0x80 ? tolower(ch) : ch));
        }
    }
}

static struct kb_row *
add_row(struct passages *p)
{
    if (p->n == p->cap) {
        p->cap = p->cap ? 2 * p->cap : 64;
        p->row = xrealloc(p->row, p->cap * sizeof *p->row);
    }
    p->row[p->n] = (struct kb_row){0};
    return &p->row[p->n++];
}

static struct str
keep(struct passages *p, struct str s)
{
    if (p->n_text_ == p->cap_text_) {
        p->cap_text_ = p->cap_text_ ? 2 * p->cap_text_ : 256;
        p->text_ = xrealloc(p->text_, p->cap_text_ * sizeof *p->text_);
    }
    p->text_[p->n_text_] = str_dup(s);
    return (struct str){.p = p->text_[p->n_text_++], .n = s.n};
}

/* Of this document's passages: they are the last ones. */
static bool
has_id(const struct passages *p, struct str id)
{
    for (size_t i = p->n; i > 0 && str_eq(p->row[i - 1].document, p->row[p->n - 1].document); i--) {
        if (str_eq(p->row[i - 1].id, id)) {
            return true;
        }
    }
    return false;
}

static int
read_json_row(struct passages *p, json_t *o, const char **ret_why)
{
    struct str id = field(o, "id"), title = field(o, "title"), body = field(o, "body");

    if (!json_is_object(o) || id.n == 0 || (title.n == 0 && body.n == 0)) {
        *ret_why = "must be an object with texts \"id\", \"title\" and \"body\"";
        return ERR_INVALID;
    }
    if (id.n > PASSAGE_MAX_ID || title.n > PASSAGE_MAX_ID || body.n > PASSAGE_MAX_BODY) {
        *ret_why = "too long: an id or title has at most 512 bytes, a body 65536";
        return ERR_TOO_BIG;
    }
    if (!str_is_text(id) || !str_is_text(title) || !str_is_text(body)) {
        *ret_why = "holds a NUL character";
        return ERR_INVALID;
    }
    struct kb_row *row = add_row(p);
    row->id = keep(p, id);
    row->document = row->id;
    row->title = keep(p, title.n ? title : id);
    row->body = keep(p, body);
    row->url = keep(p, field(o, "url"));
    row->domain = keep(p, field(o, "domain"));
    return 0;
}

static struct str
field(json_t *o, const char *name)
{
    json_t *v = json_object_get(o, name);

    return json_is_string(v) ? (struct str){.p = json_string_value(v), .n = json_string_length(v)}
                             : (struct str){0};
}
