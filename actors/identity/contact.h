/* contact - the normal form of an e-mail address: two spellings of one mailbox become equal text,
 * and two mailboxes never do.
 *
 * What is taken for the same: the case of letters; compatibility forms (full-width letters) and
 * characters that cannot be seen; a display name, angle brackets, comments, needless quotes,
 * mailto:; a domain in Unicode and in Punycode; and what a provider says of its own domains: dots
 * and plus tags of gmail.com, which is googlemail.com; plus tags of outlook.com and its sisters, of
 * icloud.com and of fastmail; the domains of Yandex. Letters that only look alike (Cyrillic a) stay
 * different, and so do plus tags of any other domain. Sources: RFC 5321, 5322, 6068, UTS #46;
 * Google, Microsoft, Apple and Yandex help pages.
 */
#ifndef ACTORS_IDENTITY_CONTACT_H
#define ACTORS_IDENTITY_CONTACT_H

#include "proto/buf.h"
#include "proto/str.h"

#define CONTACT_RAW_MAX 1024  /* bytes that are looked at */
#define CONTACT_EMAIL_MAX 254 /* bytes of a normal form (RFC 5321, 4.5.3.1.3) */
#define CONTACT_KEY_SIZE 25   /* "webform:", 16 hexadecimal digits and a NUL */

/* Appends the normal form of the one address in `raw` (UTF-8 as it came from outside) to `ret`.
 * 0; or ERR_INVALID with nothing appended and *ret_why set to what is wrong, to follow the name of
 * a field ("has no @ sign"; static; ret_why may be NULL). */
int contact_email(struct str raw, struct buf *ret, const char **ret_why);

/* The address to write to: as contact_email(), but with dots, tags and domain as the customer wrote
 * them (only letters of the domain change). */
int contact_email_address(struct str raw, struct buf *ret, const char **ret_why);

/* The conversation key of the web form: "webform:" and the first 8 bytes of the SHA-256 of the
 * normal form as hexadecimal digits. The order of messages is kept within a key. */
void contact_key(struct str email_normal, char ret_key[CONTACT_KEY_SIZE]);

#endif
