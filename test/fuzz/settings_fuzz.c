/* settings_fuzz - whatever a file of settings holds, each of its lines is a setting, a comment or a
 * fault that is named; what was set is in the file, and the same file written from it sets the
 * same. Whatever the values are, they are within the limits of their rows, or refused in one line
 * each that names the setting and never shows a secret. */
#include "actors/edge/options.h"
#include "proto/runtime/option.h"
#include "test/fuzz/fuzz.h"

#include <sys/mman.h>
#include <unistd.h>

extern char **environ;

/* A row of each type. */
static const struct option table[] = {
    {.name = "A", .type = OPTION_INT, .value_default = "5", .min = -10, .max = 1000000},
    {.name = "B", .type = OPTION_FLOAT, .value_default = "0.5", .min = -1, .max = 1e9},
    {.name = "C", .type = OPTION_DURATION, .value_default = "30s", .min = 500, .max = 86400e3},
    {.name = "D", .type = OPTION_BOOL, .value_default = "off"},
    {.name = "E", .type = OPTION_TEXT, .value_default = "abc", .min = 3, .max = 20},
    {.name = "F", .type = OPTION_CHOICE, .value_default = "a", .choices = "a|bee|c"},
    {.name = "G", .type = OPTION_PATH, .value_default = ""},
    {.name = "H", .type = OPTION_URL, .value_default = "", .choices = "http|https"},
    {.name = "I", .type = OPTION_PORT, .value_default = "8080", .min = 1, .max = 65535},
    {.name = "J", .type = OPTION_URL, .choices = "postgresql|postgres", .secret = true},
    OPTION_END,
};

/* --- the file -------------------------------------------------------------------------------- */

static void
check_lines(struct str faults, int n)
{
    int lines = 0;

    insist(faults.n == 0 || faults.p[faults.n - 1] == '\n');
    while (faults.n > 0) {
        struct str line = take(&faults, '\n');
        insist(is_line(line));
        insist(begins(line, "FTE_CONFIG=\""));
        lines++;
    }
    insist(lines == n);
}

static bool
is_name(struct str s)
{
    bool ok = s.n > 0 && !(s.p[0] >= '0' && s.p[0] <= '9');

    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        ok = ok && ((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
                    c == '_');
    }
    return ok;
}

/* Puts the bytes where a file can be opened, and loads it into an environment that is empty. */
static int
load(struct str bytes, struct buf *faults)
{
    char path[40];
    int fd = memfd_create("settings", MFD_CLOEXEC);
    int n;

    insist(fd >= 0);
    for (size_t at = 0; at < bytes.n;) {
        ssize_t put = write(fd, bytes.p + at, bytes.n - at);
        insist(put > 0);
        at += (size_t)put;
    }
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    clearenv();
    n = option_load_file(path, faults);
    close(fd);
    return n;
}

/* What is set: one name each, and a value that stands in the file. */
static void
check_environment(struct str file, struct buf *ret_again)
{
    for (char **e = environ; e != NULL && *e != NULL; e++) {
        struct str value = str_of(*e);
        struct str name = take(&value, '=');
        insist(is_name(name));
        insist(str_eq(str_trim(value), value) && memchr(*e, '\n', strlen(*e)) == NULL);
        insist(value.n == 0 || memmem(file.p, file.n, value.p, value.n) != NULL);
        buf_printf(ret_again, "%s\n", *e);
    }
}

static void
check_again(const struct buf *written)
{
    struct buf faults = {0}, again = {0};

    insist(load(buf_str(written), &faults) == 0);
    check_environment(buf_str(written), &again);
    insist(str_eq(buf_str(written), buf_str(&again)));
    buf_fini(&faults);
    buf_fini(&again);
}

/* --- the values ------------------------------------------------------------------------------ */

static void
check_value(const struct option *o)
{
    const char *text = option_text(table, o->name);
    double v = 0;

    switch (o->type) {
    case OPTION_INT:
    case OPTION_PORT:
    case OPTION_DURATION:
        v = (double)option_int(table, o->name);
        insist(v >= o->min && v <= o->max);
        break;
    case OPTION_FLOAT:
        v = option_float(table, o->name);
        insist(v >= o->min && v <= o->max);
        break;
    case OPTION_BOOL:
        insist(option_int(table, o->name) == option_bool(table, o->name));
        break;
    case OPTION_TEXT:
        insist((double)strlen(text) >= o->min && (double)strlen(text) <= o->max);
        break;
    case OPTION_CHOICE:
        insist(strstr(o->choices, "bee") != NULL && strlen(text) <= 3);
        break;
    case OPTION_URL:
        insist(text[0] == '\0' || strstr(text, "://") != NULL);
        break;
    case OPTION_PATH:
        break;
    }
}

/* The line of a secret is the same whatever its value is. */
static bool
is_discreet(struct str line)
{
    static const char *const lines[] = {
        "J must be set: must be an address that begins with postgresql:// or postgres://",
        "J has a value that is not allowed (not shown): must be an address that begins with "
        "postgresql:// or postgres://"};

    return str_is(line, lines[0]) || str_is(line, lines[1]);
}

static void
check_faults(const struct option *rows, struct str faults, int n)
{
    int lines = 0;

    while (faults.n > 0) {
        struct str line = take(&faults, '\n');
        const struct option *found = NULL;
        insist(is_line(line) && line.n < 1000);
        for (const struct option *o = rows; o->name != NULL && found == NULL; o++) {
            found = begins(line, o->name) ? o : NULL;
        }
        insist(found != NULL && memmem(line.p, line.n, ": must be ", 10) != NULL);
        insist(strcmp(found->name, "J") != 0 || is_discreet(line));
        lines++;
    }
    insist(lines == n);
}

static void
check_values(const struct option *rows)
{
    struct buf faults = {0};
    int n = option_check(rows, &faults);

    check_faults(rows, buf_str(&faults), n);
    if (n == 0 && rows == table) {
        for (const struct option *o = rows; o->name != NULL; o++) {
            check_value(o);
        }
    }
    buf_fini(&faults);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str file = {(const char *)data, size};
    struct buf faults = {0}, written = {0};
    int n = load(file, &faults);

    check_lines(buf_str(&faults), n);
    check_environment(file, &written);
    check_values(table);
    if (getenv("FTE_KAFKA_BROKERS") != NULL || getenv("FTE_KAFKA_PROPERTIES") != NULL) {
        check_values(edge_options);
    }
    check_again(&written);
    buf_fini(&faults);
    buf_fini(&written);
    return 0;
}
