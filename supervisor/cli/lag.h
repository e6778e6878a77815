/* lag - how far the log's consumer is behind, for `fte top`: read from the database. */
#ifndef SUPERVISOR_CLI_LAG_H
#define SUPERVISOR_CLI_LAG_H

#include <jansson.h>

/* {backend, lag, partitions: [{partition, lag}], measured_s_ago}, or null where it isn't known:
 * then stderr tells why the database didn't answer, as `fte <command>: ...`. Caller owns it. */
json_t *lag_json(const char *command);
/* One line of it, for people. */
void lag_print(const json_t *lag);

#endif
