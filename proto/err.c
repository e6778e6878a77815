#include "proto/err.h"

#include <stddef.h>
#include <string.h>

static const struct {
    int err;
    const char *name;
} names[] = {
    {ERR_NONE, "none"},         {ERR_MALFORMED, "malformed"}, {ERR_VERSION, "version"},
    {ERR_TOO_BIG, "too_big"},   {ERR_INVALID, "invalid"},     {ERR_UNAVAILABLE, "unavailable"},
    {ERR_BUSY, "busy"},         {ERR_LOST, "lost"},           {ERR_TIMEOUT, "timeout"},
    {ERR_CONFLICT, "conflict"}, {ERR_NOT_FOUND, "not_found"}, {ERR_INTERNAL, "internal"},
};

const char *
err_str(int err)
{
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (names[i].err == err) {
            return names[i].name;
        }
    }
    return "internal";
}

int
err_parse(const char *name, unsigned long len)
{
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strlen(names[i].name) == len && len > 0 && memcmp(names[i].name, name, len) == 0) {
            return names[i].err;
        }
    }
    return ERR_INTERNAL;
}

int
err_is_patient(int err)
{
    return err == ERR_BUSY || err == ERR_UNAVAILABLE;
}
