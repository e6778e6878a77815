/* escalator - hand a unit to a person, with all that the person needs.
 *
 *   triage, agent or sender --(ticket, triage, decision)--> escalator --DONE--> edge
 *                                                              |
 *                                                              +--(CALL append: fte.escalations)-->
 * edge
 *
 * Escalation, conversation and ticket are one commit under the unit's key; the topic's record has
 * an id derived from it. A crash before DONE repeats both, and both are found. From the commit on
 * no automatic reply leaves in this conversation until the person gives it back.
 */
#include "actors/escalator/handoff.h"
#include "db/actor_pg.h"
#include "db/batch.h"
#include "proto/runtime/fault.h"

#include <stdlib.h>
#include <string.h>

#define TOPIC STR("fte.escalations")
#define PUBLISH_MS 5000
#define PUBLISH_BYTES (128 * 1024) /* of one CALL: one record is at most half of that */

struct escalator {
    struct pg *pg;
};

/* Units whose records are on their way to the log in one CALL. */
struct publication {
    struct unit *units[ACTOR_BATCH_MAX];
    size_t n;
    struct buf records[ACTOR_BATCH_MAX];
    size_t bytes;
};

static int escalator_init(struct actor *self);
static void escalator_work(struct actor *self, struct unit **units, size_t n);
static struct id customer_of(const struct unit *u);
static void put_questions(struct actor *self, struct pg_txn *t, struct unit *const *units,
                          size_t n);
static void learned(struct actor *self, const struct pg_reply *reply, struct unit **units,
                    size_t n);
static void put(struct actor *self, struct pg_txn *t, struct unit *const *units, size_t n);
static void stored(struct actor *self, const struct pg_reply *reply, struct unit **units, size_t n);
static void publish(struct actor *self, struct publication **p_p);
static void published(struct actor *self, void *arg, int err, const msgpack_object *body);
static void drop(struct unit *u);
static void escalator_fini(struct actor *self);

/* First what is known of the customers; then, with that, the escalations. */
static const struct batch_stage questions = {
    .name = "questions", .key = customer_of, .put = put_questions, .stored = learned, .drop = drop};
static const struct batch_stage escalations = {
    .name = "escalations", .key = customer_of, .put = put, .stored = stored, .drop = drop};

int
main(int argc, char **argv)
{
    static const struct option options[] = {DATABASE_OPTION, OPTION_END};
    static const struct actor_spec spec = {
        .name = "escalator",
        .service = "escalate_to_human",
        .options = options,
        .context_size = sizeof(struct escalator),
        .init = escalator_init,
        .work = escalator_work,
        .fini = escalator_fini,
    };

    return actor_run(&spec, argc, argv);
}

static int
escalator_init(struct actor *self)
{
    struct escalator *escalator = actor_context(self);

    escalator->pg = actor_pg_open(self, NULL, NULL);
    return 0;
}

static void
escalator_work(struct actor *self, struct unit **units, size_t n)
{
    struct escalator *escalator = actor_context(self);
    struct unit *good[ACTOR_BATCH_MAX];
    size_t good_n = 0;

    for (size_t i = 0; i < n; i++) {
        struct handoff *handoff = xmalloc(sizeof(*handoff));
        const char *why;
        int err = handoff_read(units[i]->envelope, handoff, &why);

        if (err != 0) {
            free(handoff);
            unit_reject(self, units[i], err, why);
            continue;
        }
        units[i]->data = handoff;
        good[good_n++] = units[i];
    }
    batch_commit(self, escalator->pg, &questions, good, good_n);
}

static struct id
customer_of(const struct unit *u)
{
    const struct handoff *handoff = u->data;

    return handoff->row.customer;
}

/* --- what is known --------------------------------------------------------------------------- */

static void
put_questions(struct actor *self, struct pg_txn *t, struct unit *const *units, size_t n)
{
    struct id customers[ACTOR_BATCH_MAX];
    struct history_question asked[ACTOR_BATCH_MAX];

    (void)self;
    for (size_t i = 0; i < n; i++) {
        const struct handoff *handoff = units[i]->data;
        customers[i] = handoff->row.customer;
        asked[i] = (struct history_question){handoff->row.customer, handoff->row.unit};
    }
    escalation_put_customers(t, customers, n);
    history_put(t, asked, n);
}

static bool
find_customer(const PGresult *r, struct id id, struct escalation_customer *ret)
{
    for (int row = 0; row < PQntuples(r); row++) {
        escalation_get_customer(r, row, ret);
        if (id_eq(ret->id, id)) {
            return true;
        }
    }
    return false;
}

static void
learned(struct actor *self, const struct pg_reply *reply, struct unit **units, size_t n)
{
    struct escalator *escalator = actor_context(self);
    const PGresult *history = reply->results[1];
    int row = 0;

    for (size_t i = 0; i < n; i++) {
        struct handoff *handoff = units[i]->data;
        struct history_row messages[HISTORY_MESSAGES];
        size_t messages_n = 0;
        struct escalation_customer customer;
        bool known = find_customer(reply->results[0], handoff->row.customer, &customer);

        for (; row < PQntuples(history) && messages_n < HISTORY_MESSAGES; row++) {
            history_get(history, row, &messages[messages_n]);
            if (messages[messages_n].question != (int)i) {
                break;
            }
            messages_n++;
        }
        handoff_complete(handoff, units[i]->envelope, known ? &customer : NULL, messages,
                         messages_n);
    }
    batch_commit(self, escalator->pg, &escalations, units, n);
}

/* --- the escalations ------------------------------------------------------------------------- */

static void
put(struct actor *self, struct pg_txn *t, struct unit *const *units, size_t n)
{
    const struct escalation *rows[ACTOR_BATCH_MAX];

    (void)self;
    for (size_t i = 0; i < n; i++) {
        rows[i] = &((const struct handoff *)units[i]->data)->row;
    }
    batch_lock(t, units, n, customer_of);
    escalation_put(t, rows, n);
}

static void
stored(struct actor *self, const struct pg_reply *reply, struct unit **units, size_t n)
{
    const PGresult *r = reply->results[1];
    struct publication *p = xcalloc(1, sizeof(*p));

    for (int row = 0; row < PQntuples(r); row++) {
        struct escalation_stored now;
        struct unit *u;

        escalation_get(r, row, &now);
        u = batch_take(units, n, now.unit);
        if (!u) {
            continue;
        }
        switch (now.outcome) {
        case ESCALATION_NONE:
            drop(u);
            unit_done(self, u);
            break;
        case ESCALATION_STORED:
            handoff_event(u->data, u->envelope, &now, &p->records[p->n]);
            p->bytes += p->records[p->n].n;
            p->units[p->n++] = u;
            drop(u);
            if (p->bytes > PUBLISH_BYTES / 2) {
                publish(self, &p);
                p = xcalloc(1, sizeof(*p));
            }
            break;
        }
    }
    publish(self, &p);
}

/* Asks the edge to append the records. Takes the publication. */
static void
publish(struct actor *self, struct publication **p_p)
{
    struct publication *p = *p_p;
    struct buf body = {0};
    msgpack_packer pk;

    *p_p = NULL;
    if (p->n == 0) {
        free(p);
        return;
    }
    msgpack_packer_init(&pk, &body, buf_msgpack_write);
    msgpack_pack_map(&pk, 2);
    pack_key(&pk, "verb");
    pack_c(&pk, "append");
    pack_key(&pk, "records");
    msgpack_pack_array(&pk, p->n);
    for (size_t i = 0; i < p->n; i++) {
        const struct envelope *e = p->units[i]->envelope;
        msgpack_pack_map(&pk, 5);
        pack_key(&pk, "topic");
        pack_str(&pk, TOPIC);
        pack_key(&pk, "id");
        pack_id(&pk, id_derive_from("escalation", e->id));
        pack_key(&pk, "key");
        pack_str(&pk, e->key);
        pack_key(&pk, "trace");
        pack_str(&pk, e->trace);
        pack_key(&pk, "body");
        msgpack_pack_bin(&pk, p->records[i].n);
        msgpack_pack_bin_body(&pk, p->records[i].p, p->records[i].n);
        buf_fini(&p->records[i]);
    }
    actor_call(self, "edge", buf_str(&body), PUBLISH_MS, published, p);
    buf_fini(&body);
}

/* The escalations stand whatever the log says: waiting is the cure, and a unit is never lost to it.
 */
static void
published(struct actor *self, void *arg, int err, const msgpack_object *body)
{
    struct publication *p = arg;

    bool never = err == ERR_MALFORMED || err == ERR_INVALID || err == ERR_TOO_BIG;

    (void)body;
    if (never) {
        log_error("not_published", "units=%zu err=%s", p->n, err_str(err));
    } else if (err != 0) {
        log_warn("not_published", "units=%zu err=%s", p->n, err_str(err));
    }
    for (size_t i = 0; i < p->n; i++) {
        if (err == 0 || never || !SAFEGUARD("told")) {
            unit_done(self, p->units[i]);
        } else {
            unit_retry(self, p->units[i], ERR_UNAVAILABLE, "log");
        }
    }
    free(p);
}

static void
drop(struct unit *u)
{
    handoff_fini(u->data);
    free(u->data);
    u->data = NULL;
}

static void
escalator_fini(struct actor *self)
{
    struct escalator *escalator = actor_context(self);

    pg_close(&escalator->pg);
}
