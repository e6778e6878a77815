/* term - JSON values for people: a column, a block of text. What customers wrote can't move the
 * cursor or turn the line: control and direction characters are shown as a dot. */
#ifndef SUPERVISOR_CLI_TERM_H
#define SUPERVISOR_CLI_TERM_H

#include <jansson.h>
#include <stddef.h>

/* The text of o[key], or "-" where it isn't a string or is empty. Borrowed. */
const char *term_field(const json_t *o, const char *key);
/* Prints `text` on one line, at most `width` characters (0: all), padded where `pad` is set. */
void term_cell(const char *text, size_t width, int pad);
/* Prints all lines of `text`, each behind `indent`. */
void term_block(const char *text, const char *indent);
/* Prints the value compactly, with a line's end. */
void term_json(const json_t *value);

#endif
