/* identity - says which customer a message is from.
 *
 *   edge --(incoming)--> identity --(customer)--> create_ticket
 *
 * The customer is committed before the envelope goes on, under an id that is derived from the
 * identifier: after a crash the same message finds the same customer. A form proves nothing: its
 * e-mail address is "claimed" and never meets what a channel has verified, and its telephone number
 * is kept without deciding anything.
 */
#include "actors/identity/contact.h"
#include "actors/identity/phone.h"
#include "db/actor_pg.h"
#include "db/customer.h"
#include "proto/runtime/actor.h"

#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#define NAME_MAX_BYTES 200
/* The largest form of a number that is kept. */
#define PHONE_RESULTS 4

struct identity {
    struct pg *pg;
    const char *region; /* in which country numbers without a country code were written, or "" */
};

/* Units that are resolved by one commit. */
struct batch {
    struct actor *self;
    size_t n;
    struct unit *units[ACTOR_BATCH_MAX];
    struct customer_claim claims[ACTOR_BATCH_MAX];
    struct buf text[ACTOR_BATCH_MAX]; /* what the claims point at */
};

static int identity_init(struct actor *self);
static void identity_work(struct actor *self, struct unit **units, size_t n);
static int claim_read(const struct identity *identity, struct unit *u, struct buf *text,
                      struct customer_claim *ret, const char **ret_why);
static void batch_commit(struct batch *b);
static void batch_stored(void *arg, const struct pg_reply *reply);
static void batch_failed(struct batch *b, const struct pg_reply *reply);
static void batch_split(struct batch *b);
static void batch_free(struct batch **b_p);
static void pass_on(struct actor *self, struct unit *u, const struct customer_claim *claim,
                    const struct customer_found *found);
static void identity_fini(struct actor *self);

static const struct option identity_options[] = {
    DATABASE_OPTION,
    {.name = "FTE_PHONE_REGION",
     .type = OPTION_TEXT,
     .value_default = "",
     .min = 0,
     .max = 2,
     .help =
         "The country (ISO 3166, e.g. DE) of telephone numbers that are written without a country "
         "code; empty: only international numbers are understood."},
    OPTION_END,
};

int
main(int argc, char **argv)
{
    static const struct actor_spec spec = {
        .name = "identity",
        .service = "identity",
        .options = identity_options,
        .context_size = sizeof(struct identity),
        .init = identity_init,
        .work = identity_work,
        .overlapped = true,
        .fini = identity_fini,
    };

    return actor_run(&spec, argc, argv);
}

static int
identity_init(struct actor *self)
{
    struct identity *identity = actor_context(self);

    identity->region = actor_text(self, "FTE_PHONE_REGION");
    if (identity->region[0] && !phone_region_ok(identity->region)) {
        log_error("setting_refused",
                  "name=FTE_PHONE_REGION why=\"allowed: a country code of ISO 3166 in capitals, or "
                  "nothing\"");
        return EX_CONFIG;
    }
    identity->pg = actor_pg_open(self, NULL, NULL);
    return 0;
}

static void
identity_work(struct actor *self, struct unit **units, size_t n)
{
    struct identity *identity = actor_context(self);
    struct batch *b = xcalloc(1, sizeof *b);

    b->self = self;
    for (size_t i = 0; i < n; i++) {
        const char *why = "";
        int err = claim_read(identity, units[i], &b->text[b->n], &b->claims[b->n], &why);

        if (err) {
            buf_clear(&b->text[b->n]);
            unit_reject(self, units[i], err, why);
            continue;
        }
        b->units[b->n++] = units[i];
    }
    if (b->n == 0)
        batch_free(&b);
    else
        batch_commit(b);
}

/* The sender as the form gave it. An address that has no normal form can't have come through our
 * ingress; a number that has none is left out, for the message is worth more than the number. */
static int
claim_read(const struct identity *identity, struct unit *u, struct buf *text,
           struct customer_claim *ret, const char **ret_why)
{
    const msgpack_object *incoming = envelope_section(u->envelope, "incoming");
    const msgpack_object *customer = incoming ? map_get(incoming, "customer") : NULL;
    struct str email = customer ? map_str(customer, "email") : (struct str){0};
    struct str name = customer ? map_str(customer, "name") : (struct str){0};
    struct str phone = customer ? map_str(customer, "phone") : (struct str){0};
    size_t email_n;

    *ret_why = "incoming.customer.email is missing or isn't an address";
    if (!email.p || contact_email(email, text, NULL) != 0)
        return ERR_MALFORMED;
    email_n = text->n;
    if (phone.n)
        phone_normal(phone, identity->region, text);
    name = str_trim(name);
    *ret = (struct customer_claim){
        .kind = "email",
        .assurance = "claimed",
        .value = {text->p, email_n},
        .phone = {text->p + email_n, text->n - email_n},
        .name = name.n <= NAME_MAX_BYTES ? name : (struct str){0},
    };
    return 0;
}

static void
batch_commit(struct batch *b)
{
    struct identity *identity = actor_context(b->self);
    struct pg_txn *t = pg_begin(identity->pg);

    customer_resolve(t, b->claims, b->n);
    pg_commit(&t, batch_stored, b);
}

static void
batch_stored(void *arg, const struct pg_reply *reply)
{
    struct batch *b = arg;
    struct customer_found found[ACTOR_BATCH_MAX];

    if (reply->err) {
        batch_failed(b, reply);
        return;
    }
    
    if (!customer_read(reply->results, reply->n, found, b->n)) {
        /* Erased between two statements: the next attempt makes it anew. */
        for (size_t i = 0; i < b->n; i++)
            unit_retry(b->self, b->units[i], ERR_CONFLICT, "customer vanished");
    } else {
        for (size_t i = 0; i < b->n; i++)
            pass_on(b->self, b->units[i], &b->claims[i], &found[i]);
    }
    batch_free(&b);
}

static void
batch_failed(struct batch *b, const struct pg_reply *reply)
{
    bool of_one = reply->err == ERR_INVALID || reply->err == ERR_CONFLICT;

    if (of_one && b->n > 1) {
        batch_split(b);
        return;
    }
    for (size_t i = 0; i < b->n; i++) {
        if (of_one)
            unit_reject(b->self, b->units[i], reply->err, "refused by the database");
        else
            unit_retry(b->self, b->units[i], reply->err, "database");
    }
    batch_free(&b);
}

/* Each alone, so that one bad message doesn't take the others along. */
static void
batch_split(struct batch *b)
{
    for (size_t i = 0; i < b->n; i++) {
        struct batch *one = xcalloc(1, sizeof *one);

        *one = (struct batch){.self = b->self, .n = 1};
        one->units[0] = b->units[i];
        one->claims[0] = b->claims[i];
        one->text[0] = b->text[i];
        b->text[i] = (struct buf){0};
        batch_commit(one);
    }
    batch_free(&b);
}

static void
batch_free(struct batch **b_p)
{
    for (size_t i = 0; i < ACTOR_BATCH_MAX; i++)
        buf_fini(&(*b_p)->text[i]);
    free(*b_p);
    *b_p = NULL;
}

/* The name goes on only as it came with this message: what is stored may be somebody else's, since
 * anyone can type anyone's address. */
static void
pass_on(struct actor *self, struct unit *u, const struct customer_claim *claim,
        const struct customer_found *found)
{
    struct buf section = {0};
    msgpack_packer pk;

    msgpack_packer_init(&pk, &section, buf_msgpack_write);
    msgpack_pack_map(&pk, claim->name.n ? 3 : 2);
    pack_key(&pk, "id");
    pack_id(&pk, found->id);
    if (claim->name.n) {
        pack_key(&pk, "name");
        pack_str(&pk, claim->name);
    }
    pack_key(&pk, "known");
    found->known ? msgpack_pack_true(&pk) : msgpack_pack_false(&pk);
    unit_pass(self, u, "create_ticket", "customer", buf_str(&section));
    buf_fini(&section);
}

static void
identity_fini(struct actor *self)
{
    struct identity *identity = actor_context(self);

    pg_close(&identity->pg);
}
