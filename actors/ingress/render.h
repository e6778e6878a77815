/* render - a Mustache template and a JSON value become a page. The C face of kainjow-mustache
 * (C++).
 *
 * {{name}} is escaped for HTML, in text and in quoted attributes; {{{name}}} is not: it is only for
 * what was rendered before. Sections follow JSON: arrays repeat, true and non-empty texts show,
 * false, null, "" and empty arrays hide. Any thread.
 */
#ifndef ACTORS_INGRESS_RENDER_H
#define ACTORS_INGRESS_RENDER_H

#include "proto/buf.h"
#include "proto/str.h"

#include <jansson.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Appends the page. `view` is borrowed. A template that can't be parsed ends the process (our bug).
 */
void render(struct str template_text, const json_t *view, struct buf *out);

#ifdef __cplusplus
}
#endif

#endif
