#include "actors/escalator/reason.h"

static const struct reason reasons[] = {
    {"pricing_inquiry", "Asks about prices."},
    {"refund_request", "Wants money back."},
    {"legal_issue", "Mentions a legal matter."},
    {"cancellation_request", "Wants to cancel."},
    {"customer_requested", "Asks for a person."},
    {"negative_sentiment", "Sounded unhappy in two exchanges running."},
    {"knowledge_gap", "The knowledge base holds no answer."},
    {"human_owned", "Wrote in a conversation that a person owns."},
    {"ungrounded", "No reply could be proved from the knowledge base."},
};

const struct reason *
reason_find(struct str code)
{
    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
        if (str_is(code, reasons[i].code)) {
            return &reasons[i];
        }
    }
    return NULL;
}

const struct reason *
reason_of(const struct envelope *e)
{
    const msgpack_object *ticket = envelope_section(e, "ticket");
    const msgpack_object *triage = envelope_section(e, "triage");
    const msgpack_object *decision = envelope_section(e, "decision");

    if (ticket && str_is(map_str(ticket, "state"), "human")) {
        return reason_find(STR("human_owned"));
    }
    if (triage && map_bool(triage, "escalate")) {
        return reason_find(map_str(triage, "reason"));
    }
    if (decision && str_is(map_str(decision, "action"), "escalate")) {
        return reason_find(map_str(decision, "reason"));
    }
    return reason_find(STR("human_owned"));
}
