#include "actors/ingress/append.h"

#include <openssl/sha.h>
#include <stdlib.h>

#define AGAIN_MS 40
#define DIGEST_SIZE 16
#define RECORD_MAX (200 * 1024) /* bytes of a record's body: what the edge takes */
#define FRAME_ROOM 4096         /* bytes of a question that are not the records' texts */

struct append_errand {
    struct errand errand;
    struct ingress *in;
    struct buf packed;
    int64_t until_ms;
    bool duplicate;
    bool same;
};

/* --- the question ---------------------------------------------------------------------------- */

static void
pack_if(msgpack_packer *pk, const char *key, struct str s)
{
    if (s.p != NULL) {
        pack_key(pk, key);
        pack_str(pk, s);
    }
}

static void
pack_bin(msgpack_packer *pk, const char *key, struct str s)
{
    pack_key(pk, key);
    msgpack_pack_bin(pk, s.n);
    msgpack_pack_bin_body(pk, s.p, s.n);
}

static size_t
is_given(struct str s)
{
    return s.p != NULL ? 1 : 0;
}

/* The section `incoming` (proto/README.md 6). */
static void
pack_incoming(const struct append_message *m, struct buf *out)
{
    const struct str *v = m->form->value;
    msgpack_packer pk;

    msgpack_packer_init(&pk, out, buf_msgpack_write);
    msgpack_pack_map(&pk, 4 + is_given(v[FORM_SUBJECT]) + is_given(v[FORM_CATEGORY]) +
                              is_given(v[FORM_PRIORITY]));
    pack_key(&pk, "channel");
    pack_c(&pk, "webform");
    pack_key(&pk, "link");
    pack_id(&pk, m->link);
    pack_key(&pk, "customer");
    msgpack_pack_map(&pk, 1 + is_given(v[FORM_NAME]) + is_given(v[FORM_PHONE]));
    pack_if(&pk, "name", v[FORM_NAME]);
    pack_if(&pk, "email", m->email);
    pack_if(&pk, "phone", v[FORM_PHONE]);
    pack_if(&pk, "subject", v[FORM_SUBJECT]);
    pack_if(&pk, "category", v[FORM_CATEGORY]);
    pack_if(&pk, "priority", v[FORM_PRIORITY]);
    pack_key(&pk, "messages");
    msgpack_pack_array(&pk, 1);
    msgpack_pack_map(&pk, 3);
    pack_key(&pk, "id");
    pack_id(&pk, m->id);
    pack_key(&pk, "text");
    pack_str(&pk, v[FORM_MESSAGE]);
    pack_key(&pk, "at");
    msgpack_pack_int64(&pk, m->at_us);
}

static void
pack_raw(const struct append_message *m, struct buf *out)
{
    msgpack_packer pk;

    msgpack_packer_init(&pk, out, buf_msgpack_write);
    msgpack_pack_map(&pk, 3);
    pack_key(&pk, "link");
    pack_id(&pk, m->link);
    pack_key(&pk, "type");
    pack_c(&pk, m->media);
    pack_bin(&pk, "body", m->raw);
}

/* What is the same about a repeat: the fields, not their spelling and not the time. */
static void
make_digest(const struct form *form, uint8_t ret[SHA256_DIGEST_LENGTH])
{
    struct buf canonical = {0};

    form_canonical(form, &canonical);
    SHA256((const uint8_t *)canonical.p, canonical.n, ret);
    buf_fini(&canonical);
}

static void
pack_record(msgpack_packer *pk, const struct append_message *m, const char *topic,
            const struct buf *body, const uint8_t *digest)
{
    msgpack_pack_map(pk, 5);
    pack_key(pk, "topic");
    pack_c(pk, topic);
    pack_key(pk, "id");
    pack_id(pk, m->id);
    pack_key(pk, "key");
    pack_c(pk, m->key);
    pack_bin(pk, "body", buf_str(body));
    pack_bin(pk, "digest", (struct str){(const char *)digest, DIGEST_SIZE});
}

int
append_pack(const struct append_message *m, struct buf *out)
{
    uint8_t digest[SHA256_DIGEST_LENGTH];
    struct buf incoming = {0};
    struct buf raw = {0};
    msgpack_packer pk;
    int err = ERR_TOO_BIG;

    pack_incoming(m, &incoming);
    pack_raw(m, &raw);
    if (raw.n <= RECORD_MAX && incoming.n + raw.n + FRAME_ROOM <= PROTO_MAX_BODY) {
        make_digest(m->form, digest);
        msgpack_packer_init(&pk, out, buf_msgpack_write);
        msgpack_pack_map(&pk, 2);
        pack_key(&pk, "verb");
        pack_c(&pk, "append");
        pack_key(&pk, "records");
        msgpack_pack_array(&pk, 2);
        pack_record(&pk, m, WEBFORM_TOPIC, &raw, digest);
        pack_record(&pk, m, INCOMING_TOPIC, &incoming, digest);
        err = 0;
    }
    buf_fini(&incoming);
    buf_fini(&raw);
    return err;
}

/* --- asking ---------------------------------------------------------------------------------- */

static void ask_edge(void *arg);

/* The answer: {results: [{offset, duplicate, same}]}, in the order of the question. */
static int
read_answer(struct append_errand *a, const msgpack_object *body)
{
    const msgpack_object *results = map_array(body, "results");

    if (results == NULL || results->via.array.size != 2) {
        return ERR_INTERNAL;
    }
    a->duplicate = map_bool(&results->via.array.ptr[1], "duplicate");
    a->same = map_bool(&results->via.array.ptr[1], "same");
    return 0;
}

static void
on_answer(struct actor *self, void *arg, int err, const msgpack_object *body)
{
    struct append_errand *a = arg;

    /* The edge is away or full, or died with it: the ids make asking again harmless. */
    if ((err_is_patient(err) || err == ERR_LOST) && clock_ms() + AGAIN_MS < a->until_ms) {
        loop_timer(actor_loop(self), AGAIN_MS, 0, ask_edge, a);
        return;
    }
    err = err == 0 ? read_answer(a, body) : err;
    if (err == ERR_BUSY || err == ERR_LOST || err == ERR_TIMEOUT) {
        err = ERR_UNAVAILABLE;
    } else if (err != 0 && err != ERR_UNAVAILABLE) {
        log_error("append_refused", "error=%s", err_str(err));
        err = ERR_INTERNAL;
    }
    errand_done(&a->errand, err);
}

static void
ask_edge(void *arg)
{
    struct append_errand *a = arg;
    int64_t left = a->until_ms - clock_ms();

    actor_call(a->in->self, "edge", buf_str(&a->packed), left > 1 ? left : 1, on_answer, a);
}

static void
begin(struct errand *e, void *context)
{
    (void)context;
    ask_edge(e);
}

static void
destroy(struct errand *e)
{
    struct append_errand *a = (struct append_errand *)e;

    buf_fini(&a->packed);
    free(a);
}

int
append_message(struct ingress *in, const struct append_message *m, bool *ret_repeated)
{
    struct append_errand *a = xcalloc(1, sizeof(*a));
    int err;

    a->errand.begin = begin;
    a->errand.destroy = destroy;
    a->in = in;
    a->until_ms = clock_ms() + APPEND_MS;
    err = append_pack(m, &a->packed);
    if (err != 0) {
        destroy(&a->errand);
        return err;
    }
    err = desk_ask(in->desk, &a->errand, APPEND_MS + 500);
    if (err == 0) {
        *ret_repeated = a->duplicate;
        err = a->duplicate && !a->same ? ERR_CONFLICT : 0;
    } else if (err == ERR_TIMEOUT) {
        err = ERR_UNAVAILABLE;
    }
    errand_release(&a->errand);
    return err;
}
