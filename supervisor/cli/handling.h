/* handling - fte ticket reply, release and close: what a person does with a ticket (db/handling.h).
 */
#ifndef SUPERVISOR_CLI_HANDLING_H
#define SUPERVISOR_CLI_HANDLING_H

#include <stdbool.h>

#define HANDLING_USAGE                                                                             \
    "reply REFERENCE|ID --text TEXT|- [--id ID] | release REFERENCE|ID | close REFERENCE|ID"

/* True if `verb` is one of the three. */
bool handling_is(const char *verb);
/* argv[1] is the verb, argv[2] the ticket; --text and --id may stand anywhere. An exit code. */
int handling_command(int argc, char **argv, bool json);

#endif
