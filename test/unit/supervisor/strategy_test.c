/* The rules of OTP's supervisor, case by case as its supervisor_SUITE has them. */
#include "supervisor/strategy.h"

#include <criterion/criterion.h>
#include <signal.h>

/* Statuses as waitpid(2) builds them. */
#define EXITED(code) ((code) << 8)
#define KILLED(sig) (sig)

Test(strategy, tells_normal_crash_and_configuration_apart)
{
    cr_assert_eq(exit_kind_of(EXITED(0)), EXIT_NORMAL);
    cr_assert_eq(exit_kind_of(EXITED(1)), EXIT_CRASH);
    cr_assert_eq(exit_kind_of(EXITED(75)), EXIT_CRASH);
    cr_assert_eq(exit_kind_of(EXITED(77)), EXIT_CRASH);
    cr_assert_eq(exit_kind_of(EXITED(78)), EXIT_CONFIG_78);
    cr_assert_eq(exit_kind_of(EXITED(255)), EXIT_CRASH);
    cr_assert_eq(exit_kind_of(KILLED(SIGKILL)), EXIT_CRASH);
    cr_assert_eq(exit_kind_of(KILLED(SIGTERM)), EXIT_CRASH);
    cr_assert_eq(exit_kind_of(KILLED(SIGABRT) | 0x80), EXIT_CRASH, "with a core");
}

Test(strategy, restarts_by_restart_type_and_kind_of_end)
{
    static const struct {
        enum spec_restart restart;
        enum exit_kind kind;
        enum after_exit after;
    } cases[] = {
        {RESTART_PERMANENT, EXIT_NORMAL, AFTER_RESTART},
        {RESTART_PERMANENT, EXIT_CRASH, AFTER_RESTART},
        {RESTART_PERMANENT, EXIT_CONFIG_78, AFTER_MISCONFIGURED},
        {RESTART_TRANSIENT, EXIT_NORMAL, AFTER_END},
        {RESTART_TRANSIENT, EXIT_CRASH, AFTER_RESTART},
        {RESTART_TRANSIENT, EXIT_CONFIG_78, AFTER_MISCONFIGURED},
        {RESTART_TEMPORARY, EXIT_NORMAL, AFTER_END},
        {RESTART_TEMPORARY, EXIT_CRASH, AFTER_END},
        {RESTART_TEMPORARY, EXIT_CONFIG_78, AFTER_MISCONFIGURED},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        cr_assert_eq(strategy_after(cases[i].restart, cases[i].kind), cases[i].after, "%s %s",
                     spec_restart_str(cases[i].restart), exit_kind_str(cases[i].kind));
    }
}

Test(strategy, one_for_one_leaves_all_others_alone)
{
    for (size_t other = 0; other < 5; other++) {
        cr_assert_not(other != 2 && strategy_takes_along(STRATEGY_ONE_FOR_ONE, 2, other));
    }
}

Test(strategy, rest_for_one_takes_along_those_that_were_started_later)
{
    cr_assert_not(strategy_takes_along(STRATEGY_REST_FOR_ONE, 2, 0));
    cr_assert_not(strategy_takes_along(STRATEGY_REST_FOR_ONE, 2, 1));
    cr_assert(strategy_takes_along(STRATEGY_REST_FOR_ONE, 2, 3));
    cr_assert(strategy_takes_along(STRATEGY_REST_FOR_ONE, 2, 4));
}

Test(strategy, one_for_all_takes_along_everyone)
{
    cr_assert(strategy_takes_along(STRATEGY_ONE_FOR_ALL, 2, 0));
    cr_assert(strategy_takes_along(STRATEGY_ONE_FOR_ALL, 2, 4));
}
