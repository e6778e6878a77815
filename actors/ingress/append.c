#include "actors/ingress/append.h"

#include "proto/runtime/fault.h"

#include <openssl/sha.h>
#include <stdlib.h>

#define AGAIN_MS 40
#define DIGEST_SIZE 16
#define RECORD_MAX (200 * 1024) /* bytes of a record's body: what the edge takes */
#define FRAME_ROOM 4096         /* bytes of a question that are not the records' texts */

#define TOGETHER_MAX 32 /* messages in one question: the edge takes 64 records */

struct append_errand {
    struct errand errand;
    struct append_errand *next; /* that waits to be sent */
    struct ingress *in;
    struct buf packed; /* its two records */
    bool alone;        /* it was refused in company */
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
        pack_record(&pk, m, WEBFORM_TOPIC, &raw, digest);
        pack_record(&pk, m, INCOMING_TOPIC, &incoming, digest);
        err = 0;
    }
    buf_fini(&incoming);
    buf_fini(&raw);
    return err;
}

/* --- asking, all that came in one turn together ---------------------------------------------- */

/* Messages that were sent in one question. */
struct group {
    struct ingress *in;
    size_t n;
    struct append_errand *errands[TOGETHER_MAX];
};

static void
wait_to_be_sent(struct append_errand *a)
{
    a->next = NULL;
    if (a->in->appends == NULL) {
        a->in->appends_tail = &a->in->appends;
    }
    *a->in->appends_tail = a;
    a->in->appends_tail = &a->next;
}

static void
send_again(void *arg)
{
    struct append_errand *a = arg;

    wait_to_be_sent(a);
    append_flush(a->in);
}

/* Its part of the answer: {results: [{offset, duplicate, same}]}, two for each message. */
static int
read_result(struct append_errand *a, const msgpack_object *body, size_t place, size_t n)
{
    const msgpack_object *results = map_array(body, "results");

    if (results == NULL || results->via.array.size != 2 * n) {
        return ERR_INTERNAL;
    }
    a->duplicate = map_bool(&results->via.array.ptr[2 * place + 1], "duplicate");
    a->same = map_bool(&results->via.array.ptr[2 * place + 1], "same");
    return 0;
}

static void
settle(struct append_errand *a, int err, size_t n)
{
    struct loop *loop = actor_loop(a->in->self);

    /* The edge is away or full, or died with it: the ids make asking again harmless. */
    if ((err_is_patient(err) || err == ERR_LOST) && clock_ms() + AGAIN_MS < a->until_ms) {
        loop_timer(loop, AGAIN_MS, 0, send_again, a);
        return;
    }
    if (err == ERR_BUSY || err == ERR_LOST || err == ERR_TIMEOUT) {
        err = ERR_UNAVAILABLE;
    } else if (err != 0 && err != ERR_UNAVAILABLE && n > 1) {
        /* One that can't be stored must not take others with it. */
        a->alone = true;
        loop_timer(loop, 0, 0, send_again, a);
        return;
    } else if (err != 0 && err != ERR_UNAVAILABLE) {
        log_error("append_refused", "error=%s", err_str(err));
        err = ERR_INTERNAL;
    }
    errand_done(&a->errand, err);
}

static void
on_answer(struct actor *self, void *arg, int err, const msgpack_object *body)
{
    struct group *g = arg;

    (void)self;
    for (size_t i = 0; i < g->n; i++) {
        struct append_errand *a = g->errands[i];
        settle(a, err == 0 ? read_result(a, body, i, g->n) : err, g->n);
    }
    free(g);
}

/* Takes from the front what goes into one question; the milliseconds that it may take. */
static int64_t
gather(struct ingress *in, struct group *g)
{
    int64_t left = APPEND_MS;
    size_t bytes = FRAME_ROOM;

    while (in->appends != NULL && g->n < TOGETHER_MAX) {
        struct append_errand *a = in->appends;
        if (g->n > 0 &&
            (a->alone || g->errands[0]->alone || bytes + a->packed.n > PROTO_MAX_BODY)) {
            break;
        }
        in->appends = a->next;
        bytes += a->packed.n;
        left = a->until_ms - clock_ms() < left ? a->until_ms - clock_ms() : left;
        g->errands[g->n++] = a;
    }
    return left > 1 ? left : 1;
}

void
append_flush(void *ingress)
{
    struct ingress *in = ingress;

    while (in->appends != NULL) {
        struct group *g = xcalloc(1, sizeof(*g));
        int64_t timeout_ms = gather(in, g);
        struct buf question = {0};
        msgpack_packer pk;

        msgpack_packer_init(&pk, &question, buf_msgpack_write);
        msgpack_pack_map(&pk, 2);
        pack_key(&pk, "verb");
        pack_c(&pk, "append");
        pack_key(&pk, "records");
        msgpack_pack_array(&pk, 2 * g->n);
        for (size_t i = 0; i < g->n; i++) {
            buf_add_str(&question, buf_str(&g->errands[i]->packed));
        }
        actor_call(in->self, "edge", buf_str(&question), timeout_ms, on_answer, g);
        buf_fini(&question);
    }
}

static void
begin(struct errand *e, void *context)
{
    (void)context;
    wait_to_be_sent((struct append_errand *)e);
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
        err = a->duplicate && !a->same && SAFEGUARD("digest") ? ERR_CONFLICT : 0;
    } else if (err == ERR_TIMEOUT) {
        err = ERR_UNAVAILABLE;
    }
    errand_release(&a->errand);
    return err;
}
