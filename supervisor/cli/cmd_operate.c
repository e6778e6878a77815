/* fte restart, fte scale, fte drain - what people tell the supervisor. */
#include "proto/clock.h"
#include "supervisor/cli/cli.h"
#include "supervisor/cli/client.h"

#include <stdio.h>
#include <string.h>

/* How long a restarted or added worker may take before `fte` says that it isn't ready. */
#define READY_MS 30000

/* True if the word can be part of a request line. */
static bool
word_ok(const char *word)
{
    return word[0] != '\0' && strlen(word) < 64 && !strpbrk(word, "\t\r\n");
}

static void
report(bool json, const char *name, const char *text, int64_t ms)
{
    if (json) {
        json_t *o =
            json_pack("{s:s, s:b, s:I}", "name", name, "ready", true, "took_ms", (json_int_t)ms);
        json_dumpf(o, stdout, JSON_COMPACT);
        putchar('\n');
        json_decref(o);
    } else {
        printf("%s %s, ready after %lld ms\n", name, text, (long long)ms);
    }
}

int
cmd_restart(int argc, char **argv)
{
    bool json = cli_flag(&argc, argv, "--json");
    int64_t begun = clock_ms();
    struct buf request = {0}, answer = {0};
    int rc;

    if (argc != 2 || !word_ok(argv[1])) {
        return cli_fail(CLI_USAGE, "restart", "usage: fte restart NAME [--json]");
    }
    buf_printf(&request, "restart\t%s", argv[1]);
    rc = client_ask("restart", buf_c(&request), false, &answer);
    buf_fini(&request);
    buf_fini(&answer);
    if (rc != CLI_OK) {
        return rc;
    }
    if (!client_wait_ready("restart", argv[1], READY_MS)) {
        return cli_fail(CLI_FAILED, "restart",
                        "%s is not ready after %d s; `fte status` tells more", argv[1],
                        READY_MS / 1000);
    }
    report(json, argv[1], "restarted", clock_ms() - begun);
    return CLI_OK;
}

int
cmd_scale(int argc, char **argv)
{
    bool json = cli_flag(&argc, argv, "--json");
    int64_t begun = clock_ms();
    struct buf request = {0}, answer = {0};
    char text[64];
    int rc;

    if (argc != 3 || !word_ok(argv[1]) || !word_ok(argv[2])) {
        return cli_fail(CLI_USAGE, "scale", "usage: fte scale NAME WORKERS [--json]");
    }
    buf_printf(&request, "scale\t%s\t%s", argv[1], argv[2]);
    rc = client_ask("scale", buf_c(&request), false, &answer);
    buf_fini(&request);
    buf_fini(&answer);
    if (rc != CLI_OK) {
        return rc;
    }
    if (!client_wait_ready("scale", argv[1], READY_MS)) {
        return cli_fail(CLI_FAILED, "scale", "%s is not ready after %d s; `fte status` tells more",
                        argv[1], READY_MS / 1000);
    }
    snprintf(text, sizeof(text), "has %s worker%s", argv[2], strcmp(argv[2], "1") == 0 ? "" : "s");
    report(json, argv[1], text, clock_ms() - begun);
    return CLI_OK;
}

int
cmd_drain(int argc, char **argv)
{
    bool json = cli_flag(&argc, argv, "--json");
    int64_t begun = clock_ms();
    struct buf answer = {0};
    int rc;

    if (argc > 1) {
        return cli_fail(CLI_USAGE, "drain", "usage: fte drain [--json]");
    }
    /* The answer ends with the supervisor itself. */
    rc = client_ask("drain", "drain", true, &answer);
    buf_fini(&answer);
    if (rc != CLI_OK) {
        return rc;
    }
    if (json) {
        printf("{\"drained\":true,\"took_ms\":%lld}\n", (long long)(clock_ms() - begun));
    } else {
        printf("drained in %lld ms\n", (long long)(clock_ms() - begun));
    }
    return CLI_OK;
}
