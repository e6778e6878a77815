/* triage - decides before any model whether a message needs a person, and how it feels.
 *
 *   ticketer --(ticket)--> triage --(triage)--> agent, or escalate_to_human
 *
 * The sentiment of each message is committed before the unit goes on; the decision is a pure
 * function of the unit and of the stored score of the exchange before it, so a replay decides the
 * same.
 */
#include "actors/triage/decide.h"
#include "db/actor_pg.h"
#include "db/batch.h"
#include "db/sentiment.h"

#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

struct triage {
    struct pg *pg;
    struct decider decider;
    struct decision decision; /* of the unit at hand; kept for its memory */
};

/* What is stored for a unit, and what it is passed on with. */
struct outcome {
    struct sentiment_row rows[ENVELOPE_MAX_MESSAGES];
    size_t n;
    bool escalate;
    struct buf section; /* packed */
};

static int triage_init(struct actor *self);
static void triage_work(struct actor *self, struct unit **units, size_t n);
static int triage_unit(struct triage *triage, struct unit *u, const char **ret_why);
static int read_messages(const msgpack_object *incoming, struct str *ret_texts,
                         struct sentiment_row *ret_rows, size_t *ret_n);
static void pack_section(const struct decision *d, struct buf *ret);
static struct id customer_of(const struct unit *u);
static void put(struct actor *self, struct pg_txn *t, struct unit *const *units, size_t n);
static void stored(struct actor *self, const struct pg_reply *reply, struct unit **units, size_t n);
static void drop(struct unit *u);
static void triage_fini(struct actor *self);

static const struct batch_stage stage = {
    .name = "scores", .key = customer_of, .put = put, .stored = stored, .drop = drop};

/* Read here as well, so that --check tells the line that is wrong. */
static bool
rules_ok(const char *value, struct buf *ret_why)
{
    struct rules *rules = rules_load(value, ret_why);
    bool ok = rules != NULL;

    rules_free(&rules);
    return ok;
}

int
main(int argc, char **argv)
{
    static const struct option options[] = {
        DATABASE_OPTION,
        {.name = "FTE_TRIAGE_RULES",
         .type = OPTION_PATH,
         .value_default = "",
         .allowed = "a file of rules that can be read",
         .valid = rules_ok,
         .help = "A file of rules that say which words call for a person "
                 "(actors/triage/triage.rules); empty: the built-in ones."},
        OPTION_END,
    };
    static const struct actor_spec spec = {
        .name = "triage",
        .service = "triage",
        .options = options,
        .context_size = sizeof(struct triage),
        .init = triage_init,
        .work = triage_work,
        .overlapped = true,
        .fini = triage_fini,
    };

    return actor_run(&spec, argc, argv);
}

static int
triage_init(struct actor *self)
{
    struct triage *triage = actor_context(self);
    struct buf faults = {0};

    if (decider_init(&triage->decider, actor_text(self, "FTE_TRIAGE_RULES"), &faults) != 0) {
        log_error("setting_refused", "name=FTE_TRIAGE_RULES why=%s", log_quote(buf_c(&faults)));
        buf_fini(&faults);
        return EX_CONFIG;
    }
    buf_fini(&faults);
    triage->pg = actor_pg_open(self, NULL, NULL);
    return 0;
}

static void
triage_work(struct actor *self, struct unit **units, size_t n)
{
    struct triage *triage = actor_context(self);
    struct unit *good[ACTOR_BATCH_MAX];
    size_t good_n = 0;

    for (size_t i = 0; i < n; i++) {
        const char *why = "";
        int err = triage_unit(triage, units[i], &why);

        if (err) {
            unit_reject(self, units[i], err, why);
        } else {
            good[good_n++] = units[i];
        }
    }
    batch_commit(self, triage->pg, &stage, good, good_n);
}

/* Decides, and hangs what is to be stored and passed on to the unit. */
static int
triage_unit(struct triage *triage, struct unit *u, const char **ret_why)
{
    const msgpack_object *incoming = envelope_section(u->envelope, "incoming");
    const msgpack_object *ticket = envelope_section(u->envelope, "ticket");
    struct str texts[ENVELOPE_MAX_MESSAGES];
    struct decide_input in = {.texts = texts};
    struct outcome *o;
    struct outcome made = {0};

    *ret_why = "ticket";
    if (!ticket)
        return ERR_MALFORMED;
    *ret_why = "incoming.messages";
    if (!incoming || read_messages(incoming, texts, made.rows, &in.n) != 0)
        return ERR_MALFORMED;
    *ret_why = "incoming.channel";
    in.channel = decide_channel(map_str(incoming, "channel"));
    if (!in.channel)
        return ERR_INVALID;
    in.subject = map_str(incoming, "subject");
    in.name = map_str(map_get(incoming, "customer"), "name");
    in.human = str_is(map_str(ticket, "state"), "human");
    in.has_previous = map_float(ticket, "previous_sentiment", &in.previous);
    decide(&triage->decider, &in, &triage->decision);

    o = xmalloc(sizeof(*o));
    *o = made;
    o->n = in.n;
    for (size_t i = 0; i < in.n; i++)
        o->rows[i].score = triage->decision.sentiments[i];
    o->escalate = triage->decision.escalate;
    pack_section(&triage->decision, &o->section);
    u->data = o;
    return 0;
}

static int
read_messages(const msgpack_object *incoming, struct str *ret_texts, struct sentiment_row *ret_rows,
              size_t *ret_n)
{
    const msgpack_object *list = map_array(incoming, "messages");

    if (!list || list->via.array.size == 0 || list->via.array.size > ENVELOPE_MAX_MESSAGES)
        return ERR_MALFORMED;
    *ret_n = list->via.array.size;
    for (size_t i = 0; i < *ret_n; i++) {
        ret_texts[i] = map_str(&list->via.array.ptr[i], "text");
        if (!ret_texts[i].p || !map_id(&list->via.array.ptr[i], "id", &ret_rows[i].message))
            return ERR_MALFORMED;
    }
    return 0;
}

/* {sentiment, escalate, reason, courtesy, evidence: [{rule, words}]} */
static void
pack_section(const struct decision *d, struct buf *ret)
{
    msgpack_packer pk;

    msgpack_packer_init(&pk, ret, buf_msgpack_write);
    msgpack_pack_map(&pk, 5);
    pack_key(&pk, "sentiment");
    msgpack_pack_double(&pk, d->sentiment);
    pack_key(&pk, "escalate");
    d->escalate ? msgpack_pack_true(&pk) : msgpack_pack_false(&pk);
    pack_key(&pk, "reason");
    pack_str(&pk, str_of(d->reason));
    pack_key(&pk, "courtesy");
    pack_str(&pk, str_of(courtesy_name(d->courtesy)));
    pack_key(&pk, "evidence");
    msgpack_pack_array(&pk, d->n_hits);
    for (size_t i = 0; i < d->n_hits; i++) {
        msgpack_pack_map(&pk, 2);
        pack_key(&pk, "rule");
        pack_c(&pk, d->hits[i].rule);
        pack_key(&pk, "words");
        msgpack_pack_array(&pk, d->hits[i].n);
        for (size_t k = 0; k < d->hits[i].n; k++)
            pack_str(&pk, d->hits[i].words[k]);
    }
}

/* --- a batch ---------------------------------------------------------------------------------- */

static struct id
customer_of(const struct unit *u)
{
    const msgpack_object *customer = envelope_section(u->envelope, "customer");
    struct id id;

    return customer && map_id(customer, "id", &id) ? id : u->head.id;
}

static void
put(struct actor *self, struct pg_txn *t, struct unit *const *units, size_t n)
{
    struct sentiment_row rows[ACTOR_BATCH_MAX * ENVELOPE_MAX_MESSAGES];
    size_t rows_n = 0;

    (void)self;
    for (size_t i = 0; i < n; i++) {
        const struct outcome *o = units[i]->data;
        memcpy(rows + rows_n, o->rows, o->n * sizeof(*rows));
        rows_n += o->n;
    }
    sentiment_put(t, rows, rows_n);
}

static void
stored(struct actor *self, const struct pg_reply *reply, struct unit **units, size_t n)
{
    (void)reply;
    for (size_t i = 0; i < n; i++) {
        const struct outcome *o = units[i]->data;
        struct buf section = o->section;

        const char *next = o->escalate ? "escalate_to_human" : "agent";
        free(units[i]->data);
        units[i]->data = NULL;
        unit_pass(self, units[i], next, "triage", buf_str(&section));
        buf_fini(&section);
    }
}

static void
drop(struct unit *u)
{
    struct outcome *o = u->data;

    buf_fini(&o->section);
    free(o);
    u->data = NULL;
}

static void
triage_fini(struct actor *self)
{
    struct triage *triage = actor_context(self);

    pg_close(&triage->pg);
    decision_fini(&triage->decision);
    decider_fini(&triage->decider);
}
