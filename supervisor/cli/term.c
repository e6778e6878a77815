#include "supervisor/cli/term.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

const char *
term_field(const json_t *o, const char *key)
{
    const char *text = json_string_value(json_object_get(o, key));

    return text && text[0] != '\0' ? text : "-";
}

/* Bytes of the character at `p` (valid UTF-8: jansson took it). */
static size_t
character(const char *p)
{
    size_t n = 1;

    while (((unsigned char)p[n] & 0xc0) == 0x80) {
        n++;
    }
    return n;
}

/* C0 and C1 controls, DEL, and what changes the direction of a line (U+200E, 200F, 202A-202E,
 * 2066-2069). */
static bool
unsafe(const char *p, size_t n)
{
    const unsigned char *u = (const unsigned char *)p;

    if (n == 1) {
        return u[0] < 0x20 || u[0] == 0x7f;
    }
    if (n == 2) {
        return u[0] == 0xc2 && u[1] < 0xa0;
    }
    return n == 3 && u[0] == 0xe2 &&
           ((u[1] == 0x80 && (u[2] == 0x8e || u[2] == 0x8f || (u[2] >= 0xaa && u[2] <= 0xae))) ||
            (u[1] == 0x81 && u[2] >= 0xa6 && u[2] <= 0xa9));
}

static void
put(const char *p, size_t n)
{
    if (unsafe(p, n)) {
        fputs("\xc2\xb7", stdout);
    } else {
        fwrite(p, 1, n, stdout);
    }
}

void
term_cell(const char *text, size_t width, int pad)
{
    size_t shown = 0;

    for (const char *p = text; *p != '\0' && (width == 0 || shown < width); shown++) {
        size_t n = character(p);
        put(*p == '\n' || *p == '\t' ? " " : p, *p == '\n' || *p == '\t' ? 1 : n);
        p += n;
    }
    for (; pad && shown < width; shown++) {
        putchar(' ');
    }
}

void
term_block(const char *text, const char *indent)
{
    fputs(indent, stdout);
    for (const char *p = text; *p != '\0';) {
        size_t n = character(p);
        if (*p == '\n') {
            putchar('\n');
            if (p[1] != '\0') {
                fputs(indent, stdout);
            }
        } else {
            put(*p == '\t' ? " " : p, *p == '\t' ? 1 : n);
        }
        p += n;
    }
    if (text[0] == '\0' || text[strlen(text) - 1] != '\n') {
        putchar('\n');
    }
}

void
term_json(const json_t *value)
{
    json_dumpf(value, stdout, JSON_COMPACT | JSON_ENCODE_ANY);
    putchar('\n');
}
