#include "proto/runtime/option.h"

#include "proto/err.h"

#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

static const struct {
    const char *unit;
    double ms;
} units[] = {{"ms", 1}, {"s", 1e3}, {"m", 60e3}, {"h", 3600e3}, {"d", 86400e3}};

static const char *
raw(const struct option *o)
{
    const char *value = getenv(o->name);

    if (value == NULL || value[0] == '\0') {
        value = o->value_default;
    }
    return value ? value : "";
}

static bool
read_number(const char *text, double *ret)
{
    char *end;
    double v;

    if (!((text[0] >= '0' && text[0] <= '9') || text[0] == '-')) {
        return false;
    }
    errno = 0;
    v = strtod(text, &end);
    if (errno != 0 || *end != '\0' || !isfinite(v)) {
        return false;
    }
    *ret = v;
    return true;
}

/* Decimal digits only: 0x10, 1e3 and 5.0 are not how a whole number is written here. */
static bool
read_whole(const char *text, double *ret)
{
    const char *digits = text + (text[0] == '-');

    return digits[0] != '\0' && digits[strspn(digits, "0123456789")] == '\0' &&
           read_number(text, ret);
}

static bool
read_duration(const char *text, double *ret_ms)
{
    size_t digits = strspn(text, "0123456789");

    for (size_t i = 0; digits > 0 && digits < 16 && i < sizeof(units) / sizeof(units[0]); i++) {
        if (strcmp(text + digits, units[i].unit) == 0) {
            *ret_ms = (double)strtoll(text, NULL, 10) * units[i].ms;
            return true;
        }
    }
    return false;
}

static bool
read_bool(const char *text, bool *ret)
{
    static const char *const yes[] = {"on", "true", "yes", "1"};
    static const char *const no[] = {"off", "false", "no", "0"};

    for (size_t i = 0; i < 4; i++) {
        if (strcasecmp(text, yes[i]) == 0 || strcasecmp(text, no[i]) == 0) {
            *ret = strcasecmp(text, yes[i]) == 0;
            return true;
        }
    }
    return false;
}

/* True if `word` is one of the words in "a|b|c". */
static bool
among(const char *word, size_t n, const char *choices)
{
    for (const char *c = choices; c != NULL && *c != '\0';) {
        size_t len = strcspn(c, "|");
        if (len == n && strncasecmp(c, word, n) == 0) {
            return true;
        }
        c += len + (c[len] == '|');
    }
    return false;
}

static bool
url_ok(const char *text, const char *schemes)
{
    const char *sep = strstr(text, "://");

    return sep != NULL && sep != text && among(text, (size_t)(sep - text), schemes) &&
           sep[3] != '\0' && strpbrk(text, " \t\r\n") == NULL;
}

bool
option_file_ok(const char *path)
{
    struct stat st;

    if (access(path, R_OK) != 0 || stat(path, &st) != 0) {
        return false;
    }
    errno = EISDIR;
    return !S_ISDIR(st.st_mode);
}

/* True if the text is allowed by the row's type and limits. */
static bool
type_ok(const struct option *o, const char *text)
{
    double v;
    bool b;

    switch (o->type) {
    case OPTION_INT:
        return read_whole(text, &v) && v >= o->min && v <= o->max;
    case OPTION_FLOAT:
        return read_number(text, &v) && v >= o->min && v <= o->max;
    case OPTION_DURATION:
        return read_duration(text, &v) && v >= o->min && v <= o->max;
    case OPTION_BOOL:
        return read_bool(text, &b);
    case OPTION_TEXT:
        return (double)strlen(text) >= o->min && (o->max == 0 || (double)strlen(text) <= o->max);
    case OPTION_CHOICE:
        return among(text, strlen(text), o->choices);
    case OPTION_PATH:
        return option_file_ok(text);
    case OPTION_URL:
        return url_ok(text, o->choices);
    case OPTION_PORT:
        return read_whole(text, &v) && v >= o->min && v <= o->max;
    }
    return false;
}

/* Milliseconds as a person writes them: 86400000 is 1d. */
static void
add_duration(struct buf *out, double ms)
{
    size_t i = sizeof(units) / sizeof(units[0]) - 1;

    while (i > 0 && (ms < units[i].ms || fmod(ms, units[i].ms) != 0)) {
        i--;
    }
    buf_printf(out, "%.0f%s", ms / units[i].ms, units[i].unit);
}

/* The words of "a|b", each with `after` behind it, and `between` them. */
static void
add_choices(const char *choices, const char *between, const char *after, struct buf *out)
{
    for (const char *c = choices; *c != '\0';) {
        int n = (int)strcspn(c, "|");
        buf_printf(out, "%s%.*s%s", c > choices ? between : "", n, c, after);
        c += n + (c[n] == '|');
    }
}

static void
describe_type(const struct option *o, struct buf *out)
{
    switch (o->type) {
    case OPTION_INT:
        buf_printf(out, "a whole number from %.0f to %.0f", o->min, o->max);
        break;
    case OPTION_FLOAT:
        buf_printf(out, "a number from %g to %g", o->min, o->max);
        break;
    case OPTION_DURATION:
        buf_add_c(out, "a time from ");
        add_duration(out, o->min);
        buf_add_c(out, " to ");
        add_duration(out, o->max);
        break;
    case OPTION_BOOL:
        buf_add_c(out, "on or off");
        break;
    case OPTION_TEXT:
        if (o->max == 0) {
            buf_printf(out, "text of at least %.0f bytes", o->min);
        } else {
            buf_printf(out, "text of %.0f to %.0f bytes", o->min, o->max);
        }
        break;
    case OPTION_CHOICE:
        buf_add_c(out, "one of ");
        add_choices(o->choices, ", ", "", out);
        break;
    case OPTION_PATH:
        buf_add_c(out, "a file that can be read");
        break;
    case OPTION_URL:
        buf_add_c(out, "an address that begins with ");
        add_choices(o->choices, " or ", "://", out);
        break;
    case OPTION_PORT:
        buf_printf(out, "a port from %.0f to %.0f", o->min, o->max);
        break;
    }
}

/* What docs/guide/settings.md says is allowed (test/docs/settings_test.py). */
static void
describe(const struct option *o, struct buf *out)
{
    if (o->allowed != NULL) {
        buf_add_c(out, o->allowed);
    } else {
        describe_type(o, out);
    }
}

static void
add_fault(const struct option *o, const char *text, struct str why, struct buf *out)
{
    if (text[0] == '\0') {
        buf_printf(out, "%s must be set: ", o->name);
    } else if (o->secret) {
        buf_printf(out, "%s has a value that is not allowed (not shown): ", o->name);
    } else {
        buf_printf(out, "%s=\"", o->name);
        buf_add_shown(out, str_of(text), 100);
        buf_add_c(out, "\" is not allowed: ");
    }
    buf_add_c(out, "must be ");
    describe(o, out);
    if (why.n > 0) {
        buf_add_c(out, " (");
        buf_add_shown(out, why, 300);
        buf_add_c(out, ")");
    }
    buf_add_byte(out, '\n');
}

int
option_check(const struct option *table, struct buf *ret_faults)
{
    int faults = 0;

    for (const struct option *o = table; o != NULL && o->name != NULL; o++) {
        const char *text = raw(o);
        struct buf why = {0};
        if (text[0] == '\0' && o->value_default != NULL) {
            continue; /* may be absent, and is */
        }
        if (text[0] == '\0' || !type_ok(o, text) || (o->valid != NULL && !o->valid(text, &why))) {
            faults++;
            /* The first line of it: what else is wrong shows when this is mended. */
            add_fault(o, text, (struct str){why.p, strcspn(buf_c(&why), "\n")}, ret_faults);
        }
        buf_fini(&why);
    }
    return faults;
}

/* As a shell has it: what is no name would be set, and never be read. */
static bool
is_name(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_' ||
              (i > 0 && c >= '0' && c <= '9'))) {
            return false;
        }
    }
    return s.n > 0;
}

/* Sets what a line says; false where it says nothing that can be set. */
static bool
take_line(struct str line)
{
    const char *eq = line.n > 0 ? memchr(line.p, '=', line.n) : NULL;
    struct str name, rest;
    char *key, *value;

    if (line.n == 0 || line.p[0] == '#') {
        return true;
    }
    if (eq == NULL || memchr(line.p, '\0', line.n) != NULL) {
        return false;
    }
    name = str_trim((struct str){line.p, (size_t)(eq - line.p)});
    rest = str_trim((struct str){eq + 1, line.n - (size_t)(eq - line.p) - 1});
    if (!is_name(name)) {
        return false;
    }
    key = str_dup(name);
    value = str_dup(rest);
    setenv(key, value, 0);
    free(key);
    free(value);
    return true;
}

int
option_load_file(const char *path, struct buf *ret_faults)
{
    FILE *f = option_file_ok(path) ? fopen(path, "re") : NULL;
    char *line = NULL;
    size_t cap = 0;
    int bad = 0;
    ssize_t n;

    if (f == NULL) {
        buf_printf(ret_faults,
                   "FTE_CONFIG=\"%s\" is not allowed: must be a file that can be read (%s)\n", path,
                   strerror(errno));
        return 1;
    }
    for (int number = 1; (n = getline(&line, &cap, f)) >= 0; number++) {
        if (!take_line(str_trim((struct str){line, (size_t)n}))) {
            buf_printf(ret_faults,
                       "FTE_CONFIG=\"%s\" is not allowed: line %d must be KEY=VALUE, the KEY of "
                       "letters, digits and _\n",
                       path, number);
            bad++;
        }
    }
    free(line);
    fclose(f);
    return bad;
}

void
option_load(const char *actor, const struct option *table)
{
    struct buf faults = {0};
    const char *path = getenv("FTE_CONFIG");
    int n = 0;

    if (path != NULL && path[0] != '\0') {
        n = option_load_file(path, &faults);
    }
    n += option_check(table, &faults);
    if (n > 0) {
        char *rest, *line;
        buf_c(&faults); /* strtok needs an end */
        for (line = strtok_r(faults.p, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
            fprintf(stderr, "fte-%s: %s\n", actor, line);
        }
        exit(EX_CONFIG);
    }
    buf_fini(&faults);
}

static const struct option *
find(const struct option *table, const char *name)
{
    for (const struct option *o = table; o->name != NULL; o++) {
        if (strcmp(o->name, name) == 0) {
            return o;
        }
    }
    fprintf(stderr, "fte: option %s is in no table\n", name);
    abort();
}

const char *
option_text(const struct option *table, const char *name)
{
    return raw(find(table, name));
}

double
option_float(const struct option *table, const char *name)
{
    const struct option *o = find(table, name);
    double v = 0;

    if (o->type == OPTION_DURATION) {
        read_duration(raw(o), &v);
    } else {
        read_number(raw(o), &v);
    }
    return v;
}

long long
option_int(const struct option *table, const char *name)
{
    return find(table, name)->type == OPTION_BOOL ? option_bool(table, name)
                                                  : (long long)option_float(table, name);
}

bool
option_bool(const struct option *table, const char *name)
{
    bool b = false;
    read_bool(raw(find(table, name)), &b);
    return b;
}
