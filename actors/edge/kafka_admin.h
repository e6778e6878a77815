/* kafka_admin - the topics and the rights to them: made where they are missing, and looked at.
 * These functions wait; for the edge only while nothing else can be done. */
#ifndef EDGE_KAFKA_ADMIN_H
#define EDGE_KAFKA_ADMIN_H

#include "actors/edge/kafka_client.h"

/* Makes the topics that are missing; waits at most some times `timeout_ms`. 0, or ERR_UNAVAILABLE
 * (no broker answers), ERR_INVALID (it will not: rights, version), with the reason in one line. */
int kafka_make_topics(rd_kafka_t *rk, int timeout_ms, struct buf *ret_why);

/* Looks at everything that can be seen from outside: appends a line to `ret_lines` for each topic
 * setting that is not as the table (topics.h) has it, for the first right that is missing, or for
 * why no broker can be used. Number of lines; waits at most some times `timeout_ms`. */
int kafka_check(const struct kafka_settings *s, int timeout_ms, struct buf *ret_lines);

/* A client that only asks, whose errors are kept in *cause (which must outlive it); or NULL. */
rd_kafka_t *kafka_asker(const struct kafka_settings *s, struct kafka_cause *cause,
                        struct buf *ret_why);
/* Why it got no answer: what it was told since, else the code itself. */
void kafka_no_answer(rd_kafka_t *rk, const struct kafka_cause *cause, rd_kafka_resp_err_t err,
                     struct buf *ret_why);

#endif
