#include "proto/runtime/option.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static bool
even(const char *value, struct buf *ret_why)
{
    buf_printf(ret_why, "%s is odd\n", value);
    return atoi(value) % 2 == 0;
}

static const struct option table[] = {
    {.name = "T_INT", .type = OPTION_INT, .value_default = "5", .min = 1, .max = 10},
    {.name = "T_DURATION",
     .type = OPTION_DURATION,
     .value_default = "30s",
     .min = 500,
     .max = 9 * 86400e3},
    {.name = "T_BOOL", .type = OPTION_BOOL, .value_default = "off"},
    {.name = "T_CHOICE", .type = OPTION_CHOICE, .value_default = "a", .choices = "a|bee"},
    {.name = "T_URL", .type = OPTION_URL, .choices = "postgresql|postgres", .secret = true},
    OPTION_END,
};

static int
faults_with(const char *name, const char *value, struct buf *text)
{
    setenv("T_URL", "postgresql:///x", 1);
    setenv(name, value, 1);
    return option_check(table, text);
}

Test(option, takes_defaults_and_values_in_range)
{
    struct buf text = {0};
    cr_assert_eq(faults_with("T_INT", "10", &text), 0, "%s", buf_c(&text));
    setenv("T_DURATION", "2m", 1);
    setenv("T_BOOL", "Yes", 1);
    cr_assert_eq(option_check(table, &text), 0);
    cr_assert_eq(option_int(table, "T_INT"), 10);
    cr_assert_eq(option_int(table, "T_DURATION"), 120000);
    cr_assert(option_bool(table, "T_BOOL"));
    cr_assert_str_eq(option_text(table, "T_CHOICE"), "a");
    buf_fini(&text);
}

Test(option, names_the_setting_and_the_allowed_range_for_each_fault)
{
    struct buf text = {0};
    cr_assert_eq(faults_with("T_INT", "11", &text), 1);
    cr_assert_not_null(strstr(buf_c(&text), "T_INT=\"11\""));
    cr_assert_not_null(strstr(buf_c(&text), "from 1 to 10"));
    buf_clear(&text);
    setenv("T_CHOICE", "b", 1);
    setenv("T_DURATION", "5 minutes", 1);
    setenv("T_BOOL", "maybe", 1);
    cr_assert_eq(option_check(table, &text), 4);
    cr_assert_not_null(strstr(buf_c(&text), "from 500ms to 9d"), "%s", buf_c(&text));
    buf_fini(&text);
}

Test(option, never_shows_the_value_of_a_secret)
{
    struct buf text = {0};
    cr_assert_eq(faults_with("T_URL", "http://hunter2@x", &text), 1);
    cr_assert_null(strstr(buf_c(&text), "hunter2"));
    cr_assert_not_null(strstr(buf_c(&text), "T_URL"));
    buf_fini(&text);
}

Test(option, wants_what_has_no_default)
{
    struct buf text = {0};
    unsetenv("T_URL");
    cr_assert_eq(option_check(table, &text), 1);
    cr_assert_not_null(strstr(buf_c(&text), "T_URL must be set"));
    buf_fini(&text);
}

Test(option, takes_a_whole_number_only_as_digits)
{
    static const char *const wrong[] = {"0x5", "5.0", "5e0", " 5", "5 ", "+5", "-", "five"};
    struct buf text = {0};

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        cr_assert_eq(faults_with("T_INT", wrong[i], &text), 1, "%s", wrong[i]);
    }
    buf_fini(&text);
}

Test(option, a_row_may_ask_further_and_say_why)
{
    static const struct option row[] = {{.name = "T_EVEN",
                                         .type = OPTION_INT,
                                         .value_default = "2",
                                         .max = 9,
                                         .allowed = "an even number",
                                         .valid = even},
                                        OPTION_END};
    struct buf text = {0};

    setenv("T_EVEN", "4", 1);
    cr_assert_eq(option_check(row, &text), 0);
    setenv("T_EVEN", "5", 1);
    cr_assert_eq(option_check(row, &text), 1);
    cr_assert_str_eq(buf_c(&text),
                     "T_EVEN=\"5\" is not allowed: must be an even number (5 is odd)\n");
    buf_clear(&text);
    setenv("T_EVEN", "12", 1); /* beyond the limits: not asked */
    cr_assert_eq(option_check(row, &text), 1);
    cr_assert_null(strstr(buf_c(&text), "odd"));
    buf_fini(&text);
}

Test(option, a_fault_is_one_line_whatever_the_value_holds)
{
    struct buf text = {0};

    cr_assert_eq(faults_with("T_CHOICE", "a\nb\tc", &text), 1);
    cr_assert_str_eq(buf_c(&text), "T_CHOICE=\"a b c\" is not allowed: must be one of a, bee\n");
    buf_fini(&text);
}

Test(option, a_directory_is_no_file_that_can_be_read)
{
    cr_assert_not(option_file_ok("/"));
    cr_assert_not(option_file_ok("/nonexistent"));
    cr_assert(option_file_ok("/proc/self/exe"));
}

Test(option, a_fault_is_utf8_wherever_its_value_is_cut)
{
    struct buf text = {0}, value = {0};

    buf_add_c(&value, "a"); /* so that the hundredth byte is in the middle of a letter */
    for (int i = 0; i < 60; i++) {
        buf_add_c(&value, "\xc3\xa9");
    }
    cr_assert_eq(faults_with("T_CHOICE", buf_c(&value), &text), 1);
    cr_assert(str_is_text(buf_str(&text)), "%s", buf_c(&text));
    buf_clear(&text);
    cr_assert_eq(faults_with("T_CHOICE", "\xff\x7f", &text), 1);
    cr_assert_str_eq(buf_c(&text), "T_CHOICE=\"? \" is not allowed: must be one of a, bee\n");
    buf_fini(&text);
    buf_fini(&value);
}

/* Loads a file of these bytes; how many faults. */
static int
load(struct str bytes, struct buf *text)
{
    char path[40];
    int fd = memfd_create("settings", MFD_CLOEXEC);
    int n;

    cr_assert_eq(write(fd, bytes.p, bytes.n), (ssize_t)bytes.n);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    n = option_load_file(path, text);
    close(fd);
    return n;
}

Test(option, a_file_sets_what_the_environment_does_not)
{
    struct buf text = {0};

    unsetenv("T_INT");
    unsetenv("T_BOOL");
    setenv("T_CHOICE", "bee", 1);
    cr_assert_eq(load(STR("# why\n\n T_INT = 7 \r\nT_CHOICE=a\nT_BOOL=on"), &text), 0, "%s",
                 buf_c(&text));
    cr_assert_str_eq(getenv("T_INT"), "7");
    cr_assert_str_eq(getenv("T_BOOL"), "on");
    cr_assert_str_eq(getenv("T_CHOICE"), "bee");
    buf_fini(&text);
}

Test(option, a_line_of_a_file_that_would_set_nothing_is_a_fault)
{
    static const struct str lines[] = {STR("export T_INT=5"), STR("\xef\xbb\xbfT_INT=5"),
                                       STR("T INT=5"),        STR("5=5"),
                                       STR("T-INT=5"),        STR("=5"),
                                       STR("T_INT"),          STR("T_CHOICE=a\0bee")};
    struct buf text = {0};

    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        buf_clear(&text);
        cr_expect_eq(load(lines[i], &text), 1, "%s", lines[i].p);
        cr_expect_not_null(strstr(buf_c(&text), "line 1 must be KEY=VALUE"), "%s", lines[i].p);
    }
    buf_fini(&text);
}
