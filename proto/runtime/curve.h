/* curve - what a ZeroMQ socket between machines needs: keys, and the options of tcp.
 *
 * A key is 40 characters of Z85 (zmq_z85_encode(3)). A setting holds the key itself, or the path of
 * a file that it stands in: what begins with / is a path (`fte keygen` makes no key that does). */
#ifndef PROTO_RUNTIME_CURVE_H
#define PROTO_RUNTIME_CURVE_H

#include "proto/buf.h"

#include <stdbool.h>

#define CURVE_KEY_LENGTH 40
#define CURVE_KEY_ALLOWED "a CURVE key (40 characters of Z85) or the absolute path of its file"

struct curve_key {
    char z85[CURVE_KEY_LENGTH + 1];
};

/* Reads a key as a setting says it. Of a file the first word counts, lines that are empty or begin
 * with # are skipped. 0; or ERR_INVALID, and why in ret_why, in words that hold nothing of the
 * value. */
int curve_key_read(const char *value, struct curve_key *ret, struct buf *ret_why);
/* One that is written out: true if it is one. */
bool curve_key_parse(struct str text, struct curve_key *ret);
/* For option tables. */
bool curve_key_ok(const char *value, struct buf *ret_why);

/* Makes a pair, of which neither key begins with /. 0, or ERR_UNAVAILABLE where libzmq has no
 * CURVE. */
int curve_pair(struct curve_key *ret_public, struct curve_key *ret_secret);

/* Options of a socket before it binds or connects; those of a socket with several endpoints hold
 * for what is bound after them. A client's public key is derived from its secret one. */
void curve_be_server(void *socket, const struct curve_key *secret);
void curve_be_client(void *socket, const struct curve_key *server, const struct curve_key *secret);
/* A peer that vanished without a word (its machine died, its link is cut) is noticed within
 * CURVE_GONE_MS: by what it doesn't acknowledge, or by probes where nothing is sent. A numeric IPv6
 * address stands in brackets. */
#define CURVE_GONE_MS 5000
void curve_tcp(void *socket, const char *endpoint);

#endif
