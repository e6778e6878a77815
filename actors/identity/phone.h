/* phone - the normal form of a telephone number: libphonenumber behind a small C face.
 *
 * The library and its data (about 10 MB) are loaded at the first number, not before: most messages
 * of a web form carry none.
 */
#ifndef ACTORS_IDENTITY_PHONE_H
#define ACTORS_IDENTITY_PHONE_H

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

#include "proto/buf.h"
#include "proto/str.h"

#define PHONE_RAW_MAX 250 /* bytes that are looked at (the limit of the library) */
#define PHONE_MAX 40      /* bytes of a normal form */

/* Appends the number in `raw` (UTF-8 as it came from outside) as E.164 ("+64333160050"), followed
 * by
 * ";ext=123" (RFC 3966) where it has an extension. Understood are tel: and whatsapp: URIs, any
 * punctuation, brackets, letters of vanity numbers, digits of any script, a trunk zero in brackets.
 * `region` is the ISO 3166 code of the country in which a number without a country code was
 * written, e.g. "DE"; "" where that is not known: then only international numbers have a normal
 * form. 0; or ERR_INVALID with nothing appended: no number, or one that cannot exist in its
 * country. */
int phone_normal(struct str raw, const char *region, struct buf *ret);

/* True if the library knows the region (two capital letters). */
bool phone_region_ok(const char *region);

#ifdef __cplusplus
}
#endif

#endif
