#include "supervisor/spec.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#define HEADING "name | service | command | restart | shutdown | workers | environment\n"

static struct spec *
parse(const char *text)
{
    struct spec_fault fault = {0};
    struct spec *s = NULL;

    cr_assert_eq(spec_parse(text, &s, &fault), 0, "line %u: %s", fault.line, fault.what);
    return s;
}

/* The fault of a table that must be refused. */
static struct spec_fault
refuse(const char *text)
{
    struct spec_fault fault = {0};
    struct spec *s = NULL;

    cr_assert_eq(spec_parse(text, &s, &fault), -1, "was accepted: %s", text);
    cr_assert_null(s);
    return fault;
}

Test(spec, reads_every_column_of_a_row)
{
    struct spec *s =
        parse(HEADING "triage | triage | fte-triage | transient | 500ms | 3 | A B=1\n");
    const struct child_spec *c = &s->children[0];

    cr_assert_eq(s->n, 1);
    cr_assert_str_eq(c->name, "triage");
    cr_assert_str_eq(c->service, "triage");
    cr_assert_str_eq(c->argv[0], "fte-triage");
    cr_assert_null(c->argv[1]);
    cr_assert_eq(c->restart, RESTART_TRANSIENT);
    cr_assert_eq(c->shutdown_ms, 500);
    cr_assert_eq(c->workers, 3);
    cr_assert_str_eq(c->environment[0], "A");
    cr_assert_str_eq(c->environment[1], "B=1");
    cr_assert_null(c->environment[2]);
    spec_free(&s);
}

Test(spec, keeps_blanks_and_bars_of_no_meaning_apart_by_quotes)
{
    struct spec *s = parse(
        HEADING "h | - | python3 \"a b/history.py\" x\"\"y | permanent | 5s | 1 | \"N=a b\" M=\n");
    const struct child_spec *c = &s->children[0];

    cr_assert_str_eq(c->service, "");
    cr_assert_str_eq(c->argv[1], "a b/history.py");
    cr_assert_str_eq(c->argv[2], "xy");
    cr_assert_str_eq(c->environment[0], "N=a b");
    cr_assert_str_eq(c->environment[1], "M=");
    spec_free(&s);
}

Test(spec, ignores_comments_blank_lines_and_carriage_returns)
{
    struct spec *s = parse("# a table\r\n\r\n" HEADING "\n a|-|b#c|permanent|1s|1| # end\r\n");

    cr_assert_eq(s->n, 1);
    cr_assert_str_eq(s->children[0].argv[0], "b#c");
    spec_free(&s);
}

Test(spec, reads_the_settings_and_has_defaults_for_them)
{
    struct spec *s = parse(HEADING "a | - | b | permanent | brutal_kill | 1 |\n");

    cr_assert_eq(s->strategy, STRATEGY_ONE_FOR_ONE);
    cr_assert_eq(s->limits.crashes, 5);
    cr_assert_eq(s->limits.period_ms, 60000);
    cr_assert_eq(s->children[0].shutdown_ms, 0);
    spec_free(&s);
    s = parse("strategy rest_for_one\nintensity 3 in 10s\nbackoff 50ms to 2s, reset after 1m\n"
              "retry 7s\n" HEADING "a | - | b | permanent | 1s | 0\n");
    cr_assert_eq(s->strategy, STRATEGY_REST_FOR_ONE);
    cr_assert_eq(s->limits.crashes, 3);
    cr_assert_eq(s->limits.period_ms, 10000);
    cr_assert_eq(s->limits.backoff_min_ms, 50);
    cr_assert_eq(s->limits.backoff_max_ms, 2000);
    cr_assert_eq(s->limits.reset_ms, 60000);
    cr_assert_eq(s->limits.retry_ms, 7000);
    spec_free(&s);
}

Test(spec, names_the_line_of_a_fault)
{
    struct spec_fault f = refuse("# one\n" HEADING "a | - | b | permanent | 1s | 1 |\n"
                                 "b | - | b | sometimes | 1s | 1 |\n");

    cr_assert_eq(f.line, 4);
    cr_assert_not_null(strstr(f.what, "sometimes"));
    cr_assert_not_null(strstr(f.what, "permanent, transient or temporary"));
}

Test(spec, refuses_what_is_not_a_table)
{
    static const char *const tables[] = {
        "",
        "# nothing\n",
        HEADING,
        "a | - | b | permanent | 1s | 1 |\n",
        "nonsense\n" HEADING "a | - | b | permanent | 1s | 1 |\n",
        "strategy all\n",
        "strategy one_for_one one_for_all\n",
        "intensity 5\n",
        "intensity 5 in never\n",
        "backoff 5s to 1s, reset after 3s\n",
        "retry soon\n",
        "retry \"\n",
        HEADING "a | - | b | permanent | 1s\n",
        HEADING "a | - | b | permanent | 1s | 1 | X | Y\n",
        HEADING " | - | b | permanent | 1s | 1 |\n",
        HEADING "a b | - | b | permanent | 1s | 1 |\n",
        HEADING "a | - | | permanent | 1s | 1 |\n",
        HEADING "a | - | \"b | permanent | 1s | 1 |\n",
        HEADING "a | - | b | permanent | 1 | 1 |\n",
        HEADING "a | - | b | permanent | 25h | 1 |\n",
        HEADING "a | - | b | permanent | -1s | 1 |\n",
        HEADING "a | - | b | permanent | 1s | 65 |\n",
        HEADING "a | - | b | permanent | 1s | -1 |\n",
        HEADING "a | - | b | permanent | 1s | many |\n",
        HEADING "a | - | b | permanent | 1s | 99999999999999999999 |\n",
        HEADING "a | - | b | permanent | 1s | 1 | 1X\n",
        HEADING "a | - | b | permanent | 1s | 1 | =1\n",
        HEADING "a | - | b | permanent | 1s | 1 | A-B\n",
        HEADING "a | - | b | permanent | 1s | 1 | \"A=\n",
        HEADING "a | - | b | permanent | 1s | 1 |\na | - | c | permanent | 1s | 1 |\n",
    };

    for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
        struct spec_fault f = refuse(tables[i]);
        cr_assert_neq(f.what[0], '\0');
    }
}

Test(spec, has_room_for_64_children_and_says_so)
{
    char text[8192] = HEADING;

    for (int i = 0; i < SPEC_CHILDREN_MAX; i++) {
        sprintf(text + strlen(text), "c%d | - | x | permanent | 1s | 1 |\n", i);
    }
    struct spec *s = parse(text);
    cr_assert_eq(s->n, SPEC_CHILDREN_MAX);
    spec_free(&s);
    strcat(text, "more | - | x | permanent | 1s | 1 |\n");
    cr_assert_not_null(strstr(refuse(text).what, "more than 64 children"));
}

Test(spec, reads_a_file_or_says_why_not)
{
    struct spec_fault fault = {0};
    struct spec *s = NULL;

    cr_assert_eq(spec_load("supervisor/supervisor.conf", &s, &fault), 0, "%s", fault.what);
    cr_assert_gt(s->n, 10);
    spec_free(&s);
    cr_assert_eq(spec_load("/nonexistent", &s, &fault), -1);
    cr_assert_eq(fault.line, 0);
    cr_assert_not_null(strstr(fault.what, "No such file"));
    cr_assert_eq(spec_load("/", &s, &fault), -1);
    cr_assert_eq(spec_load("/dev/zero", &s, &fault), -1);
}
