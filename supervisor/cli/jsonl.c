#include "supervisor/cli/jsonl.h"

#include "supervisor/cli/cli.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One file; true if all of it was well. */
static bool
run_file(FILE *file, const char *command, const char *name, jsonl_fn *fn, void *arg)
{
    char *line = NULL;
    size_t room = 0, number = 0;
    bool ok = true;
    ssize_t n;

    while ((n = getline(&line, &room, file)) > 0) {
        struct str text = str_trim((struct str){line, (size_t)n});
        const char *why = NULL;
        json_error_t error;
        json_t *row;

        number++;
        if (text.n == 0)
            continue;
        row = text.n > JSONL_MAX_LINE ? NULL : json_loadb(text.p, text.n, 0, &error);
        if (text.n > JSONL_MAX_LINE)
            why = "longer than 4 MiB";
        else if (!row)
            why = error.text;
        else if (!json_is_object(row))
            why = "not a JSON object";
        else
            why = fn(row, arg);
        if (why) {
            cli_fail(CLI_FAILED, command, "%s:%zu: %s", name, number, why);
            ok = false;
        }
        json_decref(row);
    }
    if (ferror(file)) {
        cli_fail(CLI_FAILED, command, "%s: %s", name, strerror(errno));
        ok = false;
    }
    free(line);
    return ok;
}

int
jsonl_run(int argc, char **argv, jsonl_fn *fn, void *arg)
{
    bool ok = true;

    if (argc < 2)
        return run_file(stdin, argv[0], "stdin", fn, arg) ? CLI_OK : CLI_FAILED;
    for (int i = 1; i < argc; i++) {
        FILE *file = strcmp(argv[i], "-") == 0 ? stdin : fopen(argv[i], "re");
        if (!file) {
            cli_fail(CLI_FAILED, argv[0], "%s: %s", argv[i], strerror(errno));
            ok = false;
            continue;
        }
        ok = run_file(file, argv[0], argv[i], fn, arg) && ok;
        if (file != stdin)
            fclose(file);
    }
    return ok ? CLI_OK : CLI_FAILED;
}

bool
jsonl_text(const json_t *row, const char *key, struct str *ret)
{
    const json_t *text = json_object_get(row, key);

    if (!json_is_string(text))
        return false;
    *ret = (struct str){json_string_value(text), json_string_length(text)};
    return true;
}

void
jsonl_print(json_t *row)
{
    json_dumpf(row, stdout, JSON_COMPACT | JSON_REAL_PRECISION(6));
    putchar('\n');
    /* whoever writes line by line reads line by line */
    fflush(stdout);
    json_decref(row);
}
