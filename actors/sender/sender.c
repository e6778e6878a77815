/* sender - deliver the reply that was decided on, exactly once, while nobody else owns the answer.
 *
 *   agent --(decision: send)--> sender.webform --DONE--> edge
 *                                     |
 *                                     +--(a person owns it)--> escalator
 *
 * Reply, outbox row and ticket are one commit under the unit's key: a repeat finds the reply that
 * stands and only says DONE. What may not be sent any more is never lost: it goes to a person.
 */
#include "actors/sender/channel.h"
#include "actors/sender/response.h"
#include "db/actor_pg.h"
#include "db/batch.h"

#include <stdlib.h>
#include <string.h>

struct sender {
    struct pg *pg;
    const struct channel *channel;
};

static const struct channel *chosen_channel(void);
static int sender_init(struct actor *self);
static void sender_work(struct actor *self, struct unit **units, size_t n);
static struct id customer_of(const struct unit *u);
static void put(struct actor *self, struct pg_txn *t, struct unit *const *units, size_t n);
static void stored(struct actor *self, const struct pg_reply *reply, struct unit **units, size_t n);
static void drop(struct unit *u);
static void sender_fini(struct actor *self);

static const struct channel *const channels[] = {&channel_webform};
#define CHANNEL_NAMES "webform"

static const struct batch_stage stage = {
    .name = "replies", .key = customer_of, .put = put, .stored = stored, .drop = drop};

int
main(int argc, char **argv)
{
    static const struct option options[] = {
        DATABASE_OPTION,
        {.name = "FTE_CHANNEL",
         .type = OPTION_CHOICE,
         .value_default = "webform",
         .choices = CHANNEL_NAMES,
         .help = "The channel that this sender delivers to."},
        OPTION_END,
    };
    const struct channel *channel = chosen_channel();
    const struct actor_spec spec = {
        .name = channel->actor,
        .service = channel->service,
        .options = options,
        .context_size = sizeof(struct sender),
        .init = sender_init,
        .work = sender_work,
        .fini = sender_fini,
    };

    return actor_run(&spec, argc, argv);
}

/* Name and service are needed before the settings are read; a wrong name is told when they are. */
static const struct channel *
chosen_channel(void)
{
    const char *name = getenv("FTE_CHANNEL");

    for (size_t i = 0; name && i < sizeof(channels) / sizeof(channels[0]); i++) {
        if (strcmp(channels[i]->name, name) == 0) {
            return channels[i];
        }
    }
    return channels[0];
}

static int
sender_init(struct actor *self)
{
    struct sender *sender = actor_context(self);

    sender->channel = chosen_channel();
    sender->pg = actor_pg_open(self, NULL, NULL);
    return 0;
}

static void
sender_work(struct actor *self, struct unit **units, size_t n)
{
    struct sender *sender = actor_context(self);
    struct unit *good[ACTOR_BATCH_MAX];
    size_t good_n = 0;

    for (size_t i = 0; i < n; i++) {
        struct response *response = xmalloc(sizeof(*response));
        const char *why;
        int err = response_read(units[i]->envelope, response, &why);

        if (err == 0) {
            units[i]->data = response;
            err = sender->channel->check(response->reply.text, &why);
            if (err == 0 && !str_is(response->channel, sender->channel->name)) {
                why = "another channel";
                err = ERR_INVALID;
            }
            if (err != 0) {
                drop(units[i]);
            }
        } else {
            free(response);
        }
        if (err != 0) {
            unit_reject(self, units[i], err, why);
        } else {
            good[good_n++] = units[i];
        }
    }
    batch_commit(self, sender->pg, &stage, good, good_n);
}

static struct id
customer_of(const struct unit *u)
{
    const struct response *response = u->data;

    return response->reply.customer;
}

static void
put(struct actor *self, struct pg_txn *t, struct unit *const *units, size_t n)
{
    struct sender *sender = actor_context(self);
    const struct outbox_reply *replies[ACTOR_BATCH_MAX];

    for (size_t i = 0; i < n; i++) {
        replies[i] = &((const struct response *)units[i]->data)->reply;
    }
    batch_lock(t, units, n, customer_of);
    outbox_put_delivered(t, str_of(sender->channel->name), replies, n);
}

static void
stored(struct actor *self, const struct pg_reply *reply, struct unit **units, size_t n)
{
    const PGresult *r = reply->results[1];

    for (int row = 0; row < PQntuples(r); row++) {
        enum outbox_outcome outcome;
        struct unit *u;
        struct id unit;

        outbox_get(r, row, &unit, &outcome);
        u = batch_take(units, n, unit);
        if (u == NULL) {
            continue;
        }
        drop(u);
        switch (outcome) {
        case OUTBOX_SENT:
        case OUTBOX_DEAD:
            unit_done(self, u);
            break;
        case OUTBOX_REFUSED:
            unit_pass(self, u, "escalate_to_human", NULL, (struct str){0});
            break;
        }
    }
}

static void
drop(struct unit *u)
{
    response_fini(u->data);
    free(u->data);
    u->data = NULL;
}

static void
sender_fini(struct actor *self)
{
    struct sender *sender = actor_context(self);

    pg_close(&sender->pg);
}
