/* call - questions to other actors, each answered exactly once. */
#include "proto/runtime/actor_private.h"

#include <stdlib.h>

static void
finish(struct actor *self, struct question *q, int err, const msgpack_object *body)
{
    static const msgpack_object nil = {.type = MSGPACK_OBJECT_NIL};

    HASH_DEL(self->questions, q);
    loop_cancel(self->loop, &q->timer);
    q->fn(self, q->arg, err, body ? body : &nil);
    free(q);
}

static void
timed_out(void *arg)
{
    struct question *q = arg;
    q->timer = NULL;
    finish(q->self, q, ERR_TIMEOUT, NULL);
}

void
actor_call(struct actor *self, const char *service, struct str packed, int64_t timeout_ms,
           call_fn *fn, void *arg)
{
    struct question *q = xcalloc(1, sizeof(*q));
    uint64_t n = ++self->question_n;

    /* Half of our random routing id and a counter: unique among all callers. */
    memcpy(q->id.b, self->route, 8);
    memcpy(q->id.b + 8, &n, 8);
    q->self = self;
    q->fn = fn;
    q->arg = arg;
    q->timer = loop_timer(self->loop, timeout_ms, 0, timed_out, q);
    HASH_ADD(hh, self->questions, id.b, sizeof(q->id.b), q);
    mailbox_send(self, &(struct head){.type = HEAD_CALL, .service = str_of(service), .id = q->id},
                 packed);
}

bool
question_answer(struct actor *self, const struct head *h, struct str body)
{
    struct question *q;
    msgpack_unpacked u;
    struct str why;
    int err;

    HASH_FIND(hh, self->questions, h->id.b, sizeof(h->id.b), q);
    if (q == NULL) {
        return false;
    }
    msgpack_unpacked_init(&u);
    if (h->type == HEAD_BUSY) {
        err = ERR_BUSY;
    } else if (h->type == HEAD_LOST) {
        err = ERR_LOST;
    } else if (h->type == HEAD_FAIL) {
        err = error_unpack(body, &u, &why);
        err = err == 0 ? ERR_INTERNAL : err;
    } else {
        err = body_decode(body.p, body.n, &u);
        self->settled += err == 0 && self->spec->service == NULL;
    }
    finish(self, q, err, err == 0 ? &u.data : NULL);
    msgpack_unpacked_destroy(&u);
    return true;
}

void
question_fail_all(struct actor *self, int err)
{
    size_t n = HASH_COUNT(self->questions), i = 0;
    struct id *ids = xmalloc(n * sizeof(*ids));
    struct question *q;

    /* Callbacks may ask again: those questions go to the new router and are not ours to fail. */
    for (q = self->questions; q != NULL; q = q->hh.next) {
        ids[i++] = q->id;
    }
    for (i = 0; i < n; i++) {
        HASH_FIND(hh, self->questions, ids[i].b, sizeof(ids[i].b), q);
        if (q != NULL) {
            finish(self, q, err, NULL);
        }
    }
    free(ids);
}
