#include "actors/sender/response.h"

#include "proto/err.h"
#include "proto/json.h"

static int
fault(const char **ret_why, const char *why)
{
    *ret_why = why;
    return ERR_MALFORMED;
}

int
response_read(const struct envelope *e, struct response *ret, const char **ret_why)
{
    const msgpack_object *incoming = envelope_section(e, "incoming");
    const msgpack_object *customer = envelope_section(e, "customer");
    const msgpack_object *ticket = envelope_section(e, "ticket");
    const msgpack_object *triage = envelope_section(e, "triage");
    const msgpack_object *decision = envelope_section(e, "decision");
    struct response r = {.reply = {.unit = e->id, .received_us = e->received_us}};
    const msgpack_object *sources;
    double sentiment;

    if (!incoming || (r.channel = map_str(incoming, "channel")).n == 0) {
        return fault(ret_why, "incoming.channel");
    }
    if (!customer || !map_id(customer, "id", &r.reply.customer)) {
        return fault(ret_why, "customer.id");
    }
    if (!ticket || !map_id(ticket, "conversation", &r.reply.conversation)) {
        return fault(ret_why, "ticket.conversation");
    }
    if (!triage || !map_float(triage, "sentiment", &sentiment)) {
        return fault(ret_why, "triage.sentiment");
    }
    if (!decision || !(r.reply.text = map_str(decision, "text")).p) {
        return fault(ret_why, "decision.text");
    }
    if (!str_is(map_str(decision, "action"), "send")) {
        *ret_why = "decision.action";
        return ERR_INVALID;
    }
    r.reply.content = sentiment >= RESPONSE_CONTENT && !map_bool(decision, "asks");
    sources = map_array(decision, "sources");
    if (sources) {
        json_msgpack(&r.json, sources);
        r.reply.sources = buf_str(&r.json);
    }
    *ret = r;
    return 0;
}

void
response_fini(struct response *r)
{
    buf_fini(&r->json);
}
