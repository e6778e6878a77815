/* history - tell what a customer and we said to each other, on every channel.
 *
 *   agent --(CALL get_customer_history)--> history --(RETURN messages)--> agent
 *
 *   {customer: id, unit?: id} -> {messages: [{direction, author, channel, text, cut, at,
 * sentiment?}]}
 *
 * The last 20, newest first, without the messages of the unit that asks. It only reads: after a
 * crash the question is asked again.
 */
#include "db/history.h"

#include "db/actor_pg.h"

#include <stdlib.h>

struct history {
    struct pg *pg;
};

/* Questions that are answered by one statement. */
struct asked {
    struct actor *self;
    struct unit *units[ACTOR_BATCH_MAX];
    size_t n;
};

static int history_init(struct actor *self);
static void history_call(struct actor *self, struct unit **units, size_t n);
static void answered(void *arg, const struct pg_reply *reply);
static void history_fini(struct actor *self);

int
main(int argc, char **argv)
{
    static const struct option options[] = {DATABASE_OPTION, OPTION_END};
    static const struct actor_spec spec = {
        .name = "history",
        .service = "get_customer_history",
        .options = options,
        .context_size = sizeof(struct history),
        .init = history_init,
        .call = history_call,
        .fini = history_fini,
    };

    return actor_run(&spec, argc, argv);
}

static int
history_init(struct actor *self)
{
    struct history *history = actor_context(self);
    history->pg = actor_pg_open(self, NULL, NULL);
    return 0;
}

static void
history_call(struct actor *self, struct unit **units, size_t n)
{
    struct history *history = actor_context(self);
    struct history_question questions[ACTOR_BATCH_MAX];
    struct asked *asked = xcalloc(1, sizeof(*asked));
    struct pg_txn *t;

    asked->self = self;
    for (size_t i = 0; i < n; i++) {
        struct history_question q = {0};
        if (!map_id(&units[i]->body, "customer", &q.customer)) {
            unit_reject(self, units[i], ERR_MALFORMED, "customer");
            continue;
        }
        map_id(&units[i]->body, "unit", &q.unit);
        questions[asked->n] = q;
        asked->units[asked->n++] = units[i];
    }
    if (asked->n == 0) {
        free(asked);
        return;
    }
    t = pg_begin(history->pg);
    history_put(t, questions, asked->n);
    pg_commit(&t, answered, asked);
}

static void
pack_row(msgpack_packer *pk, const struct history_row *row)
{
    msgpack_pack_map(pk, row->has_sentiment ? 7 : 6);
    pack_key(pk, "direction");
    pack_str(pk, row->direction);
    pack_key(pk, "author");
    pack_str(pk, row->author);
    pack_key(pk, "channel");
    pack_str(pk, row->channel);
    pack_key(pk, "text");
    pack_str(pk, row->body);
    pack_key(pk, "cut");
    row->cut ? msgpack_pack_true(pk) : msgpack_pack_false(pk);
    pack_key(pk, "at");
    msgpack_pack_int64(pk, row->at_us);
    if (row->has_sentiment) {
        pack_key(pk, "sentiment");
        msgpack_pack_double(pk, row->sentiment);
    }
}

/* Rows from *row_p on that belong to question i. Moves *row_p behind them. */
static void
answer_one(struct asked *asked, int i, const PGresult *r, int *row_p)
{
    struct history_row rows[HISTORY_MESSAGES];
    struct buf body = {0};
    msgpack_packer pk;
    int n = 0;

    while (*row_p < PQntuples(r) && n < HISTORY_MESSAGES) {
        history_get(r, *row_p, &rows[n]);
        if (rows[n].question != i) {
            break;
        }
        n++;
        (*row_p)++;
    }
    msgpack_packer_init(&pk, &body, buf_msgpack_write);
    msgpack_pack_map(&pk, 1);
    pack_key(&pk, "messages");
    msgpack_pack_array(&pk, (size_t)n);
    for (int k = 0; k < n; k++) {
        pack_row(&pk, &rows[k]);
    }
    unit_return(asked->self, asked->units[i], buf_str(&body));
    buf_fini(&body);
}

static void
answered(void *arg, const struct pg_reply *reply)
{
    struct asked *asked = arg;
    int row = 0;

    if (reply->err != 0 && !err_is_patient(reply->err)) {
        log_error("refused", "err=%s sqlstate=%s", err_str(reply->err), reply->sqlstate);
    }
    for (size_t i = 0; i < asked->n; i++) {
        if (reply->err != 0) {
            unit_retry(asked->self, asked->units[i], reply->err, "database");
        } else {
            answer_one(asked, (int)i, reply->results[0], &row);
        }
    }
    free(asked);
}

static void
history_fini(struct actor *self)
{
    struct history *history = actor_context(self);
    pg_close(&history->pg);
}
