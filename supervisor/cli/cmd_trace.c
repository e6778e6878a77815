/* fte trace - one message's way, step by step with times: log, ticket, tool calls, outcome. */
#include "db/trace.h"
#include "supervisor/cli/cli.h"
#include "supervisor/cli/session.h"

#include <jansson.h>
#include <stdio.h>

struct way {
    char unit[ID_TEXT_SIZE];
    int64_t first_us;
    json_t *steps;
};

static void
collect(void *arg, const struct pg_reply *reply)
{
    const PGresult *r = reply->results[0];
    struct way *way = arg;

    for (int row = 0; row < PQntuples(r); row++) {
        struct str step = pg_text(r, row, TRACE_STEP), detail = pg_text(r, row, TRACE_DETAIL);
        int64_t at = pg_time(r, row, TRACE_AT);
        char text[TIME_TEXT_SIZE];

        if (row == 0) {
            id_format(pg_id(r, row, TRACE_UNIT), way->unit);
            way->first_us = at;
        }
        time_text(at, text);
        json_array_append_new(way->steps, json_pack("{s:s, s:f, s:s%, s:s%}", "at", text, "ms",
                                                    (double)(at - way->first_us) / 1000, "step",
                                                    step.p, step.n, "detail", detail.p, detail.n));
    }
}

static void
print(const struct way *way, const char *id, bool json)
{
    json_t *step;
    size_t i;

    if (json) {
        json_t *all =
            json_pack("{s:s, s:s, s:O}", "id", id, "unit", way->unit, "steps", way->steps);
        json_dumpf(all, stdout, JSON_COMPACT);
        putchar('\n');
        json_decref(all);
        return;
    }
    printf("unit %s\n", way->unit);
    json_array_foreach(way->steps, i, step)
    {
        printf("%s  %+10.1f ms  %-11s  %s\n", json_string_value(json_object_get(step, "at")),
               json_real_value(json_object_get(step, "ms")),
               json_string_value(json_object_get(step, "step")),
               json_string_value(json_object_get(step, "detail")));
    }
}

int
cmd_trace(int argc, char **argv)
{
    bool json = cli_flag(&argc, argv, "--json");
    struct way way = {.unit = ""};
    struct session *d;
    struct pg_txn *t;
    struct id id;
    int code;

    if (argc != 2) {
        return cli_fail(CLI_USAGE, "trace", "usage: fte trace ID [--json]");
    }
    if (id_parse(str_of(argv[1]), &id) != 0) {
        return cli_fail(CLI_USAGE, "trace", "%s: not the id of a message or unit (36 characters)",
                        argv[1]);
    }
    way.steps = json_array();
    code = session_open("trace", &d);
    if (code == CLI_OK) {
        t = session_begin(d);
        trace_read(t, id);
        code = session_run(d, &t, collect, &way);
    }
    if (code == CLI_OK && json_array_size(way.steps) == 0) {
        code = cli_fail(CLI_FAILED, "trace", "%s: nothing is known of it", argv[1]);
    } else if (code == CLI_OK) {
        print(&way, argv[1], json);
    }
    json_decref(way.steps);
    session_close(&d);
    return code;
}
