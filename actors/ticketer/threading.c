#include "actors/ticketer/threading.h"

#include "proto/err.h"

#include <string.h>

struct id
threading_follow(struct id first_message, struct id link)
{
    if (id_eq(link, id_derive_from("link", first_message))) {
        return (struct id){0};
    }
    return link;
}

static int
read_messages(const msgpack_object *incoming, struct conversation_request *ret)
{
    const msgpack_object *list = map_array(incoming, "messages");

    if (!list || list->via.array.size == 0 || list->via.array.size > ENVELOPE_MAX_MESSAGES) {
        return ERR_MALFORMED;
    }
    for (uint32_t i = 0; i < list->via.array.size; i++) {
        const msgpack_object *from = &list->via.array.ptr[i];
        struct conversation_message *m = &ret->messages[i];

        m->text = map_str(from, "text");
        if (!map_id(from, "id", &m->id) || !map_int(from, "at", &m->at_us) || !m->text.p) {
            return ERR_MALFORMED;
        }
    }
    ret->n = list->via.array.size;
    return 0;
}

int
threading_request(const struct envelope *e, struct conversation_request *ret, const char **ret_why)
{
    const msgpack_object *incoming = envelope_section(e, "incoming");
    const msgpack_object *customer = envelope_section(e, "customer");

    memset(ret, 0, sizeof(*ret));
    ret->unit = e->id;
    if (!incoming || read_messages(incoming, ret) != 0) {
        *ret_why = "incoming.messages";
        return ERR_MALFORMED;
    }
    if (!id_eq(ret->messages[0].id, e->id)) {
        *ret_why = "incoming.messages[0].id";
        return ERR_MALFORMED;
    }
    ret->channel = map_str(incoming, "channel");
    if (ret->channel.n == 0) {
        *ret_why = "incoming.channel";
        return ERR_MALFORMED;
    }
    if (!customer || !map_id(customer, "id", &ret->customer)) {
        *ret_why = "customer.id";
        return ERR_MALFORMED;
    }
    if (map_id(incoming, "link", &ret->link)) {
        ret->follow = threading_follow(e->id, ret->link);
    }
    ret->subject = map_str(incoming, "subject");
    ret->category = map_str(incoming, "category");
    ret->priority = map_str(incoming, "priority");
    return 0;
}
