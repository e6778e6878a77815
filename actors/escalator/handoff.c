#include "actors/escalator/handoff.h"

#include "actors/escalator/summary.h"
#include "proto/err.h"
#include "proto/json.h"

#include <inttypes.h>
#include <string.h>

static int
fault(const char **ret_why, int err, const char *why)
{
    *ret_why = why;
    return err;
}

int
handoff_read(const struct envelope *e, struct handoff *ret, const char **ret_why)
{
    const msgpack_object *customer = envelope_section(e, "customer");
    const msgpack_object *ticket = envelope_section(e, "ticket");
    const msgpack_object *triage = envelope_section(e, "triage");
    const msgpack_object *incoming = envelope_section(e, "incoming");
    struct handoff h = {.row = {.unit = e->id, .received_us = e->received_us}};
    const msgpack_object *evidence;

    if (!incoming || !map_array(incoming, "messages")) {
        return fault(ret_why, ERR_MALFORMED, "incoming.messages");
    }
    if (!customer || !map_id(customer, "id", &h.row.customer)) {
        return fault(ret_why, ERR_MALFORMED, "customer.id");
    }
    if (!ticket || !map_id(ticket, "conversation", &h.row.conversation)) {
        return fault(ret_why, ERR_MALFORMED, "ticket.conversation");
    }
    if (!triage) {
        return fault(ret_why, ERR_MALFORMED, "triage");
    }
    h.reason = reason_of(e);
    if (!h.reason) {
        return fault(ret_why, ERR_INVALID, "reason");
    }
    h.row.reason = h.reason->code;
    h.row.has_sentiment = map_float(triage, "sentiment", &h.row.sentiment);
    evidence = map_array(triage, "evidence");
    if (evidence) {
        json_msgpack(&h.evidence, evidence);
        h.row.evidence = buf_str(&h.evidence);
    }
    *ret = h;
    return 0;
}

void
handoff_fini(struct handoff *h)
{
    buf_fini(&h->evidence);
    buf_fini(&h->summary);
    buf_fini(&h->context);
}

/* --- summary and context ---------------------------------------------------------------------- */

static void
write_summary(struct handoff *h, const struct envelope *e,
              const struct escalation_customer *customer, size_t history_n)
{
    const msgpack_object *incoming = envelope_section(e, "incoming");
    const msgpack_object *from = map_get(incoming, "customer");
    const msgpack_object *ticket = envelope_section(e, "ticket");
    const msgpack_object *triage = envelope_section(e, "triage");
    const msgpack_object *decision = envelope_section(e, "decision");
    const msgpack_object *messages = map_array(incoming, "messages");
    struct summary s = {.reason = h->reason,
                        .ref = map_str(ticket, "ref"),
                        .channel = map_str(incoming, "channel"),
                        .messages = messages->via.array.size,
                        .history = history_n,
                        .has_sentiment = h->row.has_sentiment,
                        .sentiment = h->row.sentiment,
                        .evidence = map_array(triage, "evidence")};

    s.name = customer && customer->name.p ? customer->name : from ? map_str(from, "name") : s.name;
    s.email = from ? map_str(from, "email") : s.email;
    s.has_previous = map_float(ticket, "previous_sentiment", &s.previous);
    if (s.messages > 0) {
        s.text = map_str(&messages->via.array.ptr[s.messages - 1], "text");
    }
    if (decision) {
        s.tried = map_array(decision, "tried");
        s.note = map_str(decision, "summary");
    }
    summary_write(&s, &h->summary);
    h->row.summary = buf_str(&h->summary);
}

static void
write_time(struct buf *out, const char *key, int64_t unix_us)
{
    json_key(out, key);
    buf_printf(out, "%" PRId64, unix_us);
}

static void
write_text(struct buf *out, const char *key, struct str s)
{
    json_key(out, key);
    json_str(out, s);
}

/* A value of an optional section, as it is. */
static void
write_value(struct buf *out, const char *key, const msgpack_object *section, const char *name)
{
    json_key(out, key);
    json_msgpack(out, section ? map_get(section, name) : NULL);
}

static void
write_messages(struct buf *out, const msgpack_object *messages)
{
    json_key(out, "messages");
    buf_add_byte(out, '[');
    for (uint32_t i = 0; i < messages->via.array.size; i++) {
        const msgpack_object *m = &messages->via.array.ptr[i];
        int64_t at = 0;

        json_comma(out);
        buf_add_byte(out, '{');
        write_value(out, "id", m, "id");
        write_text(out, "text", summary_cut(map_str(m, "text"), HANDOFF_TEXT_CHARACTERS));
        map_int(m, "at", &at);
        write_time(out, "at", at);
        buf_add_byte(out, '}');
    }
    buf_add_byte(out, ']');
}

static void
write_history(struct buf *out, const struct history_row *history, size_t n)
{
    json_key(out, "history");
    buf_add_byte(out, '[');
    for (size_t i = 0; i < n; i++) {
        const struct history_row *m = &history[i];

        json_comma(out);
        buf_add_byte(out, '{');
        write_text(out, "author", m->author);
        write_text(out, "channel", m->channel);
        write_text(out, "text", m->body);
        write_time(out, "at", m->at_us);
        if (m->has_sentiment) {
            json_key(out, "sentiment");
            json_float(out, m->sentiment);
        }
        buf_add_byte(out, '}');
    }
    buf_add_byte(out, ']');
}

static void
write_customer(struct buf *out, const struct envelope *e, struct id id,
               const struct escalation_customer *customer)
{
    const msgpack_object *from = map_get(envelope_section(e, "incoming"), "customer");

    json_key(out, "customer");
    buf_add_byte(out, '{');
    json_key(out, "id");
    json_id(out, id);
    write_text(out, "name", customer ? customer->name : (struct str){0});
    json_key(out, "identifiers");
    buf_add_str(out, customer ? customer->identifiers : STR("[]"));
    json_key(out, "wrote_as"); /* as typed now */
    json_msgpack(out, from);
    buf_add_byte(out, '}');
}

void
handoff_complete(struct handoff *h, const struct envelope *e,
                 const struct escalation_customer *customer, const struct history_row *history,
                 size_t history_n)
{
    const msgpack_object *incoming = envelope_section(e, "incoming");
    const msgpack_object *ticket = envelope_section(e, "ticket");
    const msgpack_object *decision = envelope_section(e, "decision");
    struct buf *out = &h->context;

    write_summary(h, e, customer, history_n);
    buf_add_byte(out, '{');
    write_customer(out, e, h->row.customer, customer);
    write_value(out, "channel", incoming, "channel");
    write_value(out, "subject", incoming, "subject");
    write_value(out, "category", incoming, "category");
    write_value(out, "priority", incoming, "priority");
    write_messages(out, map_array(incoming, "messages"));
    write_history(out, history, history_n);
    write_value(out, "tried", decision, "tried");
    write_value(out, "draft", decision, "text"); /* a reply that was not sent any more */
    write_value(out, "previous_sentiment", ticket, "previous_sentiment");
    buf_add_byte(out, '}');
    h->row.context = buf_str(out);
}

/* --- the topic -------------------------------------------------------------------------------- */

void
handoff_event(const struct handoff *h, const struct envelope *e,
              const struct escalation_stored *stored, struct buf *out)
{
    buf_add_byte(out, '{');
    json_key(out, "escalation");
    json_id(out, h->row.unit);
    write_text(out, "ticket", stored->ref);
    json_key(out, "conversation");
    json_id(out, h->row.conversation);
    json_key(out, "customer");
    json_id(out, h->row.customer);
    write_value(out, "channel", envelope_section(e, "incoming"), "channel");
    write_text(out, "reason", stored->reason);
    json_key(out, "sentiment");
    if (h->row.has_sentiment) {
        json_float(out, h->row.sentiment);
    } else {
        buf_add_c(out, "null");
    }
    json_key(out, "evidence");
    buf_add_str(out, h->row.evidence.p ? h->row.evidence : STR("null"));
    write_text(out, "summary", stored->summary);
    write_time(out, "at", stored->at_us);
    json_key(out, "context");
    buf_add_str(out,
                stored->context.n <= HANDOFF_EVENT_CONTEXT_BYTES ? stored->context : STR("null"));
    buf_add_byte(out, '}');
}
