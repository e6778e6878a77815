#include "proto/runtime/endpoint.h"

#include "proto/err.h"

#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

const char *
endpoint_path(const char *endpoint)
{
    return strncmp(endpoint, "ipc://", 6) == 0 ? endpoint + 6 : NULL;
}

int
endpoint_router(struct buf *ret_endpoint, struct buf *ret_fault)
{
    const char *set = getenv("FTE_ROUTER");
    const char *dir = getenv("FTE_STATE_DIR");
    const char *path;

    if (set != NULL && set[0] != '\0') {
        buf_add_c(ret_endpoint, set);
    } else {
        buf_printf(ret_endpoint, "ipc://%s/run/router.sock", dir && dir[0] ? dir : "var");
    }
    path = endpoint_path(buf_c(ret_endpoint));
    if (path == NULL && strncmp(ret_endpoint->p, "tcp://", 6) != 0) {
        buf_printf(ret_fault,
                   "FTE_ROUTER=\"%s\" is not allowed: must be ipc://PATH or tcp://HOST:PORT",
                   ret_endpoint->p);
        return ERR_INVALID;
    }
    if (path != NULL && strlen(path) >= sizeof(((struct sockaddr_un *)0)->sun_path)) {
        buf_printf(
            ret_fault,
            "the router's socket \"%s\" has a path of more than 107 bytes: set FTE_ROUTER to "
            "a shorter one (ipc:///run/fte/router.sock) or move FTE_STATE_DIR",
            path);
        return ERR_INVALID;
    }
    return 0;
}
