/* endpoint - where the router is. */
#ifndef PROTO_RUNTIME_ENDPOINT_H
#define PROTO_RUNTIME_ENDPOINT_H

#include "proto/buf.h"

#include <stdbool.h>

/* FTE_ROUTER where it is set; otherwise ipc://<FTE_STATE_DIR or var>/run/router.sock.
 * 0; or ERR_INVALID and a sentence in ret_fault: the path of a Unix socket has at most 107 bytes
 * (unix(7)), so a longer one needs FTE_ROUTER. */
int endpoint_router(struct buf *ret_endpoint, struct buf *ret_fault);

/* What is allowed, in words; and whether a value is. */
#define ENDPOINT_ALLOWED "ipc://PATH, of at most 107 bytes, or tcp://HOST:PORT"
bool endpoint_ok(const char *endpoint);

/* The file name in an ipc:// endpoint, or NULL for another transport. */
const char *endpoint_path(const char *endpoint);

#endif
