#include "actors/edge/fenced.h"

#include "db/dead.h"
#include "proto/buf.h"
#include "proto/envelope.h"
#include "proto/err.h"
#include "proto/runtime/log.h"

#include <stdlib.h>

struct request {
    struct fenced f;
    size_t n;
};

static struct request *
request_new(const struct fenced *f, size_t n)
{
    struct request *r = xmalloc(sizeof(*r));

    *r = (struct request){.f = *f, .n = n};
    return r;
}

static void
request_answer(struct request *r, int err)
{
    if (err == ERR_LOST) {
        r->f.lost(r->f.self);
    }
    r->f.fn(r->f.arg, err);
    free(r);
}

/* --- compositions ---------------------------------------------------------------------------- */

static void
composed(void *arg, const struct pg_reply *reply)
{
    struct request *r = arg;

    if (reply->err != 0) {
        request_answer(r, reply->err);
        return;
    }
    request_answer(r, (size_t)PQntuples(reply->results[0]) == r->n ? 0 : ERR_LOST);
}

void
fenced_compose(struct pg_txn **t_p, size_t n, const struct fenced *f)
{
    pg_commit(t_p, composed, request_new(f, n));
}

/* --- dead letters ---------------------------------------------------------------------------- */

static void
buried(void *arg, const struct pg_reply *reply)
{
    struct request *r = arg;

    if (reply->err != 0) {
        if (reply->err != ERR_UNAVAILABLE) {
            log_error("bury_failed", "code=%s sqlstate=%s", err_str(reply->err), reply->sqlstate);
        }
        request_answer(r, reply->err);
        return;
    }
    switch (dead_put_read(reply)) {
    case DEAD_BURIED:
        request_answer(r, 0);
        break;
    case DEAD_SETTLED:
        request_answer(r, ERR_CONFLICT);
        break;
    case DEAD_FENCED:
        request_answer(r, ERR_LOST);
        break;
    }
}

/* What stands on fte.dlq: {unit, topic, partition, offset, code, service, why, attempts, records}.
 */
static void
pack_dead(const struct rlog_dead *d, const char *topic, struct buf *out)
{
    msgpack_packer pk;

    msgpack_packer_init(&pk, out, buf_msgpack_write);
    msgpack_pack_map(&pk, 9);
    pack_key(&pk, "unit");
    pack_id(&pk, d->unit);
    pack_key(&pk, "topic");
    pack_c(&pk, topic);
    pack_key(&pk, "partition");
    msgpack_pack_int32(&pk, d->partition);
    pack_key(&pk, "offset");
    msgpack_pack_int64(&pk, d->offset);
    pack_key(&pk, "code");
    pack_c(&pk, err_str(d->err));
    pack_key(&pk, "service");
    pack_str(&pk, d->service);
    pack_key(&pk, "why");
    pack_c(&pk, d->why);
    pack_key(&pk, "attempts");
    msgpack_pack_uint32(&pk, d->attempts);
    pack_key(&pk, "records");
    msgpack_pack_array(&pk, d->body_n);
    for (size_t i = 0; i < d->body_n; i++) {
        msgpack_pack_bin(&pk, d->bodies[i].n);
        msgpack_pack_bin_body(&pk, d->bodies[i].p, d->bodies[i].n);
    }
}

void
fenced_bury(struct pg *pg, const char *topic, int32_t owner, int64_t fence,
            const struct rlog_dead *d, const struct fenced *f)
{
    struct pg_txn *t = pg_begin(pg);
    struct buf record = {0};

    pack_dead(d, topic, &record);
    dead_put(t, &(struct dead_unit){.topic = topic,
                                    .partition = d->partition,
                                    .owner = owner,
                                    .fence = fence,
                                    .offset = d->offset,
                                    .unit = d->unit,
                                    .key = d->key,
                                    .link = d->link,
                                    .message_ids = d->message_ids,
                                    .message_n = d->message_n,
                                    .bodies = d->bodies,
                                    .body_n = d->body_n,
                                    .trace = d->trace,
                                    .received_us = d->received_us,
                                    .error = err_str(d->err),
                                    .service = d->service,
                                    .why = d->why,
                                    .attempts = d->attempts,
                                    .record = buf_str(&record)});
    pg_commit(&t, buried, request_new(f, 0));
    buf_fini(&record);
}
