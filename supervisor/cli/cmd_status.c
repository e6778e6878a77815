/* fte status, fte top - what every actor does, and how far the log's consumer is behind. */
#include "supervisor/cli/cli.h"
#include "supervisor/cli/client.h"
#include "supervisor/cli/lag.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

/* `lag` may be NULL. */
static void
print_json(const struct client_status *s, json_t *lag)
{
    json_t *json = client_status_json(s);
    char *text;

    if (lag != NULL) {
        json_object_set(json, "log", lag);
    }
    text = json_dumps(json, JSON_COMPACT | JSON_REAL_PRECISION(12));

    puts(text ? text : "{}");
    free(text);
    json_decref(json);
}

int
cmd_status(int argc, char **argv)
{
    bool json = cli_flag(&argc, argv, "--json");
    struct client_status s;
    int rc;

    if (argc > 1) {
        return cli_fail(CLI_USAGE, "status", "usage: fte status [--json]");
    }
    rc = client_status("status", &s);
    if (rc != CLI_OK) {
        return rc;
    }
    if (json) {
        print_json(&s, NULL);
    } else {
        client_status_print(&s);
    }
    client_status_fini(&s);
    return CLI_OK;
}

int
cmd_top(int argc, char **argv)
{
    bool json = cli_flag(&argc, argv, "--json");
    bool terminal = isatty(STDOUT_FILENO) == 1;
    const struct timespec second = {.tv_sec = 1};

    if (argc > 1) {
        return cli_fail(CLI_USAGE, "top", "usage: fte top [--json]");
    }
    for (;;) {
        struct client_status s;
        int rc = client_status("top", &s);
        json_t *lag;
        if (rc != CLI_OK) {
            return rc;
        }
        if (json) {
            lag = lag_json("top");
            print_json(&s, lag);
        } else {
            if (terminal) {
                fputs("\033[H\033[2J", stdout); /* home, clear */
            }
            client_status_print(&s);
            fflush(stdout); /* the database may take its time */
            lag = lag_json("top");
            lag_print(lag);
        }
        json_decref(lag);
        client_status_fini(&s);
        if (!terminal || fflush(stdout) != 0) {
            return CLI_OK;
        }
        nanosleep(&second, NULL);
    }
}
