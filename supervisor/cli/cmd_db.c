/* fte db url - where the database is: for psql "$(fte db url)", pgbench and scripts. */
#include "supervisor/cli/cli.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int
cmd_db(int argc, char **argv)
{
    bool json = cli_flag(&argc, argv, "--json");
    const char *url = getenv("DATABASE_URL");

    if (argc != 2 || strcmp(argv[1], "url") != 0) {
        return cli_fail(CLI_USAGE, "db", "usage: fte db url [--json]");
    }
    if (!url || url[0] == '\0') {
        return cli_fail(CLI_CONFIG, "db", "DATABASE_URL: not set, and no private cluster runs");
    }
    if (json) {
        json_t *o = json_pack("{s:s}", "url", url);
        json_dumpf(o, stdout, JSON_COMPACT);
        putchar('\n');
        json_decref(o);
    } else {
        puts(url);
    }
    return CLI_OK;
}
