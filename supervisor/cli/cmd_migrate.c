/* fte migrate - the schema of the database, brought to what this program needs. */
#include "db/migrate.h"
#include "proto/err.h"
#include "supervisor/cli/cli.h"

#include <stdio.h>
#include <stdlib.h>

int
cmd_migrate(int argc, char **argv)
{
    bool json = cli_flag(&argc, argv, "--json");
    bool check = cli_flag(&argc, argv, "--check");
    const char *url = getenv("DATABASE_URL");
    struct migrate_report report;
    int err;

    if (argc > 1) {
        return cli_fail(CLI_USAGE, "migrate", "usage: fte migrate [--check] [--json]");
    }
    if (!url || url[0] == '\0') {
        return cli_fail(CLI_CONFIG, "migrate",
                        "DATABASE_URL: not set, and no private cluster runs");
    }
    err = migrate_apply(url, migrations, check, &report);
    if (json) {
        printf("{\"version\":%d,\"wanted\":%d,\"applied\":%d,\"error\":%s%s%s}\n", report.version,
               migrate_version(), report.applied, err ? "\"" : "", err ? err_str(err) : "null",
               err ? "\"" : "");
    } else if (err == 0 && report.applied > 0) {
        printf("schema version %d (was %d)\n", report.version, report.version_before);
    } else if (err == 0) {
        printf("schema version %d, nothing to do\n", report.version);
    }
    if (err == 0) {
        return CLI_OK;
    }
    return cli_fail(err == ERR_UNAVAILABLE ? CLI_UNAVAILABLE
                    : err == ERR_VERSION || err == ERR_CONFLICT || err == ERR_INVALID ? CLI_CONFIG
                                                                                      : CLI_FAILED,
                    "migrate", "DATABASE_URL: %s", report.why);
}
