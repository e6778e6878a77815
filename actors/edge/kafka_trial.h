/* kafka_trial - may we do what we need to? Tried without doing it: Kafka asks for the right first,
 * so a record that it must refuse (with a number of acks that there isn't) tells whether a topic
 * may be written to, and the end of the incoming topic whether that one may be read. */
#ifndef EDGE_KAFKA_TRIAL_H
#define EDGE_KAFKA_TRIAL_H

#include "actors/edge/kafka_client.h"

struct kafka_trial;

/* Begins; with `read` also whether the incoming topic may be read. NULL where no client can be
 * made of these settings. */
struct kafka_trial *kafka_trial_new(const struct kafka_settings *s, bool read);
/* Goes on, waiting at most `wait_ms`. 0: we may; ERR_INVALID: we may not, with the reason in one
 * line; ERR_UNAVAILABLE: that can't be known now; ERR_BUSY: not known yet, call it again. */
int kafka_trial_turn(struct kafka_trial *t, int wait_ms, struct buf *ret_why);
void kafka_trial_free(struct kafka_trial **t_p); /* accepts NULL */

#endif
