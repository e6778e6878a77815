/* agent - answers a customer from the knowledge base, or hands over to a person.
 *
 *   triage --(WORK)--> agent --(decision: send)--> sender, or --(decision: escalate)--> escalator
 *   agent --(CALL)--> history, kb
 *
 * The order of a turn is turn.h's. What was decided, with each call before it, is committed before
 * the unit goes on: after a crash the unit is decided again, and if a decision stands already, that
 * one goes on. Where the history or the knowledge base does not answer, the unit comes again later:
 * nothing is ever said without its source.
 */
#include "actors/agent/channels.h"
#include "actors/agent/strategy.h"
#include "actors/agent/turn.h"
#include "db/actor_pg.h"
#include "db/batch.h"
#include "db/run.h"
#include "proto/runtime/actor.h"
#include "proto/runtime/fault.h"

#include <stdio.h>
#include <stdlib.h>

#define COMMITS_IN_FLIGHT 2 /* more would only be smaller */

struct agent {
    struct pg *pg;
    struct channels *channels;
    const struct strategy *strategy;
    struct unit *decided, **decided_end; /* chained: wait for the end of the loop's turn */
    struct buf packed;
};

static int agent_init(struct actor *self);
static void agent_work(struct actor *self, struct unit **units, size_t n);
static void take(struct actor *self, struct unit *u);
static void ask_history(struct actor *self, struct unit *u);
static void got_history(struct actor *self, void *arg, int err, const msgpack_object *body);
static void ask_knowledge_base(struct actor *self, struct unit *u);
static void got_passages(struct actor *self, void *arg, int err, const msgpack_object *body);
static void answer_courtesy(struct actor *self, struct unit *u);
static void composed(struct actor *self, void *arg, int err, struct str text, const bool used[]);
static void decided(struct actor *self, struct unit *u);
static void commit(void *arg);
static void put_steps(struct actor *self, struct pg_txn *t, struct unit *const *units, size_t n);
static void stored(struct actor *self, const struct pg_reply *reply, struct unit **units, size_t n);
static void pass_on(struct actor *self, struct unit *u);
static void give_back(struct actor *self, struct unit *u, int err, const char *why);
static void drop(struct unit *u);
static struct id unit_key(const struct unit *u);
static void agent_fini(struct actor *self);

/* Who may write a reply. A language model is a row here. */
static const struct strategy STRATEGIES[] = {
    {"extractive", strategy_extractive},
};

static const struct option agent_options[] = {
    DATABASE_OPTION,
    {.name = "FTE_AGENT_STRATEGY",
     .type = OPTION_CHOICE,
     .value_default = "extractive",
     .choices = "extractive",
     .help = "Who writes replies: extractive takes whole sentences of the knowledge base."},
    {.name = "FTE_AGENT_CALL_TIMEOUT",
     .type = OPTION_DURATION,
     .value_default = "3s",
     .min = 50,
     .max = 60000,
     .help = "How long the agent waits for the history or the knowledge base before the message is "
             "tried again."},
    OPTION_END,
};

int
main(int argc, char **argv)
{
    static const struct actor_spec spec = {
        .name = "agent",
        .service = "agent",
        .options = agent_options,
        .context_size = sizeof(struct agent),
        .overlapped = true,
        .init = agent_init,
        .work = agent_work,
        .fini = agent_fini,
    };

    return actor_run(&spec, argc, argv);
}

static int
agent_init(struct actor *self)
{
    struct agent *a = actor_context(self);

    for (size_t i = 0; i < sizeof STRATEGIES / sizeof *STRATEGIES; i++) {
        if (strcmp(STRATEGIES[i].name, actor_text(self, "FTE_AGENT_STRATEGY")) == 0) {
            a->strategy = &STRATEGIES[i];
        }
    }
    a->decided_end = &a->decided;
    a->pg = actor_pg_open(self, NULL, NULL);
    loop_at_turn_end(actor_loop(self), commit, self);
    a->channels = channels_new(actor_loop(self), a->pg);
    return 0;
}

static void
agent_work(struct actor *self, struct unit **units, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        take(self, units[i]);
    }
}

static void
take(struct actor *self, struct unit *u)
{
    struct turn *t = xcalloc(1, sizeof *t);
    const char *why = "";

    u->data = t;
    if (turn_init(t, u->envelope, &why) != 0) {
        drop(u);
        unit_reject(self, u, ERR_MALFORMED, why);
        return;
    }
    if (t->escalate_at_once) {
        char *reason = str_dup(t->triage_reason);
        turn_escalate(t, reason);
        free(reason);
        decided(self, u);
        return;
    }
    ask_history(self, u);
}

static void
ask_history(struct actor *self, struct unit *u)
{
    struct agent *a = actor_context(self);
    struct turn *t = u->data;
    msgpack_packer pk;

    buf_clear(&a->packed);
    msgpack_packer_init(&pk, &a->packed, buf_msgpack_write);
    msgpack_pack_map(&pk, 2);
    pack_key(&pk, "customer");
    pack_id(&pk, t->customer);
    pack_key(&pk, "unit");
    pack_id(&pk, t->unit);
    actor_call(self, "get_customer_history", buf_str(&a->packed),
               actor_int(self, "FTE_AGENT_CALL_TIMEOUT"), got_history, u);
}

static void
got_history(struct actor *self, void *arg, int err, const msgpack_object *body)
{
    struct unit *u = arg;

    if (err == 0) {
        err = turn_history(u->data, body);
    }
    if (err) {
        give_back(self, u, err, "get_customer_history");
        return;
    }
    ask_knowledge_base(self, u);
}

static void
ask_knowledge_base(struct actor *self, struct unit *u)
{
    struct agent *a = actor_context(self);
    msgpack_packer pk;

    buf_clear(&a->packed);
    msgpack_packer_init(&pk, &a->packed, buf_msgpack_write);
    msgpack_pack_map(&pk, 2);
    pack_key(&pk, "query");
    pack_str(&pk, turn_query(u->data));
    pack_key(&pk, "limit");
    msgpack_pack_int(&pk, COMPOSE_MAX_SOURCES); /* more would not be told of */
    actor_call(self, "search_knowledge_base", buf_str(&a->packed),
               actor_int(self, "FTE_AGENT_CALL_TIMEOUT"), got_passages, u);
}

static void
got_passages(struct actor *self, void *arg, int err, const msgpack_object *body)
{
    struct agent *a = actor_context(self);
    struct unit *u = arg;
    struct turn *t = u->data;

    if (err == 0) {
        err = turn_found(t, body);
    }
    if (err) {
        give_back(self, u, err, "search_knowledge_base");
    } else if (t->state == TURN_SEARCH) {
        ask_knowledge_base(self, u);
    } else if (t->courtesy.n > 0) {
        answer_courtesy(self, u);
    } else if (turn_answerable(t)) {
        t->max_words = channels_max_words(a->channels, t->channel);
        a->strategy->compose(self, t, composed, u);
    } else {
        turn_escalate(t, "knowledge_gap");
        decided(self, u);
    }
}

/* Nothing is asked, so nothing is told of the product: the channel's line, without a passage. */
static void
answer_courtesy(struct actor *self, struct unit *u)
{
    const struct turn *t = u->data;
    const struct compose_input in = {.channel = t->channel, .name = t->name, .ref = t->ref};
    const bool none[TURN_MAX_HITS] = {false};
    struct buf text = {0};
    int err = compose_courtesy(&in, t->courtesy, &text);

    composed(self, u, err, buf_str(&text), none);
    buf_fini(&text);
}

static void
composed(struct actor *self, void *arg, int err, struct str text, const bool used[])
{
    struct unit *u = arg;

    if (err && err != ERR_NOT_FOUND) {
        give_back(self, u, err, "compose");
        return;
    }
    if (err) {
        turn_escalate(u->data, "knowledge_gap");
    } else {
        turn_send(u->data, text, used);
    }
    decided(self, u);
}

static void
decided(struct actor *self, struct unit *u)
{
    struct agent *a = actor_context(self);

    u->next = NULL;
    *a->decided_end = u;
    a->decided_end = &u->next;
}

/* One transaction for all that was decided in this turn of the loop; while two are on their way,
 * what is decided gathers for the next. */
static void
commit(void *arg)
{
    static const struct batch_stage stage = {
        .name = "runs",
        .key = unit_key,
        .put = put_steps,
        .stored = stored,
        .drop = drop,
    };
    struct actor *self = arg;
    struct agent *a = actor_context(self);

    while (a->decided && (pg_pending(a->pg) < COMMITS_IN_FLIGHT || !pg_is_up(a->pg))) {
        struct unit *units[ACTOR_BATCH_MAX];
        size_t n = 0;

        while (a->decided && n < ACTOR_BATCH_MAX) {
            units[n++] = a->decided;
            a->decided = a->decided->next;
        }
        if (!a->decided) {
            a->decided_end = &a->decided;
        }
        batch_commit(self, a->pg, &stage, units, n);
    }
}

static void
put_steps(struct actor *self, struct pg_txn *t, struct unit *const *units, size_t n)
{
    struct run_step steps[ACTOR_BATCH_MAX * TURN_MAX_STEPS];
    struct id ids[ACTOR_BATCH_MAX];
    size_t n_steps = 0;

    (void)self;
    for (size_t i = 0; i < n; i++) {
        struct turn *turn = units[i]->data;

        ids[i] = turn->unit;
        n_steps += (size_t)turn_steps(turn, steps + n_steps);
    }
    run_write(t, steps, n_steps, ids, n);
}

static void
stored(struct actor *self, const struct pg_reply *reply, struct unit **units, size_t n)
{
    const PGresult *before = reply->results[RUN_WRITE_RESULTS - 1];

    for (int row = 0; row < PQntuples(before) && SAFEGUARD("stored_decision"); row++) {
        struct run_decision d;

        run_decision(before, row, &d);
        for (size_t i = 0; i < n; i++) {
            struct turn *t = units[i]->data;
            if (id_eq(t->unit, d.unit) && turn_take_stored(t, d.tool, d.result) != 0) {
                log_error("stored_decision_malformed", "unit=%s", log_id(d.unit));
            }
        }
    }
    for (size_t i = 0; i < n; i++) {
        pass_on(self, units[i]);
    }
}

static void
pass_on(struct actor *self, struct unit *u)
{
    struct agent *a = actor_context(self);
    struct turn *t = u->data;
    char service[PROTO_MAX_SERVICE + 1];

    snprintf(service, sizeof service, "%s%.*s", t->sends ? "send_response." : "escalate_to_human",
             t->sends ? (int)t->channel.n : 0, t->channel.p);
    buf_clear(&a->packed);
    turn_section(t, &a->packed);
    drop(u);
    unit_pass(self, u, service, "decision", buf_str(&a->packed));
}

static void
give_back(struct actor *self, struct unit *u, int err, const char *why)
{
    drop(u);
    unit_retry(self, u, err, why);
}

static void
drop(struct unit *u)
{
    struct turn *t = u->data;

    turn_fini(t);
    free(t);
    u->data = NULL;
}

static struct id
unit_key(const struct unit *u)
{
    return ((const struct turn *)u->data)->unit;
}

static void
agent_fini(struct actor *self)
{
    struct agent *a = actor_context(self);

    pg_close(&a->pg);
    channels_free(&a->channels);
    buf_fini(&a->packed);
}
