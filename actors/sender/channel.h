/* channel - what a way to the customer must tell and be able to do. The sender is one program with
 * one child per channel (FTE_CHANNEL); a channel is one file, channel_<name>.c, and one row in
 * sender.c.
 *
 * The web form has no provider: its reply is delivered by the row that stores it, which the
 * status page shows. A channel with a provider walks the outbox's states (db/outbox.h) around its
 * requests.
 */
#ifndef SENDER_CHANNEL_H
#define SENDER_CHANNEL_H

#include "proto/str.h"

struct channel {
    const char *name;    /* "webform": as in FTE_CHANNEL, and in the channel columns */
    const char *actor;   /* "sender.webform" */
    const char *service; /* "send_response.webform" */
    /* Whether the text may go over this channel. 0, or ERR_INVALID or ERR_TOO_BIG and why, in a
     * word or two of ours. The agent has kept the channel's length and tone; this is what no reply
     * passes. */
    int (*check)(struct str text, const char **ret_why);
};

extern const struct channel channel_webform;

#endif
