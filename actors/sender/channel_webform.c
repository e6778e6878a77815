#include "actors/sender/channel.h"

#include "proto/err.h"

#define MAX_BYTES (16 * 1024) /* 300 words with room for the longest ones */

static int
check(struct str text, const char **ret_why)
{
    if (str_trim(text).n == 0) {
        *ret_why = "empty reply";
        return ERR_INVALID;
    }
    if (text.n > MAX_BYTES) {
        *ret_why = "reply too long";
        return ERR_TOO_BIG;
    }
    if (!str_is_text(text)) {
        *ret_why = "reply is not text";
        return ERR_INVALID;
    }
    return 0;
}

const struct channel channel_webform = {
    .name = "webform",
    .actor = "sender.webform",
    .service = "send_response.webform",
    .check = check,
};
