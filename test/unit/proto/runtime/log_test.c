#include "proto/runtime/log.h"

#include <criterion/criterion.h>
#include <pthread.h>

static void *
quote_much(void *arg)
{
    for (int i = 0; i < 20; i++) {
        cr_assert_str_eq(log_quote("of another thread"), "\"of another thread\"");
    }
    return arg;
}

Test(log_line, what_one_thread_quotes_is_not_touched_by_another)
{
    const char *mine = log_quote("mine");
    pthread_t thread;

    cr_assert_eq(pthread_create(&thread, NULL, quote_much, NULL), 0);
    pthread_join(thread, NULL);
    cr_assert_str_eq(mine, "\"mine\"");
}

Test(log_line, quotes_what_would_break_a_line)
{
    cr_assert_str_eq(log_quote("a \"b\"\n\\\x7f"), "\"a \\\"b\\\"\\x0a\\\\\\x7f\"");
    cr_assert_str_eq(log_quote(NULL), "\"\"");
}
