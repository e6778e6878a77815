#include "supervisor/spec.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

enum { COL_NAME, COL_SERVICE, COL_COMMAND, COL_RESTART, COL_SHUTDOWN, COL_WORKERS, COL_ENV, COLS };

static const char *const columns[COLS] = {"name",     "service", "command",    "restart",
                                          "shutdown", "workers", "environment"};
static const char *const restart_names[] = {"permanent", "transient", "temporary"};
static const char *const strategy_names[] = {"one_for_one", "rest_for_one", "one_for_all"};

/* What one call of spec_parse() is about. */
struct parser {
    struct spec *spec;
    struct spec_fault *fault;
    unsigned line;
    bool heading; /* it was there */
};

static int read_line(struct parser *p, char *line);
static int read_heading(struct parser *p, char *const cells[COLS]);
static int read_row(struct parser *p, char *const cells[COLS]);
static int read_setting(struct parser *p, char *line);
static char **split_words(const char *text);
static int fault(struct parser *p, const char *format, ...) __attribute__((format(printf, 2, 3)));

int
spec_parse(const char *text, struct spec **ret, struct spec_fault *ret_fault)
{
    struct parser p = {.spec = calloc(1, sizeof(struct spec)), .fault = ret_fault};
    char *copy = strdup(text);
    char *rest = copy;
    int rc = 0;

    if (!p.spec || !copy) {
        exit(EX_TEMPFAIL);
    }
    p.spec->limits = (struct spec_limits){.crashes = 5,
                                          .period_ms = 60000,
                                          .backoff_min_ms = 100,
                                          .backoff_max_ms = 5000,
                                          .reset_ms = 1000,
                                          .retry_ms = 30000};
    while (rest && rc == 0) {
        char *line = strsep(&rest, "\n");
        p.line++;
        rc = read_line(&p, line);
    }
    if (rc == 0 && p.spec->n == 0) {
        p.line = 0;
        rc = fault(&p, "there is no child in it");
    }
    free(copy);
    if (rc != 0) {
        spec_free(&p.spec);
        return -1;
    }
    *ret = p.spec;
    return 0;
}

int
spec_load(const char *path, struct spec **ret, struct spec_fault *ret_fault)
{
    struct parser p = {.fault = ret_fault};
    FILE *file = fopen(path, "re");
    char *text;
    size_t n;
    int rc;

    if (!file) {
        return fault(&p, "%s", strerror(errno));
    }
    text = malloc(SPEC_FILE_MAX + 1);
    if (!text) {
        exit(EX_TEMPFAIL);
    }
    n = fread(text, 1, SPEC_FILE_MAX, file);
    text[n] = '\0';
    if (ferror(file)) {
        rc = fault(&p, "%s", strerror(errno));
    } else if (!feof(file)) {
        rc = fault(&p, "longer than %d bytes", SPEC_FILE_MAX);
    } else if (strlen(text) != n) {
        rc = fault(&p, "not a text file");
    } else {
        rc = spec_parse(text, ret, ret_fault);
    }
    free(text);
    fclose(file);
    return rc;
}

static void
free_words(char **words)
{
    for (size_t i = 0; words && words[i]; i++) {
        free(words[i]);
    }
    free(words);
}

void
spec_free(struct spec **s_p)
{
    struct spec *s = *s_p;

    if (!s) {
        return;
    }
    for (size_t i = 0; i < s->n; i++) {
        free(s->children[i].name);
        free(s->children[i].service);
        free_words(s->children[i].argv);
        free_words(s->children[i].environment);
    }
    free(s->children);
    free(s);
    *s_p = NULL;
}

/* Without the blanks at both ends, in place. */
static char *
trim(char *text)
{
    char *end = text + strlen(text);

    while (end > text && isspace((unsigned char)end[-1])) {
        *--end = '\0';
    }
    while (isspace((unsigned char)*text)) {
        text++;
    }
    return text;
}

static void
cut_comment(char *line)
{
    bool quoted = false;

    for (char *c = line; *c != '\0'; c++) {
        if (*c == '"') {
            quoted = !quoted;
        } else if (*c == '#' && !quoted && (c == line || isspace((unsigned char)c[-1]))) {
            *c = '\0';
            return;
        }
    }
}

static int
read_line(struct parser *p, char *line)
{
    char *cells[COLS];
    int n = 0;

    cut_comment(line);
    line = trim(line);
    if (line[0] == '\0') {
        return 0;
    }
    if (!strchr(line, '|')) {
        return read_setting(p, line);
    }
    for (char *rest = line; rest;) {
        char *cell = strsep(&rest, "|");
        if (n == COLS) {
            return fault(p, "more than %d columns", COLS);
        }
        cells[n++] = trim(cell);
    }
    if (n == COLS - 1) {
        /* A row that lists no variables may leave out the last bar. */
        cells[n++] = line + strlen(line);
    }
    if (n != COLS) {
        return fault(p,
                     "%d columns where %d are needed (name | service | command | restart | "
                     "shutdown | workers | environment)",
                     n, COLS);
    }
    return p->heading ? read_row(p, cells) : read_heading(p, cells);
}

static int
read_heading(struct parser *p, char *const cells[COLS])
{
    for (int i = 0; i < COLS; i++) {
        if (strcmp(cells[i], columns[i]) != 0) {
            return fault(p,
                         "the first row must be the heading; column %d is \"%.40s\" and not "
                         "\"%s\"",
                         i + 1, cells[i], columns[i]);
        }
    }
    p->heading = true;
    return 0;
}

/* The index of `word` in `names`, or -1. */
static int
find_name(const char *word, const char *const *names, int n)
{
    for (int i = 0; i < n; i++) {
        if (strcmp(word, names[i]) == 0) {
            return i;
        }
    }
    return -1;
}

/* A whole number without sign in [0, max]. */
static bool
read_number(const char *text, unsigned max, unsigned *ret)
{
    size_t digits = strspn(text, "0123456789");
    unsigned long v;

    if (digits == 0 || digits > 9 || text[digits] != '\0') {
        return false;
    }
    v = strtoul(text, NULL, 10);
    if (v > max) {
        return false;
    }
    *ret = (unsigned)v;
    return true;
}

bool
spec_duration(const char *text, int64_t *ret_ms)
{
    static const struct {
        const char *unit;
        int64_t ms;
    } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}};
    const int64_t day = 86400000;
    size_t digits = strspn(text, "0123456789");

    if (digits == 0 || digits > 9) {
        return false;
    }
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (strcmp(text + digits, units[i].unit) == 0) {
            int64_t ms = strtoll(text, NULL, 10) * units[i].ms;
            if (ms > day) {
                return false;
            }
            *ret_ms = ms;
            return true;
        }
    }
    return false;
}

static bool
name_ok(const char *name)
{
    size_t n = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.");

    return n > 0 && n <= 48 && name[n] == '\0' && name[0] != '.' && name[0] != '-';
}

/* True if every word is NAME or NAME=VALUE; else *ret_word is the one that is not. */
static bool
environment_ok(char *const *words, const char **ret_word)
{
    for (; *words; words++) {
        size_t n =
            strspn(*words, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_");
        if (n == 0 || isdigit((unsigned char)**words) ||
            ((*words)[n] != '\0' && (*words)[n] != '=')) {
            *ret_word = *words;
            return false;
        }
    }
    return true;
}

/* Everything of a row that has a range. */
static int
read_values(struct parser *p, char *const cells[COLS], struct child_spec *c)
{
    const char *word = NULL;
    int i = find_name(cells[COL_RESTART], restart_names, 3);

    if (!name_ok(cells[COL_NAME])) {
        return fault(p, "name \"%.60s\": 1 to 48 letters, digits, - _ .", cells[COL_NAME]);
    }
    for (size_t k = 0; k < p->spec->n; k++) {
        if (strcmp(p->spec->children[k].name, cells[COL_NAME]) == 0) {
            return fault(p, "name \"%s\" is there twice", cells[COL_NAME]);
        }
    }
    if (i < 0) {
        return fault(p, "restart \"%.40s\": permanent, transient or temporary", cells[COL_RESTART]);
    }
    c->restart = (enum spec_restart)i;
    if (strcmp(cells[COL_SHUTDOWN], "brutal_kill") == 0) {
        c->shutdown_ms = 0;
    } else if (!spec_duration(cells[COL_SHUTDOWN], &c->shutdown_ms)) {
        return fault(p,
                     "shutdown \"%.40s\": a time such as 5s or 500ms (up to 24h), or brutal_kill",
                     cells[COL_SHUTDOWN]);
    }
    if (!read_number(cells[COL_WORKERS], SPEC_WORKERS_MAX, &c->workers)) {
        return fault(p, "workers \"%.40s\": a whole number from 0 to %d", cells[COL_WORKERS],
                     SPEC_WORKERS_MAX);
    }
    if (c->workers > 1 && strcmp(cells[COL_SERVICE], "-") == 0) {
        return fault(p, "workers \"%.40s\": " SPEC_ALONE, cells[COL_WORKERS]);
    }
    if (!c->argv || !c->argv[0] || c->argv[0][0] == '\0') {
        return fault(p, "command \"%.60s\": a program and its arguments", cells[COL_COMMAND]);
    }
    if (!c->environment) {
        return fault(p, "environment: a \" has no end");
    }
    if (!environment_ok(c->environment, &word)) {
        return fault(p, "environment \"%.60s\": NAME or NAME=VALUE", word);
    }
    return 0;
}

static int
read_row(struct parser *p, char *const cells[COLS])
{
    struct spec *s = p->spec;
    struct child_spec *grown;
    struct child_spec c = {.argv = split_words(cells[COL_COMMAND]),
                           .environment = split_words(cells[COL_ENV])};

    if (read_values(p, cells, &c) != 0 ||
        (s->n == SPEC_CHILDREN_MAX && fault(p, "more than %d children", SPEC_CHILDREN_MAX) != 0)) {
        free_words(c.argv);
        free_words(c.environment);
        return -1;
    }
    c.name = strdup(cells[COL_NAME]);
    c.service = strdup(strcmp(cells[COL_SERVICE], "-") == 0 ? "" : cells[COL_SERVICE]);
    grown = realloc(s->children, (s->n + 1) * sizeof(*grown));
    if (!c.name || !c.service || !grown) {
        exit(EX_TEMPFAIL);
    }
    s->children = grown;
    s->children[s->n++] = c;
    return 0;
}

/* "5 in 60s" */
static bool
read_intensity(char **words, struct spec_limits *l)
{
    return words[1] && words[2] && words[3] && !words[4] && strcmp(words[2], "in") == 0 &&
           read_number(words[1], 1000000, &l->crashes) && spec_duration(words[3], &l->period_ms);
}

/* "100ms to 5s, reset after 1s" */
static bool
read_backoff(char **words, struct spec_limits *l)
{
    size_t n = 0;

    while (words[n]) {
        n++;
    }
    if (n != 7) {
        return false;
    }
    words[3][strcspn(words[3], ",")] = '\0';
    return strcmp(words[2], "to") == 0 && strcmp(words[4], "reset") == 0 &&
           strcmp(words[5], "after") == 0 && spec_duration(words[1], &l->backoff_min_ms) &&
           spec_duration(words[3], &l->backoff_max_ms) && spec_duration(words[6], &l->reset_ms) &&
           l->backoff_min_ms <= l->backoff_max_ms;
}

static int
read_setting(struct parser *p, char *line)
{
    char **words = split_words(line);
    struct spec_limits *l = &p->spec->limits;
    int rc = 0;
    int i;

    if (!words) {
        return fault(p, "a \" has no end");
    }
    if (strcmp(words[0], "strategy") == 0) {
        i = words[1] && !words[2] ? find_name(words[1], strategy_names, 3) : -1;
        if (i < 0) {
            rc = fault(p, "strategy: one_for_one, rest_for_one or one_for_all");
        } else {
            p->spec->strategy = (enum spec_strategy)i;
        }
    } else if (strcmp(words[0], "intensity") == 0) {
        rc = read_intensity(words, l) ? 0 : fault(p, "intensity: for instance \"5 in 60s\"");
    } else if (strcmp(words[0], "backoff") == 0) {
        rc = read_backoff(words, l)
                 ? 0
                 : fault(p, "backoff: for instance \"100ms to 5s, reset after 1s\"");
    } else if (strcmp(words[0], "retry") == 0) {
        rc = words[1] && !words[2] && spec_duration(words[1], &l->retry_ms)
                 ? 0
                 : fault(p, "retry: a time such as 30s");
    } else {
        rc = fault(p,
                   "\"%.40s\" is neither a setting (strategy, intensity, backoff, retry) nor a "
                   "row with |",
                   words[0]);
    }
    free_words(words);
    return rc;
}

/* Words between blanks; "..." keeps blanks and may stand within a word. NULL if a quote has no end.
 */
static char **
split_words(const char *text)
{
    size_t room = strlen(text) + 1, n = 0;
    char **words = calloc(room / 2 + 2, sizeof(*words));
    char *word = malloc(room);

    if (!words || !word) {
        exit(EX_TEMPFAIL);
    }
    while (*(text += strspn(text, " \t\r"))) {
        size_t len = 0;
        bool quoted = false;
        for (; *text && (quoted || !isspace((unsigned char)*text)); text++) {
            if (*text == '"') {
                quoted = !quoted;
            } else {
                word[len++] = *text;
            }
        }
        if (quoted) {
            free_words(words);
            free(word);
            return NULL;
        }
        words[n] = strndup(word, len);
        if (!words[n++]) {
            exit(EX_TEMPFAIL);
        }
    }
    free(word);
    return words;
}

static int
fault(struct parser *p, const char *format, ...)
{
    va_list args;

    p->fault->line = p->line;
    va_start(args, format);
    vsnprintf(p->fault->what, sizeof(p->fault->what), format, args);
    va_end(args);
    return -1;
}

const char *
spec_restart_str(enum spec_restart r)
{
    return restart_names[r];
}

const char *
spec_strategy_str(enum spec_strategy s)
{
    return strategy_names[s];
}
