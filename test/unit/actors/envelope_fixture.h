/* envelope_fixture - an envelope from JSON, for tests of stages. */
#ifndef TEST_ENVELOPE_FIXTURE_H
#define TEST_ENVELOPE_FIXTURE_H

#include "proto/envelope.h"

/* The envelope whose body is `json`. A string "id:NAME" becomes fixture_id ("NAME"); the envelope's
 * id is fixture_id ("unit"). Free with envelope_free(). */
struct envelope *fixture_envelope(const char *json);
struct id fixture_id(const char *name);

#endif
