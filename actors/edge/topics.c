#include "actors/edge/topics.h"

#include <string.h>

#define DAYS (24 * 3600 * INT64_C(1000))

/* Retention is for readers outside: what the edge has settled it never reads again. */
const struct topic topics[TOPICS_N] = {
    {"fte.tickets.incoming", "fte.message.incoming", 7 * DAYS, TOPICS_MESSAGE,
     "what customers wrote, normalised"},
    {"fte.channels.email.inbound", "fte.channel.inbound", 7 * DAYS, TOPICS_MESSAGE,
     "e-mail as it arrived"},
    {"fte.channels.whatsapp.inbound", "fte.channel.inbound", 7 * DAYS, TOPICS_MESSAGE,
     "WhatsApp as it arrived"},
    {"fte.channels.webform.inbound", "fte.channel.inbound", 7 * DAYS, TOPICS_MESSAGE,
     "forms as they arrived"},
    {"fte.escalations", "fte.ticket.escalated", 30 * DAYS, TOPICS_MESSAGE,
     "what a person must answer"},
    {"fte.metrics", "fte.metrics.minute", 7 * DAYS, TOPICS_MESSAGE, "figures of each minute"},
    {"fte.dlq", "fte.message.dead", 30 * DAYS, TOPICS_MESSAGE_DEAD, "what could not be done"},
};

const struct topic *
topic_find(const char *name)
{
    for (size_t i = 0; i < TOPICS_N; i++) {
        if (strcmp(topics[i].name, name) == 0) {
            return &topics[i];
        }
    }
    return NULL;
}
