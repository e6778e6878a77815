/* token - the unguessable part of a status page's address.
 *
 * A token is 36 bytes in base64url: the link's id (16), the hash of the conversation key (8), and
 * the first 12 bytes of HMAC-SHA256 (secret, both). So it is checked without a database, it can't
 * be made up, and a reply knows the conversation that it belongs to.
 */
#ifndef ACTORS_INGRESS_TOKEN_H
#define ACTORS_INGRESS_TOKEN_H

#include "actors/identity/contact.h"
#include "proto/buf.h"
#include "proto/id.h"
#include "proto/str.h"

#include <stdint.h>

#define TOKEN_SIZE 49 /* 48 characters and a NUL */
#define TOKEN_SECRET_MIN 16
#define TOKEN_SECRET_MAX 512

/* What a token says. */
struct token {
    struct id link;
    char key[CONTACT_KEY_SIZE]; /* the conversation key, "webform:..." */
};

/* `key` must be one that contact_key() made (assert). */
void token_make(struct str secret, const struct token *t, char ret_text[TOKEN_SIZE]);
/* 0, or ERR_INVALID for a token that was not made with this secret. Takes the same time for each
 * wrong token of the right length. */
int token_read(struct str secret, struct str text, struct token *ret);

/* The secret: `setting` where it isn't empty; else the content of `dir`/link.secret, which is made
 * (mode 0600, random, complete or not at all) where it isn't there. Appends it to `ret`. 0; or
 * ERR_UNAVAILABLE with errno set and a sentence in *ret_why (static). */
int token_secret(const char *setting, const char *dir, struct buf *ret, const char **ret_why);

#endif
