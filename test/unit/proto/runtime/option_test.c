#include "proto/runtime/option.h"

#include <criterion/criterion.h>
#include <stdlib.h>

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
