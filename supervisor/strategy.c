#include "supervisor/strategy.h"

#include <sys/wait.h>
#include <sysexits.h>

static const char *const kind_names[] = {"normal", "crash", "config"};

enum exit_kind
exit_kind_of(int wait_status)
{
    if (!WIFEXITED(wait_status)) {
        return EXIT_CRASH;
    }
    switch (WEXITSTATUS(wait_status)) {
    case EX_OK:
        return EXIT_NORMAL;
    case EX_CONFIG:
        return EXIT_CONFIG_78;
    default:
        return EXIT_CRASH;
    }
}

enum after_exit
strategy_after(enum spec_restart restart, enum exit_kind kind)
{
    if (kind == EXIT_CONFIG_78) {
        return AFTER_MISCONFIGURED;
    }
    switch (restart) {
    case RESTART_PERMANENT:
        return AFTER_RESTART;
    case RESTART_TRANSIENT:
        return kind == EXIT_NORMAL ? AFTER_END : AFTER_RESTART;
    case RESTART_TEMPORARY:
        return AFTER_END;
    }
    return AFTER_END;
}

bool
strategy_takes_along(enum spec_strategy strategy, size_t dead, size_t other)
{
    switch (strategy) {
    case STRATEGY_ONE_FOR_ONE:
        return false;
    case STRATEGY_REST_FOR_ONE:
        return other > dead;
    case STRATEGY_ONE_FOR_ALL:
        return true;
    }
    return false;
}

const char *
exit_kind_str(enum exit_kind k)
{
    return kind_names[k];
}
