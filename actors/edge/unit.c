#include "actors/edge/unit.h"

#include "db/log.h"

/* --- what goes together --------------------------------------------------------------------- */

static size_t
body_messages(struct str body)
{
    struct id ids[ENVELOPE_MAX_MESSAGES];

    return unit_message_ids(body, ids);
}

/* A composition of old: complete when all its parts are in a row. */
static size_t
composed_count(const struct record *first)
{
    int n = 0;

    for (const struct record *r = first; r != NULL && n < first->unit_size; r = r->next) {
        if (!id_eq(r->unit, first->unit) || r->unit_at != n) {
            break;
        }
        n++;
    }
    return n == first->unit_size ? (size_t)n : 0;
}

static bool
joins(const struct record *r, struct id link)
{
    return !r->recovered && r->err == 0 && id_is_nil(r->unit) && id_eq(unit_link(r->body), link);
}

void
unit_count(const struct record *first, bool waited, size_t *ret_count, bool *ret_durable)
{
    size_t n = 1, bytes, messages;
    struct id link;

    *ret_durable = false;
    if (!id_is_nil(first->unit)) {
        *ret_count = composed_count(first);
        return;
    }
    if (waited && !first->recovered && first->err == 0 && first->next != NULL) {
        link = unit_link(first->body);
        bytes = first->body.n;
        messages = body_messages(first->body);
        for (const struct record *r = first->next; r != NULL && !id_is_nil(link) && joins(r, link);
             r = r->next) {
            bytes += r->body.n;
            messages += body_messages(r->body);
            if (bytes > UNIT_MAX_BYTES || messages > ENVELOPE_MAX_MESSAGES) {
                break;
            }
            n++;
        }
    }
    *ret_count = n;
    *ret_durable = n > 1;
}

/* --- looking into a body -------------------------------------------------------------------- */

struct id
unit_link(struct str body)
{
    msgpack_unpacked u;
    struct id link = {{0}};

    if (body_decode(body.p, body.n, &u) == 0) {
        map_id(&u.data, "link", &link);
    }
    msgpack_unpacked_destroy(&u);
    return link;
}

size_t
unit_message_ids(struct str body, struct id *ret)
{
    const msgpack_object *messages;
    msgpack_unpacked u;
    size_t n = 0;

    if (body_decode(body.p, body.n, &u) == 0 && (messages = map_array(&u.data, "messages"))) {
        for (uint32_t i = 0; i < messages->via.array.size && n < ENVELOPE_MAX_MESSAGES; i++) {
            n += map_id(&messages->via.array.ptr[i], "id", &ret[n]);
        }
    }
    msgpack_unpacked_destroy(&u);
    return n;
}

/* --- the envelope --------------------------------------------------------------------------- */

/* The first record's map, with the messages of all. */
static void
pack_merged(msgpack_packer *pk, const struct record *records)
{
    msgpack_unpacked first, u;
    const msgpack_object_map *m;
    size_t messages = 0;

    for (const struct record *r = records; r != NULL; r = r->next) {
        messages += body_messages(r->body);
    }
    body_decode(records->body.p, records->body.n, &first);
    m = &first.data.via.map;
    msgpack_pack_map(pk, m->size);
    for (uint32_t i = 0; i < m->size; i++) {
        msgpack_pack_object(pk, m->ptr[i].key);
        if (!str_is((struct str){m->ptr[i].key.via.str.ptr, m->ptr[i].key.via.str.size},
                    "messages")) {
            msgpack_pack_object(pk, m->ptr[i].val);
            continue;
        }
        msgpack_pack_array(pk, messages);
        for (const struct record *r = records; r != NULL; r = r->next) {
            const msgpack_object *list;
            body_decode(r->body.p, r->body.n, &u);
            list = map_array(&u.data, "messages");
            for (uint32_t k = 0; list != NULL && k < list->via.array.size; k++) {
                msgpack_pack_object(pk, list->via.array.ptr[k]);
            }
            msgpack_unpacked_destroy(&u);
        }
    }
    msgpack_unpacked_destroy(&first);
}

static void
pack_source(msgpack_packer *pk, const struct unit_head *head, int64_t offset)
{
    pack_key(pk, "source");
    msgpack_pack_map(pk, 3);
    pack_key(pk, "topic");
    pack_c(pk, head->topic);
    pack_key(pk, "partition");
    msgpack_pack_int32(pk, head->partition);
    pack_key(pk, "offset");
    msgpack_pack_int64(pk, offset);
}

void
unit_encode(const struct unit_head *head, const struct record *records, struct buf *out)
{
    const struct record *newest = records;
    msgpack_packer pk;

    while (newest->next != NULL) {
        newest = newest->next;
    }
    msgpack_packer_init(&pk, out, buf_msgpack_write);
    msgpack_pack_map(&pk, 11);
    pack_key(&pk, "v");
    msgpack_pack_uint32(&pk, ENVELOPE_VERSION);
    pack_key(&pk, "id");
    pack_id(&pk, head->id);
    pack_key(&pk, "key");
    pack_str(&pk, head->key);
    pack_key(&pk, "seq");
    msgpack_pack_uint64(&pk, head->seq);
    pack_key(&pk, "kind");
    pack_c(&pk, "message");
    pack_source(&pk, head, newest->offset);
    pack_key(&pk, "received");
    msgpack_pack_int64(&pk, records->received_us);
    pack_key(&pk, "deadline");
    msgpack_pack_int64(&pk, head->deadline_us);
    pack_key(&pk, "trace");
    pack_str(&pk, records->trace.p ? records->trace : STR(""));
    pack_key(&pk, "errors");
    if (head->error_n > 0) {
        msgpack_pack_array(&pk, head->error_n);
        buf_add_str(out, buf_str(head->errors));
    } else {
        msgpack_pack_nil(&pk);
    }
    pack_key(&pk, "body");
    msgpack_pack_map(&pk, 1);
    pack_key(&pk, "incoming");
    if (records->next == NULL) {
        buf_add_str(out, records->body);
    } else {
        pack_merged(&pk, records);
    }
}
