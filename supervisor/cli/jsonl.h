/* jsonl - commands that read JSON Lines from stdin (or files) and answer each with a line. */
#ifndef SUPERVISOR_JSONL_H
#define SUPERVISOR_JSONL_H

#include "proto/str.h"

#include <jansson.h>
#include <stdbool.h>

#define JSONL_MAX_LINE (4 * 1024 * 1024) /* bytes of a line */

/* Answers one row (an object): prints a line to stdout, or returns what is wrong with the row, e.g.
 * "text: missing" (static or alive until the next call). */
typedef const char *jsonl_fn(json_t *row, void *arg);

/* Reads the files named in argv[1..] ("-" = stdin; none = stdin), one row a line; blank lines are
 * passed over. A line that can't be read or answered is told on stderr with file and line number,
 * and the rest goes on. CLI_OK; CLI_FAILED if a line was bad or a file could not be read. */
int jsonl_run(int argc, char **argv, jsonl_fn *fn, void *arg);

/* A text member: false if it is missing or no text. */
bool jsonl_text(const json_t *row, const char *key, struct str *ret);
/* Prints an object as a line and gives it back. */
void jsonl_print(json_t *row);

#endif
