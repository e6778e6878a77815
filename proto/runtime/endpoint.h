/* endpoint - where the router is. */
#ifndef PROTO_RUNTIME_ENDPOINT_H
#define PROTO_RUNTIME_ENDPOINT_H

#include "proto/buf.h"

/* FTE_ROUTER where it is set; otherwise ipc://<FTE_STATE_DIR or var>/run/router.sock.
 * 0; or ERR_INVALID and a sentence in ret_fault: the path of a Unix socket has at most 107 bytes
 * (unix(7)), so a longer one needs FTE_ROUTER. */
int endpoint_router(struct buf *ret_endpoint, struct buf *ret_fault);

/* The file name in an ipc:// endpoint, or NULL for another transport. */
const char *endpoint_path(const char *endpoint);

#endif
