#include "proto/id.h"

#include "proto/buf.h"
#include "proto/err.h"

#include <stdlib.h>
#include <uuid/uuid.h>

/* The namespace of all derived ids, drawn once for this project. Changing it would make every old
 * message new again. */
static const uint8_t namespace_uuid[16] = {0x5f, 0x1b, 0x0c, 0x9e, 0x3d, 0x52, 0x4a, 0x77,
                                           0x9c, 0x61, 0x0e, 0x84, 0xb2, 0x4d, 0x7a, 0x13};

struct id
id_derive(const char *space, struct str name)
{
    struct id id;
    size_t space_n = strlen(space);
    size_t n = space_n + 1 + name.n;
    char small[512];
    char *text = n <= sizeof(small) ? small : xmalloc(n);

    memcpy(text, space, space_n);
    text[space_n] = '\x1f';
    if (name.n > 0) {
        memcpy(text + space_n + 1, name.p, name.n);
    }
    uuid_generate_sha1(id.b, namespace_uuid, text, n);
    if (text != small) {
        free(text);
    }
    return id;
}

struct id
id_derive_from(const char *space, struct id from)
{
    return id_derive(space, (struct str){.p = (const char *)from.b, .n = sizeof(from.b)});
}

struct id
id_random(void)
{
    struct id id;
    uuid_generate_random(id.b);
    return id;
}

void
id_format(struct id id, char ret_text[ID_TEXT_SIZE])
{
    uuid_unparse_lower(id.b, ret_text);
}

int
id_parse(struct str text, struct id *ret)
{
    char c[ID_TEXT_SIZE];
    struct id id;

    if (text.n != ID_TEXT_SIZE - 1) {
        return ERR_MALFORMED;
    }
    memcpy(c, text.p, text.n);
    c[text.n] = '\0';
    if (uuid_parse(c, id.b) != 0) {
        return ERR_MALFORMED;
    }
    *ret = id;
    return 0;
}

bool
id_eq(struct id a, struct id b)
{
    return memcmp(a.b, b.b, sizeof(a.b)) == 0;
}

bool
id_is_nil(struct id id)
{
    static const struct id nil;
    return id_eq(id, nil);
}
