/* log_kafka_up - whether Kafka can be used, and if not, why: said once, in one line. */
#include "actors/edge/log_kafka.h"

#include "actors/edge/kafka_admin.h"
#include "proto/err.h"
#include "proto/runtime/log.h"

#include <stdio.h>

#define PROBE_MS 1000   /* between two questions whether Kafka is there */
#define REFUSED_MS 2000 /* the same where it said why not */
#define PROBE_WAIT_MS                                                                              \
    900 /* this long such a question may stop the loop: nothing else can be done */

/* --- what is known --------------------------------------------------------------------------- */

void
kafka_away(struct kafka *k)
{
    if (k->kafka_up) {
        k->kafka_up = false;
        kafka_state(k);
    }
}

/* Says why, once: that no broker answers only where nothing told more. */
static void
trouble(struct kafka *k, enum kafka_trouble what, const char *why)
{
    if (what > k->trouble) {
        k->trouble = what;
        log_warn("kafka", "brokers=%s why=%s", log_quote(k->settings.kafka.brokers),
                 log_quote(why));
    }
    kafka_away(k);
}

/* Everything can be used that a moment ago could not. */
void
kafka_welcome(struct kafka *k)
{
    if (k->kafka_up && !k->outside && k->trouble != KAFKA_FINE) {
        log_info("kafka", "brokers=%s why=\"is there again\"",
                 log_quote(k->settings.kafka.brokers));
        k->trouble = KAFKA_FINE;
    }
    kafka_state(k);
}

void
kafka_state(struct kafka *k)
{
    bool up = pg_is_up(k->pg) && k->known && k->kafka_up && !k->outside;

    if (up == k->up) {
        return;
    }
    k->up = up;
    if (up) {
        k->events.up(k->events.arg);
        kafka_append_flush(k);
        kafka_read(k);
    } else {
        k->events.down(k->events.arg, k->kafka_up && !k->outside ? "database" : "kafka");
    }
}

/* --- asking ---------------------------------------------------------------------------------- */

static void
came_up(struct kafka *k)
{
    k->cause = (struct kafka_cause){0};
    k->silent = 0;
    k->unreadable = false;
    k->kafka_up = true;
    kafka_welcome(k);
}

static void
no_answer(struct kafka *k, const char *why)
{
    char text[sizeof(k->cause.text) + 32];

    if (k->cause.what != KAFKA_REFUSED && ++k->silent <= 1) {
        return; /* on_error() had no time yet to tell more */
    }
    snprintf(text, sizeof(text), "%s%s", k->cause.what == KAFKA_SILENT ? "no broker answers: " : "",
             k->cause.what == KAFKA_FINE ? why : k->cause.text);
    trouble(k, k->cause.what == KAFKA_REFUSED ? KAFKA_REFUSED : KAFKA_SILENT, text);
}

static void
try_rights(struct kafka *k)
{
    struct buf why = {0};
    int err = k->trial ? kafka_trial_turn(k->trial, 0, &why) : ERR_BUSY;

    if (err != ERR_BUSY) {
        kafka_trial_free(&k->trial);
        k->probe_ms = clock_ms();
        if (err == ERR_INVALID) {
            trouble(k, KAFKA_REFUSED, buf_c(&why));
        } else if (err == 0 && !k->kafka_up) {
            came_up(k);
        }
    }
    buf_fini(&why);
}

/* Stops the loop for a moment, but only while nothing can be done anyway. */
void
kafka_probe(struct kafka *k)
{
    int64_t wait = k->trouble == KAFKA_REFUSED ? REFUSED_MS : PROBE_MS;
    struct buf why = {0};
    int err;

    try_rights(k);
    if (k->kafka_up || k->leaving || k->trial != NULL || clock_ms() - k->probe_ms < wait) {
        return;
    }
    err = kafka_make_topics(k->producer, PROBE_WAIT_MS, &why);
    if (err == ERR_INVALID) {
        trouble(k, KAFKA_REFUSED, buf_c(&why));
    } else if (err != 0) {
        no_answer(k, buf_c(&why));
    } else {
        /* Whether we may write nobody tells before we do. The first time that is found out while
         * work begins, after a refusal before. */
        k->trial = kafka_trial_new(&k->settings.kafka, k->unreadable);
        if (k->trouble != KAFKA_REFUSED || k->trial == NULL) {
            came_up(k);
        }
    }
    k->probe_ms = clock_ms();
    buf_fini(&why);
}

void
kafka_failed(struct kafka *k, int err, const char *reason)
{
    if (!kafka_is_right(err)) {
        if (k->kafka_up) { /* the passing trouble of one connection, which librdkafka mends */
            k->cause = (struct kafka_cause){0};
        }
        if (kafka_cause_take(&k->cause, err, reason) && !k->kafka_up) {
            trouble(k, KAFKA_REFUSED, k->cause.text);
        }
        return;
    }
    k->outside |= err == RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED;
    kafka_trial_free(&k->trial); /* one that asks for less than what was refused now */
    trouble(k, KAFKA_REFUSED, reason);
    kafka_state(k);
}
