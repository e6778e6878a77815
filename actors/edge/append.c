/* append - what the edge is asked (service `edge`):
 *
 *   {verb: "append", records: [{topic, id, key, body: bin, trace?, digest?: bin}]}   1..64 records
 *     -> {results: [{offset, duplicate, same}]}      when all of them are durable
 *   {verb: "stats"} -> {appended, duplicates, dispatched, settled, redelivered, dead, ...}
 *
 * An id that its topic has already is not appended again: `duplicate`, with `same` telling whether
 * the content is (the digest given, or else the whole body). FAIL with `unavailable`: nothing is
 * known; append again under the same ids.
 */
#include "actors/edge/edge.h"
#include "actors/edge/unit.h"

#include "db/log.h"
#include "proto/err.h"

#include <stdlib.h>

#define MAX_RECORDS 64

struct ask {
    struct edge *edge;
    struct unit *unit;
};

static struct str
map_bytes(const msgpack_object *map, const char *key)
{
    const msgpack_object *o = map_get(map, key);

    if (o != NULL && o->type == MSGPACK_OBJECT_BIN) {
        return (struct str){o->via.bin.ptr, o->via.bin.size};
    }
    return (struct str){0};
}

/* What goes to the stages must be something that they can read: it is refused here, where somebody
 * still waits for the answer. */
static bool
incoming_ok(struct str body)
{
    struct id ids[ENVELOPE_MAX_MESSAGES];

    return !id_is_nil(unit_link(body)) && unit_message_ids(body, ids) > 0;
}

/* NULL, or the field that is not as it must be. */
static const char *
read_record(const msgpack_object *o, struct rlog_entry *ret)
{
    *ret = (struct rlog_entry){.topic = map_str(o, "topic"),
                               .key = map_str(o, "key"),
                               .body = map_bytes(o, "body"),
                               .trace = map_str(o, "trace"),
                               .digest = map_bytes(o, "digest")};
    if (!rlog_topic_ok(ret->topic)) {
        return "topic";
    }
    if (!map_id(o, "id", &ret->id) || id_is_nil(ret->id)) {
        return "id";
    }
    if (ret->key.n == 0 || ret->key.n > 256 || !str_is_text(ret->key)) {
        return "key";
    }
    if (ret->body.p == NULL || ret->body.n > RLOG_MAX_BODY ||
        (str_is(ret->topic, TOPIC_INCOMING) && !incoming_ok(ret->body))) {
        return "body";
    }
    if (ret->trace.n > 256 || !str_is_text(ret->trace)) {
        return "trace";
    }
    return NULL;
}

static void
appended(void *arg, int err, const struct rlog_appended *results, size_t n)
{
    struct ask *ask = arg;
    struct edge *edge = ask->edge;
    struct buf body = {0};
    msgpack_packer pk;

    if (err != 0) {
        unit_retry(edge->actor, ask->unit, err, "log");
        free(ask);
        return;
    }
    msgpack_packer_init(&pk, &body, buf_msgpack_write);
    msgpack_pack_map(&pk, 1);
    pack_key(&pk, "results");
    msgpack_pack_array(&pk, n);
    for (size_t i = 0; i < n; i++) {
        edge->count.appended += !results[i].duplicate;
        edge->count.duplicates += results[i].duplicate;
        msgpack_pack_map(&pk, 3);
        pack_key(&pk, "offset");
        msgpack_pack_int64(&pk, results[i].offset);
        pack_key(&pk, "duplicate");
        results[i].duplicate ? msgpack_pack_true(&pk) : msgpack_pack_false(&pk);
        pack_key(&pk, "same");
        results[i].same ? msgpack_pack_true(&pk) : msgpack_pack_false(&pk);
    }
    unit_return(edge->actor, ask->unit, buf_str(&body));
    buf_fini(&body);
    free(ask);
}

static void
call_append(struct edge *edge, struct unit *u)
{
    const msgpack_object *list = map_array(&u->body, "records");
    struct rlog_entry entries[MAX_RECORDS];
    struct ask *ask;

    if (list == NULL || list->via.array.size == 0 || list->via.array.size > MAX_RECORDS) {
        unit_reject(edge->actor, u, ERR_INVALID, "records");
        return;
    }
    for (uint32_t i = 0; i < list->via.array.size; i++) {
        const char *fault = read_record(&list->via.array.ptr[i], &entries[i]);
        if (fault != NULL) {
            unit_reject(edge->actor, u, ERR_INVALID, fault);
            return;
        }
    }
    ask = xmalloc(sizeof(*ask));
    *ask = (struct ask){.edge = edge, .unit = u};
    rlog_append(edge->rlog, entries, list->via.array.size, appended, ask);
}

static void
call_stats(struct edge *edge, struct unit *u)
{
    const struct {
        const char *name;
        uint64_t value;
    } rows[] = {
        {"appended", edge->count.appended},
        {"duplicates", edge->count.duplicates},
        {"dispatched", edge->count.dispatched},
        {"settled", edge->count.settled},
        {"redelivered", edge->count.redelivered},
        {"merged", edge->count.merged},
        {"dead", edge->count.dead},
        {"ignored", edge->count.ignored},
        {"in_flight", edge->in_flight},
        {"active", edge->active},
        {"held", edge->held},
        {"cap", edge->cap},
    };
    struct buf body = {0};
    msgpack_packer pk;

    msgpack_packer_init(&pk, &body, buf_msgpack_write);
    msgpack_pack_map(&pk, sizeof(rows) / sizeof(rows[0]));
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        pack_key(&pk, rows[i].name);
        msgpack_pack_uint64(&pk, rows[i].value);
    }
    unit_return(edge->actor, u, buf_str(&body));
    buf_fini(&body);
}

void
edge_call(struct actor *self, struct unit **units, size_t n)
{
    static const struct {
        const char *name;
        void (*fn)(struct edge *edge, struct unit *u);
    } verbs[] = {{"append", call_append}, {"stats", call_stats}};

    for (size_t i = 0; i < n; i++) {
        struct str verb = map_str(&units[i]->body, "verb");
        size_t k = 0;
        while (k < sizeof(verbs) / sizeof(verbs[0]) && !str_is(verb, verbs[k].name)) {
            k++;
        }
        if (k < sizeof(verbs) / sizeof(verbs[0])) {
            verbs[k].fn(actor_context(self), units[i]);
        } else {
            unit_reject(self, units[i], ERR_INVALID, "verb");
        }
    }
}
