/* ticketer - give every customer message a conversation and a ticket.
 *
 *   identity --(customer)--> ticketer --(ticket)--> triage
 *
 * Conversation, ticket and messages are committed before the unit goes on, under ids that are
 * derived from the first message: a crash repeats, and the repeat finds what is stored and passes
 * that on.
 */
#include "actors/ticketer/threading.h"
#include "db/actor_pg.h"
#include "db/batch.h"

#include <stdlib.h>
#include <string.h>

struct ticketer {
    struct pg *pg;
    struct ticket_refs refs;
    bool fetching; /* references are on their way, and the actor is on hold */
    int64_t window_ms;
};

static int ticketer_init(struct actor *self);
static void want_refs(struct actor *self);
static void fetch_refs(void *arg);
static void ticketer_work(struct actor *self, struct unit **units, size_t n);
static struct id customer_of(const struct unit *u);
static void put(struct actor *self, struct pg_txn *t, struct unit *const *units, size_t n);
static void stored(struct actor *self, const struct pg_reply *reply, struct unit **units, size_t n);
static void pass_on(struct actor *self, struct unit *u, const struct conversation_place *place);
static void drop(struct unit *u);
static void ticketer_fini(struct actor *self);

static const struct batch_stage stage = {
    .name = "tickets", .key = customer_of, .put = put, .stored = stored, .drop = drop};

int
main(int argc, char **argv)
{
    static const struct option options[] = {
        DATABASE_OPTION,
        {.name = "FTE_FOLLOWUP_WINDOW",
         .type = OPTION_DURATION,
         .value_default = "24h",
         .min = 60e3,
         .max = 365 * 86400e3,
         .help = "How long after the last activity in a conversation a new message of the same "
                 "customer on the same channel still belongs to it."},
        OPTION_END,
    };
    static const struct actor_spec spec = {
        .name = "ticketer",
        .service = "create_ticket",
        .options = options,
        .context_size = sizeof(struct ticketer),
        .init = ticketer_init,
        .work = ticketer_work,
        .fini = ticketer_fini,
    };

    return actor_run(&spec, argc, argv);
}

static int
ticketer_init(struct actor *self)
{
    struct ticketer *ticketer = actor_context(self);

    ticketer->window_ms = actor_int(self, "FTE_FOLLOWUP_WINDOW");
    ticketer->pg = actor_pg_open(self, NULL, NULL);
    want_refs(self);
    return 0;
}

/* --- the supply of references ---------------------------------------------------------------- */

static void
refs_fetched(void *arg, const struct pg_reply *reply)
{
    struct actor *self = arg;
    struct ticketer *ticketer = actor_context(self);

    if (reply->err == 0 && ticket_refs_take(&ticketer->refs, reply->results[0])) {
        ticketer->fetching = false;
        actor_release(self);
        return;
    }
    if (!err_is_patient(reply->err)) {
        log_error("ticket_numbers", "err=%s sqlstate=%s", err_str(reply->err), reply->sqlstate);
    }
    if (ticketer->pg != NULL) { /* not while it is closed */
        loop_timer(actor_loop(self), 500, 0, fetch_refs, self);
    }
}

/* Before the first batch, and where many in a row came to nothing. */
static void
want_refs(struct actor *self)
{
    struct ticketer *ticketer = actor_context(self);

    if (!ticketer->fetching) {
        ticketer->fetching = true;
        actor_hold(self, "ticket_numbers");
        fetch_refs(self);
    }
}

static void
fetch_refs(void *arg)
{
    struct actor *self = arg;
    struct ticketer *ticketer = actor_context(self);
    struct pg_txn *t = pg_begin(ticketer->pg);

    ticket_refs_put(t);
    pg_commit(&t, refs_fetched, self);
}

/* --- a batch ---------------------------------------------------------------------------------- */

static void
ticketer_work(struct actor *self, struct unit **units, size_t n)
{
    struct ticketer *ticketer = actor_context(self);
    struct unit *good[ACTOR_BATCH_MAX];
    size_t good_n = 0;

    if (ticketer->refs.left < n) {
        for (size_t i = 0; i < n; i++) {
            unit_retry(self, units[i], ERR_UNAVAILABLE, "ticket numbers");
        }
        want_refs(self);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        struct conversation_request *request = xmalloc(sizeof(*request));
        const char *why;
        int err = threading_request(units[i]->envelope, request, &why);

        if (err != 0) {
            free(request);
            unit_reject(self, units[i], err, why);
            continue;
        }
        units[i]->data = request;
        good[good_n++] = units[i];
    }
    batch_commit(self, ticketer->pg, &stage, good, good_n);
}

static struct id
customer_of(const struct unit *u)
{
    const struct conversation_request *request = u->data;

    return request->customer;
}

/* Locks, conversations, tickets and messages; and the next block of references before it is needed.
 */
static void
put(struct actor *self, struct pg_txn *t, struct unit *const *units, size_t n)
{
    struct ticketer *ticketer = actor_context(self);
    const struct conversation_request *requests[ACTOR_BATCH_MAX];

    for (size_t i = 0; i < n; i++) {
        struct conversation_request *request = units[i]->data;
        if (request->ref[0] == '\0') {
            ticket_refs_next(&ticketer->refs, request->ref);
        }
        requests[i] = request;
    }
    batch_lock(t, units, n, customer_of);
    conversation_put(t, requests, n, ticketer->window_ms);
    if (ticketer->refs.left < 2 * ACTOR_BATCH_MAX) {
        ticket_refs_put(t);
    }
}

static void
stored(struct actor *self, const struct pg_reply *reply, struct unit **units, size_t n)
{
    struct ticketer *ticketer = actor_context(self);
    const PGresult *places = reply->results[CONVERSATION_STMTS];

    if (reply->n > 1 + CONVERSATION_STMTS) {
        ticket_refs_take(&ticketer->refs, reply->results[1 + CONVERSATION_STMTS]);
    }
    for (int row = 0; row < PQntuples(places); row++) {
        struct conversation_place place;
        struct unit *u;

        conversation_get(places, row, &place);
        u = batch_take(units, n, place.unit);
        if (u != NULL) {
            pass_on(self, u, &place);
        }
    }
}

/* A unit of which only a part is stored under its id was put together differently before. What
 * became of that part is not this unit's to say, so it goes to a person. */
static void
pass_on(struct actor *self, struct unit *u, const struct conversation_place *place)
{
    struct conversation_request *request = u->data;
    struct buf section = {0};
    msgpack_packer pk;

    if (!place->whole) {
        drop(u);
        unit_reject(self, u, ERR_CONFLICT, "messages of another unit");
        return;
    }
    msgpack_packer_init(&pk, &section, buf_msgpack_write);
    msgpack_pack_map(&pk, 5);
    pack_key(&pk, "conversation");
    pack_id(&pk, place->conversation);
    pack_key(&pk, "ref");
    pack_str(&pk, place->ref);
    pack_key(&pk, "state");
    pack_c(&pk, place->human ? "human" : "automatic");
    pack_key(&pk, "previous_sentiment");
    if (place->has_previous) {
        msgpack_pack_double(&pk, place->previous_sentiment);
    } else {
        msgpack_pack_nil(&pk);
    }
    /* Their text stands in `incoming`, once: a unit may fill most of an envelope. */
    pack_key(&pk, "messages");
    msgpack_pack_array(&pk, request->n);
    for (size_t i = 0; i < request->n; i++) {
        msgpack_pack_map(&pk, 2);
        pack_key(&pk, "id");
        pack_id(&pk, request->messages[i].id);
        pack_key(&pk, "at");
        msgpack_pack_int64(&pk, request->messages[i].at_us);
    }
    drop(u);
    unit_pass(self, u, "triage", "ticket", buf_str(&section));
    buf_fini(&section);
}

static void
drop(struct unit *u)
{
    free(u->data);
    u->data = NULL;
}

static void
ticketer_fini(struct actor *self)
{
    struct ticketer *ticketer = actor_context(self);
    struct pg *pg = ticketer->pg;

    ticketer->pg = NULL;
    pg_close(&pg);
}
