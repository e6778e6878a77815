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
#include "db/batch.h"
#include "db/customer.h"
#include "proto/runtime/actor.h"

#include <stdlib.h>
#include <sysexits.h>

#define NAME_MAX_BYTES 200

struct identity {
    struct pg *pg;
    const char *region; /* in which country numbers without a country code were written, or "" */
};

/* Who a unit says it is from. */
struct sender {
    struct customer_claim claim;
    struct buf text; /* what the claim points at */
};

static int identity_init(struct actor *self);
static void identity_work(struct actor *self, struct unit **units, size_t n);
static int read_sender(const struct identity *identity, struct unit *u, const char **ret_why);
static struct id customer_of(const struct unit *u);
static void put(struct actor *self, struct pg_txn *t, struct unit *const *units, size_t n);
static void stored(struct actor *self, const struct pg_reply *reply, struct unit **units, size_t n);
static void pass_on(struct actor *self, struct unit *u, const struct customer_found *found);
static void drop(struct unit *u);
static void identity_fini(struct actor *self);

static const struct batch_stage stage = {
    .name = "customers", .key = customer_of, .put = put, .stored = stored, .drop = drop};

static bool
region_ok(const char *value, struct buf *ret_why)
{
    (void)ret_why;
    return phone_region_ok(value);
}

static const struct option identity_options[] = {
    DATABASE_OPTION,
    {.name = "FTE_PHONE_REGION",
     .type = OPTION_TEXT,
     .value_default = "",
     .min = 0,
     .max = 2,
     .allowed = "a country code of ISO 3166 in capitals, or nothing",
     .valid = region_ok,
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
    identity->pg = actor_pg_open(self, NULL, NULL);
    return 0;
}

static void
identity_work(struct actor *self, struct unit **units, size_t n)
{
    struct identity *identity = actor_context(self);
    struct unit *good[ACTOR_BATCH_MAX];
    size_t good_n = 0;

    for (size_t i = 0; i < n; i++) {
        const char *why = "";
        int err = read_sender(identity, units[i], &why);

        if (err) {
            unit_reject(self, units[i], err, why);
        } else {
            good[good_n++] = units[i];
        }
    }
    batch_commit(self, identity->pg, &stage, good, good_n);
}

/* The sender as the form gave it. An address that has no normal form can't have come through our
 * ingress; a number that has none is left out, for the message is worth more than the number. */
static int
read_sender(const struct identity *identity, struct unit *u, const char **ret_why)
{
    const msgpack_object *incoming = envelope_section(u->envelope, "incoming");
    const msgpack_object *customer = incoming ? map_get(incoming, "customer") : NULL;
    struct str email, name, phone;
    struct buf text = {0};
    struct sender *sender;
    size_t email_n;

    *ret_why = "incoming.customer";
    if (!customer)
        return ERR_MALFORMED;
    email = map_str(customer, "email");
    name = str_trim(map_str(customer, "name"));
    phone = map_str(customer, "phone");
    *ret_why = "incoming.customer.email";
    if (!email.p || contact_email(email, &text, NULL) != 0)
        return ERR_MALFORMED;
    email_n = text.n;
    if (phone.n)
        phone_normal(phone, identity->region, &text);
    sender = xmalloc(sizeof(*sender));
    *sender = (struct sender){
        .claim = {.kind = "email",
                  .assurance = "claimed",
                  .value = {text.p, email_n},
                  .phone = {text.p + email_n, text.n - email_n},
                  .name = name.n <= NAME_MAX_BYTES ? name : (struct str){0}},
        .text = text,
    };
    u->data = sender;
    return 0;
}

/* --- a batch ---------------------------------------------------------------------------------- */

static struct id
customer_of(const struct unit *u)
{
    const struct sender *sender = u->data;

    return customer_id(&sender->claim);
}

/* The claims of some units, for a statement of all of them. */
static void
claims_of(struct unit *const *units, size_t n, struct customer_claim *ret)
{
    for (size_t i = 0; i < n; i++) {
        const struct sender *sender = units[i]->data;
        ret[i] = sender->claim;
    }
}

static void
put(struct actor *self, struct pg_txn *t, struct unit *const *units, size_t n)
{
    struct customer_claim claims[ACTOR_BATCH_MAX];

    (void)self;
    claims_of(units, n, claims);
    customer_resolve(t, claims, n);
}

static void
stored(struct actor *self, const struct pg_reply *reply, struct unit **units, size_t n)
{
    struct customer_found found[ACTOR_BATCH_MAX];
    bool all = customer_read(reply->results, reply->n, found, n);

    for (size_t i = 0; i < n; i++) {
        if (all) {
            pass_on(self, units[i], &found[i]);
        } else {
            /* Erased between two statements: the next attempt makes it anew. */
            drop(units[i]);
            unit_retry(self, units[i], ERR_CONFLICT, "customer vanished");
        }
    }
}

/* The name goes on only as it came with this message: what is stored may be somebody else's, since
 * anyone can type anyone's address. */
static void
pass_on(struct actor *self, struct unit *u, const struct customer_found *found)
{
    const struct sender *sender = u->data;
    struct str name = sender->claim.name;
    struct buf section = {0};
    msgpack_packer pk;

    msgpack_packer_init(&pk, &section, buf_msgpack_write);
    msgpack_pack_map(&pk, name.n ? 3 : 2);
    pack_key(&pk, "id");
    pack_id(&pk, found->id);
    if (name.n) {
        pack_key(&pk, "name");
        pack_str(&pk, name);
    }
    pack_key(&pk, "known");
    found->known ? msgpack_pack_true(&pk) : msgpack_pack_false(&pk);
    drop(u);
    unit_pass(self, u, "create_ticket", "customer", buf_str(&section));
    buf_fini(&section);
}

static void
drop(struct unit *u)
{
    struct sender *sender = u->data;

    buf_fini(&sender->text);
    free(sender);
    u->data = NULL;
}

static void
identity_fini(struct actor *self)
{
    struct identity *identity = actor_context(self);

    pg_close(&identity->pg);
}
