#include "test/sim/cast.h"

#include "db/pg.h"
#include "proto/runtime/actor_private.h"
#include "test/sim/facts.h"
#include "test/sim/store.h"

#include <stdio.h>
#include <stdlib.h>

bool cast_writing;
void (*cast_kill)(struct proc *p);

const struct cast_role cast_roles[] = {
    {"identity", "identity", CAST_SLOTS},
    {"agent", "agent", CAST_SLOTS},
    {"sender", "send_response.webform", CAST_SLOTS},
    {"escalator", "escalate_to_human", CAST_SLOTS},
    {NULL, NULL, 0},
};

/* --- a stage -------------------------------------------------------------------------------- */

struct stage {
    struct actor *self;
    struct pg *pg;
    const struct cast_role *role;
    struct proc *proc;
};

enum verdict { VERDICT_PASS, VERDICT_DONE, VERDICT_RETRY, VERDICT_REJECT };

struct job {
    int unit;
    int key;
    int messages[ENVELOPE_MAX_MESSAGES];
    size_t n;
    enum verdict verdict;
    const char *next;
};

struct jobs {
    const struct cast_role *role;
    size_t n;
    struct job jobs[ACTOR_BATCH_MAX];
};

struct batch {
    struct stage *stage;
    size_t n;
    struct unit *units[ACTOR_BATCH_MAX];
};

static void
read_job(const struct envelope *e, struct job *j)
{
    const msgpack_object *messages = map_array(envelope_section(e, "incoming"), "messages");

    j->unit = facts_number(e->id);
    REPORT_WANT(j->unit > 0 && messages != NULL, "an envelope that cannot be read");
    for (uint32_t i = 0; i < messages->via.array.size; i++) {
        struct id id = {{0}};
        map_id(&messages->via.array.ptr[i], "id", &id);
        j->messages[j->n++] = facts_number(id);
    }
    j->key = facts.messages[j->unit].key;
    REPORT_WANT(j->messages[0] == j->unit, "unit %d begins with message %d", j->unit,
                j->messages[0]);
}

/* What the first stage makes of a message that does not behave. */
static enum verdict
by_nature(struct job *j)
{
    struct message *m = &facts.messages[j->unit];

    switch (m->nature) {
    case NATURE_FLAKY:
        return m->troubles-- > 0 ? VERDICT_RETRY : VERDICT_PASS;
    case NATURE_HOPELESS:
        return VERDICT_RETRY;
    case NATURE_REFUSED:
        return VERDICT_REJECT;
    case NATURE_GOOD:
    case NATURE_FATAL:
    case NATURE_DEADLY:
        return VERDICT_PASS;
    }
    return VERDICT_PASS;
}

static void
decide(struct job *j)
{
    struct message *m = &facts.messages[j->unit];

    if (!m->decided) {
        m->decided = true;
        m->decided_escalate = random_once_in(&world.random, 5);
    }
    j->next = m->decided_escalate ? "escalate_to_human" : "send_response.webform";
}

static void
reply(struct job *j)
{
    if (facts_may_reply(j->unit, j->key)) {
        facts_outcome(OUTCOME_REPLY, j->unit, j->messages, j->n);
    }
    /* Nothing was stored, and there is neither a reply nor a dead letter: to a person. */
    j->verdict = VERDICT_DONE;
    if (facts_may_escalate(j->unit)) {
        j->verdict = VERDICT_PASS;
        j->next = "escalate_to_human";
    }
}

static void
escalate(struct job *j)
{
    j->verdict = VERDICT_DONE;
    if (facts_may_escalate(j->unit)) {
        facts_outcome(OUTCOME_ESCALATION, j->unit, j->messages, j->n);
        facts.keys[j->key].human = true;
    }
}

static void
do_jobs(struct store_op *op)
{
    struct jobs *d = op->data;

    for (size_t i = 0; i < d->n; i++) {
        struct job *j = &d->jobs[i];
        if (str_is(str_of(d->role->name), "identity")) {
            j->verdict = by_nature(j);
            j->next = "agent";
        } else if (str_is(str_of(d->role->name), "agent")) {
            decide(j);
        } else if (str_is(str_of(d->role->name), "sender")) {
            reply(j);
        } else {
            escalate(j);
        }
    }
}

static void
settle(struct actor *self, struct unit *u, const struct job *j)
{
    switch (j->verdict) {
    case VERDICT_PASS:
        unit_pass(self, u, j->next, NULL, STR(""));
        break;
    case VERDICT_DONE:
        unit_done(self, u);
        break;
    case VERDICT_RETRY:
        unit_retry(self, u, ERR_INTERNAL, "trouble");
        break;
    case VERDICT_REJECT:
        unit_reject(self, u, ERR_INVALID, "never");
        break;
    }
}

static void
stored(void *arg, const struct pg_reply *r)
{
    struct batch *b = arg;
    const struct jobs *d = r->err == 0 ? store_result(r->results[0])->data : NULL;

    for (size_t i = 0; i < b->n; i++) {
        if (d == NULL) {
            unit_retry(b->stage->self, b->units[i], r->err, "database");
        } else {
            settle(b->stage->self, b->units[i], &d->jobs[i]);
        }
    }
    free(b);
}

static void
die(void *arg)
{
    struct proc *p = arg;

    if (p->alive) {
        cast_kill(p);
    }
}

/* True if one of the messages kills whoever works on it. */
static bool
kills(const struct jobs *d)
{
    for (size_t i = 0; i < d->n; i++) {
        struct message *m = &facts.messages[d->jobs[i].unit];
        if (m->nature == NATURE_FATAL || (m->nature == NATURE_DEADLY && m->troubles-- > 0)) {
            return true;
        }
    }
    return false;
}

static void
stage_work(struct actor *self, struct unit **units, size_t n)
{
    struct stage *s = actor_context(self);
    struct batch *b = xcalloc(1, sizeof(*b));
    struct jobs *d = xcalloc(1, sizeof(*d));
    struct pg_txn *t = pg_begin(s->pg);

    REPORT_WANT(self->held <= s->role->slots, "%s.%d holds %zu units with %u slots", s->role->name,
                s->proc->number, self->held, s->role->slots);
    b->stage = s;
    b->n = d->n = n;
    d->role = s->role;
    for (size_t i = 0; i < n; i++) {
        b->units[i] = units[i];
        read_job(units[i]->envelope, &d->jobs[i]);
    }
    if (str_is(str_of(s->role->name), "agent") && kills(d)) {
        world_at(world_delay(0, 3000), NULL, die, s->proc);
    }
    store_op(t, do_jobs, NULL, d);
    pg_commit(&t, stored, b);
}

static void
stage_up(void *arg)
{
    actor_release(((struct stage *)arg)->self);
}

static void
stage_down(void *arg)
{
    actor_hold(((struct stage *)arg)->self, "database");
}

static int
stage_init(struct actor *self)
{
    struct stage *s = actor_context(self);

    s->self = self;
    s->proc = world.current;
    s->role = world.current->data;
    actor_hold(self, "database");
    s->pg = pg_open(actor_loop(self), "", 0,
                    &(struct pg_events){.up = stage_up, .down = stage_down, .arg = s});
    return 0;
}

static void
stage_fini(struct actor *self)
{
    struct stage *s = actor_context(self);

    pg_close(&s->pg);
}

static bool
stage_drained(struct actor *self)
{
    return pg_pending(((struct stage *)actor_context(self))->pg) == 0;
}

int
cast_stage_main(int argc, char **argv)
{
    const struct cast_role *role = world.current->data;
    const struct actor_spec spec = {
        .name = role->name,
        .service = role->service,
        .slots = role->slots,
        .context_size = sizeof(struct stage),
        .init = stage_init,
        .work = stage_work,
        .drained = stage_drained,
        .fini = stage_fini,
    };

    return actor_run(&spec, argc, argv);
}

/* --- a client ------------------------------------------------------------------------------- */

struct client {
    struct actor *self;
    struct proc *proc;
};

/* A message that it wants to be taken. */
struct wish {
    struct client *client;
    struct message *message;
    int tries;
};

static void wish_ask(void *arg);

static void
wish_answered(struct actor *self, void *arg, int err, const msgpack_object *body)
{
    struct wish *w = arg;

    (void)body;
    if (w->client->proc->killed) {
        free(w);
        return;
    }
    if (err == 0) {
        w->message->accepted = true;
    }
    /* No answer: again. An answer that it missed, or a second click: again, too. */
    if ((err != 0 && w->tries++ < 40) || random_once_in(&world.random, 30)) {
        loop_timer(actor_loop(self), 50 + (int64_t)random_below(&world.random, 1000), 0, wish_ask,
                   w);
        return;
    }
    free(w);
}

static void
pack_record(msgpack_packer *pk, const struct message *m)
{
    struct buf body = {0};
    char key[16];
    msgpack_packer in;

    msgpack_packer_init(&in, &body, buf_msgpack_write);
    msgpack_pack_map(&in, 2);
    pack_key(&in, "link");
    pack_id(&in, (struct id){{'l', (uint8_t)m->link}});
    pack_key(&in, "messages");
    msgpack_pack_array(&in, 1);
    msgpack_pack_map(&in, 1);
    pack_key(&in, "id");
    pack_id(&in, facts_id(m->number));
    snprintf(key, sizeof(key), "k%d", m->key);
    msgpack_pack_map(pk, 4);
    pack_key(pk, "topic");
    pack_c(pk, "fte.tickets.incoming");
    pack_key(pk, "id");
    pack_id(pk, facts_id(m->number));
    pack_key(pk, "key");
    pack_c(pk, key);
    pack_key(pk, "body");
    msgpack_pack_bin(pk, body.n);
    msgpack_pack_bin_body(pk, body.p, body.n);
    buf_fini(&body);
}

static void
wish_ask(void *arg)
{
    struct wish *w = arg;
    struct buf body = {0};
    msgpack_packer pk;

    msgpack_packer_init(&pk, &body, buf_msgpack_write);
    msgpack_pack_map(&pk, 2);
    pack_key(&pk, "verb");
    pack_c(&pk, "append");
    pack_key(&pk, "records");
    msgpack_pack_array(&pk, 1);
    pack_record(&pk, w->message);
    actor_call(w->client->self, "edge", buf_str(&body), 3000, wish_answered, w);
    buf_fini(&body);
}

static void
client_tick(void *arg)
{
    struct client *c = arg;
    int n = random_once_in(&world.random, 8) ? 12 : 1; /* now and then a burst */
    struct message *before = NULL;

    while (cast_writing && n-- > 0) {
        struct message *m = facts_new();
        struct wish *w;
        if (m == NULL) {
            return;
        }
        if (before != NULL && random_once_in(&world.random, 2)) {
            m->key = before->key;
            m->link = before->link;
        }
        before = m;
        w = xmalloc(sizeof(*w));
        *w = (struct wish){.client = c, .message = m};
        wish_ask(w);
    }
}

static int
client_init(struct actor *self)
{
    struct client *c = actor_context(self);

    c->self = self;
    c->proc = world.current;
    loop_timer(actor_loop(self), 20, 60, client_tick, c);
    return 0;
}

int
cast_client_main(int argc, char **argv)
{
    static const struct actor_spec spec = {
        .name = "client", .context_size = sizeof(struct client), .init = client_init};

    return actor_run(&spec, argc, argv);
}
