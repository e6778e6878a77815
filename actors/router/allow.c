#include "actors/router/allow.h"

#include "proto/err.h"
#include "proto/runtime/option.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool
name_ok(struct str name)
{
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '-' || c == '_' || c == '.')) {
            return false;
        }
    }
    return name.n > 0 && name.n <= ALLOW_NAME_MAX;
}

/* False if the line can't be understood. One that says nothing gives a name of no bytes. */
static bool
parse_line(char *line, struct curve_key *ret_key, struct str *ret_name)
{
    struct str rest = str_trim(str_of(line)), word = str_take_word(&rest);

    *ret_name = (struct str){0};
    if (word.n == 0 || word.p[0] == '#') { /* no key begins with #: its digit is too large */
        return true;
    }
    *ret_name = str_trim(rest);
    return curve_key_parse(word, ret_key) && name_ok(*ret_name);
}

static int
scan(FILE *f, const struct curve_key *key, char *ret_name, struct buf *ret_why)
{
    char *line = NULL;
    size_t room = 0;
    int number = 0, err = ERR_NOT_FOUND;

    while (getline(&line, &room, f) >= 0) {
        struct curve_key one;
        struct str name;
        number++;
        if (!parse_line(line, &one, &name)) {
            buf_printf(ret_why, "line %d must be a public key and a name", number);
            err = ERR_INVALID;
            break;
        }
        if (key != NULL && name.n > 0 && memcmp(&one, key, sizeof(one)) == 0) {
            memcpy(ret_name, name.p, name.n);
            ret_name[name.n] = '\0';
            err = 0;
        }
    }
    free(line);
    return err;
}

int
allow_find(const char *path, const struct curve_key *key, char ret_name[ALLOW_NAME_MAX + 1],
           struct buf *ret_why)
{
    FILE *f = option_file_ok(path) ? fopen(path, "re") : NULL;
    int err;

    if (f == NULL) {
        buf_add_c(ret_why, strerror(errno));
        return ERR_INVALID;
    }
    err = scan(f, key, ret_name, ret_why);
    fclose(f);
    return err;
}

bool
allow_ok(const char *path, struct buf *ret_why)
{
    char name[ALLOW_NAME_MAX + 1];

    return allow_find(path, NULL, name, ret_why) != ERR_INVALID;
}
