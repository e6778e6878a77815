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

#define PATH_ROOM sizeof(((struct sockaddr_un *)0)->sun_path)

bool
endpoint_ok(const char *endpoint)
{
    const char *path = endpoint_path(endpoint), *colon;

    if (path != NULL) {
        return path[0] != '\0' && strlen(path) < PATH_ROOM;
    }
    if (strncmp(endpoint, "tcp://", 6) != 0) {
        return false;
    }
    colon = strrchr(endpoint + 6, ':');
    return colon != NULL && colon > endpoint + 6 && colon[1] != '\0' &&
           colon[1 + strspn(colon + 1, "0123456789")] == '\0' && atoi(colon + 1) > 0 &&
           atoi(colon + 1) <= 65535;
}

int
endpoint_router(struct buf *ret_endpoint, struct buf *ret_fault)
{
    const char *set = getenv("FTE_ROUTER");
    const char *dir = getenv("FTE_STATE_DIR");

    if (set != NULL && set[0] != '\0') {
        buf_add_c(ret_endpoint, set);
    } else {
        buf_printf(ret_endpoint, "ipc://%s/run/router.sock", dir && dir[0] ? dir : "var");
    }
    if (endpoint_ok(buf_c(ret_endpoint))) {
        return 0;
    }
    if (set != NULL && set[0] != '\0') {
        buf_printf(ret_fault, "FTE_ROUTER=\"%.100s\" is not allowed: must be " ENDPOINT_ALLOWED,
                   set);
    } else {
        buf_printf(
            ret_fault,
            "the router's socket \"%s\" has a path of more than 107 bytes: set FTE_ROUTER to "
            "a shorter one (ipc:///run/fte/router.sock) or move FTE_STATE_DIR",
            endpoint_path(ret_endpoint->p));
    }
    return ERR_INVALID;
}
