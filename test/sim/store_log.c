/* The log's statements (db/log.h, db/kafka.h, db/dead.h), on the model. Each copies what it is
 * given: the server may execute it when the process is dead. */
#include "test/sim/store.h"

#include "actors/edge/edge.h"
#include "actors/edge/unit.h"
#include "db/dead.h"
#include "db/kafka.h"
#include "db/log.h"
#include "proto/mem.h"

#include <stdlib.h>
#include <string.h>

struct model_log store_log;
static const struct store_eyes *eyes;
static int32_t owners;

/* The log in Kafka is no part of the simulation. */
const struct rlog_backend rlog_kafka = {.name = "kafka"};

void
store_log_begin(const struct store_eyes *watching)
{
    model_log_init(&store_log);
    eyes = watching;
    owners = 0;
}

void
store_log_end(void)
{
    model_log_fini(&store_log);
}

void
store_log_left(int32_t owner)
{
    store_log.members[owner].connected = false;
}

const char *
dblog_topic(struct str name)
{
    return str_is(name, TOPIC_INCOMING) ? TOPIC_INCOMING : NULL;
}

int32_t
dblog_partition(struct str key)
{
    uint32_t h = 17;

    for (size_t i = 0; i < key.n; i++) {
        h = h * 31 + (uint8_t)key.p[i];
    }
    return (int32_t)(h % DBLOG_PARTITIONS);
}

/* --- members and leases --------------------------------------------------------------------- */

static void
join(struct store_op *op)
{
    op->owner = (int32_t)(op->number = ++owners);
    REPORT_WANT(owners < MODEL_MEMBERS, "too many members");
    store_log.members[owners].connected = true;
}

void
dblog_join(struct pg_txn *t)
{
    store_op(t, join, NULL, NULL);
}

int32_t
dblog_join_read(const PGresult *r)
{
    return (int32_t)store_result(r)->number;
}

static void
nothing(struct store_op *op)
{
    (void)op;
}

void
dbkafka_backend(struct pg_txn *t, const char *topic)
{
    (void)topic;
    store_op(t, nothing, NULL, NULL);
}

struct str
dbkafka_backend_read(const PGresult *r, int64_t *ret_unsettled)
{
    (void)r;
    *ret_unsettled = 0;
    return STR("postgres");
}

struct lease_data {
    int32_t owner;
    int64_t lease_ms, share, fence;
    size_t n;
    struct model_lease leases[DBLOG_PARTITIONS];
    struct id unit;
    int64_t offsets[ENVELOPE_MAX_MESSAGES];
};

static void
lease(struct store_op *op)
{
    struct lease_data *d = op->data;
    int64_t fences[DBLOG_PARTITIONS];

    for (int p = 0; p < DBLOG_PARTITIONS; p++) {
        fences[p] = store_log.partitions[p].fence;
    }
    d->n = model_log_lease(&store_log, d->owner, d->lease_ms, world.now_us / 1000, d->leases,
                           &d->share);
    for (int p = 0; p < DBLOG_PARTITIONS; p++) {
        if (fences[p] != store_log.partitions[p].fence) {
            eyes->claimed(op->proc, p);
        }
    }
}

static struct lease_data *
lease_data(int32_t owner, const struct dblog_lease *leases, size_t n)
{
    struct lease_data *d = xcalloc(1, sizeof(*d));

    d->owner = owner;
    d->n = n;
    for (size_t i = 0; i < n; i++) {
        d->leases[i] = (struct model_lease){.partition = leases[i].partition,
                                            .fence = leases[i].fence,
                                            .position = leases[i].position};
    }
    return d;
}

void
dblog_lease(struct pg_txn *t, const char *topic, int32_t owner, int64_t lease_ms)
{
    struct lease_data *d = lease_data(owner, NULL, 0);

    (void)topic;
    d->lease_ms = lease_ms;
    store_op(t, lease, NULL, d);
}

size_t
dblog_lease_read(const struct pg_reply *reply, struct dblog_lease *ret, int64_t *ret_share)
{
    const struct lease_data *d = store_result(reply->results[0])->data;

    *ret_share = d->share;
    for (size_t i = 0; i < d->n; i++) {
        ret[i] = (struct dblog_lease){.partition = d->leases[i].partition,
                                      .fence = d->leases[i].fence,
                                      .position = d->leases[i].position,
                                      .high = d->leases[i].high};
    }
    return d->n;
}

/* Whatever is stored as settled must be. */
static void
look_at_positions(const struct lease_data *d)
{
    for (size_t i = 0; i < d->n; i++) {
        const struct model_lease *l = &d->leases[i];
        if (model_log_holds(&store_log, d->owner, l->partition, l->fence)) {
            eyes->position(l->partition, l->position);
        }
    }
}

static void
release(struct store_op *op)
{
    struct lease_data *d = op->data;

    look_at_positions(d);
    model_log_release(&store_log, d->owner, d->leases, d->n);
}

void
dblog_release(struct pg_txn *t, const char *topic, int32_t owner, const struct dblog_lease *leases,
              size_t n)
{
    (void)topic;
    store_op(t, release, NULL, lease_data(owner, leases, n));
}

static void
leave(struct store_op *op)
{
    struct lease_data *d = op->data;

    model_log_leave(&store_log, d->owner, world.now_us / 1000);
}

void
dblog_leave(struct pg_txn *t, int32_t owner)
{
    store_op(t, leave, NULL, lease_data(owner, NULL, 0));
}

static void
position(struct store_op *op)
{
    struct lease_data *d = op->data;

    look_at_positions(d);
    model_log_position(&store_log, d->owner, d->leases, d->n);
}

void
dblog_position(struct pg_txn *t, const char *topic, int32_t owner, const struct dblog_lease *leases,
               size_t n)
{
    (void)topic;
    store_op(t, position, NULL, lease_data(owner, leases, n));
}

static void
compose(struct store_op *op)
{
    struct lease_data *d = op->data;

    op->rows = (int)model_log_compose(&store_log, d->owner, d->leases[0].partition,
                                      d->leases[0].fence, d->unit, d->offsets, (size_t)d->lease_ms);
}

void
dblog_compose(struct pg_txn *t, const char *topic, int32_t owner, const struct dblog_lease *l,
              struct id unit, const int64_t *offsets, size_t n)
{
    struct lease_data *d = lease_data(owner, l, 1);

    (void)topic;
    d->unit = unit;
    d->lease_ms = (int64_t)n;
    memcpy(d->offsets, offsets, n * sizeof(*offsets));
    store_op(t, compose, NULL, d);
}

void
dblog_retain(struct pg_txn *t, int64_t keep_ms)
{
    (void)keep_ms;
    store_op(t, nothing, NULL, NULL);
}

/* --- appending ------------------------------------------------------------------------------ */

struct append_row {
    struct id id;
    char key[16];
    char *body;
    size_t body_n;
    int64_t offset;
    bool duplicate;
};
struct append_data {
    size_t n;
    bool notify;
    struct append_row rows[];
};

static void
append(struct store_op *op)
{
    struct append_data *d = op->data;

    for (size_t i = 0; i < d->n; i++) {
        struct append_row *row = &d->rows[i];
        struct model_record *r, *first;
        r = model_log_append(&store_log, row->id, row->key, dblog_partition(str_of(row->key)),
                             row->body, row->body_n, &first);
        row->duplicate = r == NULL;
        row->offset = r != NULL ? r->offset : first->offset;
        if (r != NULL) {
            r->received_us = world.now_us;
            eyes->appended(r);
        }
    }
    if (d->notify) {
        store_notify();
    }
}

static void
append_free(struct store_op *op)
{
    struct append_data *d = op->data;

    for (size_t i = 0; i < d->n; i++) {
        free(d->rows[i].body);
    }
}

void
dblog_append(struct pg_txn *t, const struct dblog_row *rows, size_t n, bool notify)
{
    struct append_data *d = xcalloc(1, sizeof(*d) + n * sizeof(d->rows[0]));

    d->n = n;
    d->notify = notify;
    for (size_t i = 0; i < n; i++) {
        struct append_row *row = &d->rows[i];
        row->id = rows[i].id;
        memcpy(row->key, rows[i].key.p, rows[i].key.n < 15 ? rows[i].key.n : 15);
        row->body = str_dup(rows[i].body);
        row->body_n = rows[i].body.n;
    }
    store_op(t, append, append_free, d);
}

size_t
dblog_append_read(const struct pg_reply *reply, const struct dblog_row *rows, size_t n,
                  struct dblog_appended *ret)
{
    const struct append_data *d = store_result(reply->results[0])->data;
    size_t duplicates = 0;

    (void)rows;
    for (size_t i = 0; i < n; i++) {
        ret[i] = (struct dblog_appended){
            .offset = d->rows[i].offset, .duplicate = d->rows[i].duplicate, .same = true};
        duplicates += d->rows[i].duplicate;
    }
    return duplicates;
}

/* What dblog_append_read() has told already. */
void
dblog_find(struct pg_txn *t, const struct dblog_row *rows, size_t n)
{
    (void)rows;
    (void)n;
    store_op(t, nothing, NULL, NULL);
}

void
dblog_find_read(const PGresult *r, const struct dblog_row *rows, size_t n,
                struct dblog_appended *ret)
{
    (void)r;
    (void)rows;
    (void)n;
    (void)ret;
}

void
store_replay(struct id unit, const int64_t *offsets, size_t n, int32_t partition)
{
    for (size_t i = 0; i < n; i++) {
        struct model_record *old = model_log_at(&store_log, partition, offsets[i]), *first, *r;
        char key[16];
        memcpy(key, old->key, sizeof(key));
        r = model_log_append(&store_log, id_random(), key, partition, old->body, old->body_n,
                             &first);
        r->unit = unit;
        r->unit_at = (int)i;
        r->unit_size = (int)n;
        r->received_us = world.now_us;
        eyes->appended(r);
    }
    store_notify();
}

/* --- reading -------------------------------------------------------------------------------- */

#define READ_MAX 256

struct read_data {
    struct dblog_span spans[DBLOG_PARTITIONS];
    size_t n;
    size_t limit;
    struct model_record records[READ_MAX];
};

static void
read_rows(struct store_op *op)
{
    struct read_data *d = op->data;

    /* By rising offset over all spans, each within its room. */
    while ((size_t)op->rows < d->limit) {
        struct model_record *best = NULL;
        struct dblog_span *of = NULL;
        for (size_t i = 0; i < d->n; i++) {
            struct model_record *r =
                d->spans[i].room > 0
                    ? model_log_next(&store_log, d->spans[i].partition, d->spans[i].after)
                    : NULL;
            if (r != NULL && (best == NULL || r->offset < best->offset)) {
                best = r;
                of = &d->spans[i];
            }
        }
        if (best == NULL) {
            break;
        }
        of->room--;
        of->after = best->offset;
        d->records[op->rows++] = *best;
    }
}

void
dblog_read(struct pg_txn *t, const char *topic, const struct dblog_span *spans, size_t n,
           int64_t limit)
{
    struct read_data *d = xcalloc(1, sizeof(*d));

    (void)topic;
    memcpy(d->spans, spans, n * sizeof(*spans));
    d->n = n;
    d->limit = limit < READ_MAX ? (size_t)limit : READ_MAX;
    store_op(t, read_rows, NULL, d);
}

void
dblog_record(const PGresult *r, int row, struct dblog_record *ret)
{
    const struct read_data *d = store_result(r)->data;
    const struct model_record *m = &d->records[row];

    *ret = (struct dblog_record){.partition = m->partition,
                                 .offset = m->offset,
                                 .id = m->id,
                                 .unit = m->unit,
                                 .unit_at = m->unit_at,
                                 .unit_size = m->unit_size,
                                 .key = str_of(m->key),
                                 .body = {m->body, m->body_n},
                                 .received_us = m->received_us};
}

/* --- dead letters --------------------------------------------------------------------------- */

struct dead_data {
    int32_t owner, partition;
    int64_t fence;
    struct id unit, messages[ENVELOPE_MAX_MESSAGES];
    size_t n;
    unsigned attempts;
    enum dead_fate fate;
};

static void
dead(struct store_op *op)
{
    struct dead_data *d = op->data;
    bool has_outcome = false;

    if (!model_log_holds(&store_log, d->owner, d->partition, d->fence)) {
        d->fate = DEAD_FENCED;
    } else if (eyes->bury(op->proc, d->unit, d->messages, d->n, d->attempts, &has_outcome)) {
        d->fate = DEAD_BURIED;
    } else {
        d->fate = has_outcome ? DEAD_SETTLED : DEAD_BURIED;
    }
}

void
dead_put(struct pg_txn *t, const struct dead_unit *u)
{
    struct dead_data *d = xcalloc(1, sizeof(*d));

    *d = (struct dead_data){.owner = u->owner,
                            .partition = u->partition,
                            .fence = u->fence,
                            .unit = u->unit,
                            .n = u->message_n,
                            .attempts = u->attempts};
    REPORT_WANT(u->message_n <= ENVELOPE_MAX_MESSAGES, "a dead letter of too many messages");
    memcpy(d->messages, u->message_ids, u->message_n * sizeof(*u->message_ids));
    store_op(t, dead, NULL, d);
}

enum dead_fate
dead_put_read(const struct pg_reply *reply)
{
    return ((const struct dead_data *)store_result(reply->results[0])->data)->fate;
}
