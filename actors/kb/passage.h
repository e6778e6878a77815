/* passage - documents cut into passages: what is imported becomes rows of the knowledge base.
 *
 * Markdown (by cmark): a passage for each heading that has text under it, long ones cut between
 * paragraphs. The title is "Document: Heading", the id "path#heading". The body is plain text, one
 * paragraph or list item a line ("- " before an item, "    " before a line of code), so that a
 * reply can be made of its sentences. JSON Lines: a passage for each row {id, title, body, url?,
 * domain?}.
 */
#ifndef ACTORS_KB_PASSAGE_H
#define ACTORS_KB_PASSAGE_H

#include "db/kb.h"
#include "proto/buf.h"

#define PASSAGE_MAX_WORDS 250 /* of Markdown: cut behind the paragraph that passes it */
#define PASSAGE_MAX_FILE (8 * 1024 * 1024) /* bytes of one file */
#define PASSAGE_MAX_BODY (64 * 1024)       /* bytes of one row's body */
#define PASSAGE_MAX_ID 512                 /* bytes of one row's id */

/* Rows with the texts behind them. Zeroed memory is an empty one. */
struct passages {
    struct kb_row *row;
    size_t n, cap;
    char **text_; /* private: what the rows point at */
    size_t n_text_, cap_text_;
};

/* Adds the passages of one Markdown document named `path`. With `base` (may be empty) each gets the
 * url base/path#heading. */
void passages_markdown(struct passages *p, struct str path, struct str text, struct str base);

/* Adds the rows of JSON Lines. 0; or ERR_MALFORMED, ERR_INVALID, ERR_TOO_BIG with a sentence for
 * people in `ret_why` that names the line. */
int passages_jsonl(struct passages *p, struct str text, struct buf *ret_why);

/* Adds all that is in a folder (*.md, *.jsonl, however deep, in the order of names) or in one file.
 * 0; or ERR_NOT_FOUND, ERR_TOO_BIG, ERR_MALFORMED, ERR_INVALID (also two passages of one id), with
 * the reason in `ret_why`. */
int passages_read(struct passages *p, const char *path, struct str base, struct buf *ret_why);

void passages_fini(struct passages *p);

#endif
