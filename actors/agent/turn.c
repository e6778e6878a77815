#include "actors/agent/turn.h"

#include "actors/agent/query.h"
#include "proto/err.h"

#include <math.h>
#include <stdlib.h>

#define SUMMARY_QUOTE 200 /* bytes of the customer's words in a summary */

static int read_messages(struct turn *t, const msgpack_object *incoming);
static int read_hits(struct turn *t, const msgpack_object *hits, struct turn_search *s);
static void keep_hits(struct turn *t, const msgpack_object *hits);
static struct str keep(struct turn *t, struct str s);
static size_t add_json(struct turn *t, json_t *o);
static json_t *text_json(struct str s);
static json_t *tried_json(const struct turn *t);
static json_t *summary_json(const struct turn *t, const char *reason);
static double rounded(double x);
static void pack_json(msgpack_packer *pk, const json_t *o);

int
turn_init(struct turn *t, const struct envelope *e, const char **ret_why)
{
    const msgpack_object *incoming = envelope_section(e, "incoming");
    const msgpack_object *customer = envelope_section(e, "customer");
    const msgpack_object *ticket = envelope_section(e, "ticket");
    const msgpack_object *triage = envelope_section(e, "triage");

    *t = (struct turn){.state = TURN_HISTORY, .unit = e->id};
    t->channel = map_str(incoming, "channel");
    t->subject = map_str(incoming, "subject");
    t->category = map_str(incoming, "category");
    if (t->channel.n == 0 || read_messages(t, incoming) != 0) {
        *ret_why = t->channel.n ? "incoming.messages" : "incoming.channel";
        return ERR_MALFORMED;
    }
    if (!customer || !map_id(customer, "id", &t->customer)) {
        *ret_why = "customer.id";
        return ERR_MALFORMED;
    }
    t->ref = map_str(ticket, "ref");
    if (t->ref.n == 0) {
        *ret_why = "ticket.ref";
        return ERR_MALFORMED;
    }
    if (!triage) {
        *ret_why = "triage";
        return ERR_MALFORMED;
    }
    /* What was typed with this message; the stored name may be another person's at this address. */
    t->name = map_str(map_get(incoming, "customer"), "name");
    t->triage_reason = map_str(triage, "reason");
    t->courtesy = map_str(triage, "courtesy");
    t->escalate_at_once = map_bool(triage, "escalate") || str_is(map_str(ticket, "state"), "human");
    if (t->triage_reason.n == 0) {
        t->triage_reason = STR("human_owned");
    }
    return 0;
}

void
turn_fini(struct turn *t)
{
    for (size_t i = 0; i < TURN_MAX_SEARCHES; i++) {
        buf_fini(&t->search[i].query);
        buf_fini(&t->search[i].found);
    }
    buf_fini(&t->texts_);
    buf_fini(&t->steps_);
    json_decref(t->decision);
    t->decision = NULL;
}

int
turn_history(struct turn *t, const msgpack_object *answer)
{
    const msgpack_object *messages = map_array(answer, "messages");

    if (t->state != TURN_HISTORY) {
        return ERR_CONFLICT;
    }
    if (!messages) {
        return ERR_MALFORMED;
    }
    t->history = messages->via.array.size;
    t->state = TURN_SEARCH;
    return 0;
}

struct str
turn_query(struct turn *t)
{
    struct turn_search *s = &t->search[t->searches];

    if (t->state != TURN_SEARCH) {
        return (struct str){0};
    }
    if (s->query.n == 0 && t->searches == 0) {
        query_first(t->message, t->messages, &s->query);
    } else if (s->query.n == 0) {
        query_second(t->subject, t->category, t->ref, t->message, t->messages,
                     buf_str(&t->search[0].query), &s->query);
    }
    return buf_str(&s->query);
}

int
turn_found(struct turn *t, const msgpack_object *answer)
{
    const msgpack_object *hits = map_array(answer, "hits");
    struct turn_search *s = &t->search[t->searches];
    int err;

    if (t->state != TURN_SEARCH || turn_query(t).p == NULL) {
        return ERR_CONFLICT;
    }
    if (!hits || !map_float(answer, "confidence", &s->best) || !isfinite(s->best)) {
        return ERR_MALFORMED;
    }
    err = read_hits(t, hits, s);
    if (err) {
        return err;
    }
    s->answerable = map_bool(answer, "answerable") && t->hits > 0;
    t->searches++;
    if (s->answerable || t->courtesy.n > 0 || t->searches == TURN_MAX_SEARCHES) {
        t->state = TURN_DECIDE;
    }
    return 0;
}

bool
turn_answerable(const struct turn *t)
{
    return t->searches > 0 && t->search[t->searches - 1].answerable;
}

int
turn_send(struct turn *t, struct str text, const bool used[])
{
    if (t->state != TURN_DECIDE || (!turn_answerable(t) && t->courtesy.n == 0)) {
        return ERR_CONFLICT;
    }
    json_t *sources = json_array();
    for (size_t i = 0; i < t->hits; i++) {
        if (used[i]) {
            json_t *o = json_object();
            json_object_set_new(o, "id", text_json(t->hit[i].id));
            json_object_set_new(o, "title", text_json(t->hit[i].title));
            if (t->hit[i].url.n > 0) {
                json_object_set_new(o, "url", text_json(t->hit[i].url));
            }
            json_array_append_new(sources, o);
        }
    }
    t->decision = json_object();
    json_object_set_new(t->decision, "action", json_string("send"));
    json_object_set_new(t->decision, "text", text_json(text));
    json_object_set_new(t->decision, "sources", sources);
    if (t->courtesy.n > 0) {
        json_object_set_new(t->decision, "courtesy", text_json(t->courtesy));
        json_object_set_new(t->decision, "asks", json_boolean(str_is(t->courtesy, "greeting")));
    }
    json_object_set_new(t->decision, "tried", tried_json(t));
    t->sends = true;
    t->state = TURN_DECIDED;
    return 0;
}

int
turn_escalate(struct turn *t, const char *reason)
{
    bool at_once = t->escalate_at_once && t->state == TURN_HISTORY;

    if (t->state != TURN_DECIDE && !at_once) {
        return ERR_CONFLICT;
    }
    t->decision = json_object();
    json_object_set_new(t->decision, "action", json_string("escalate"));
    json_object_set_new(t->decision, "reason", json_string(reason));
    json_object_set_new(t->decision, "summary", summary_json(t, reason));
    json_object_set_new(t->decision, "tried", tried_json(t));
    t->sends = false;
    t->state = TURN_DECIDED;
    return 0;
}

int
turn_steps(struct turn *t, struct run_step ret[TURN_MAX_STEPS])
{
    size_t at[2 * TURN_MAX_STEPS + 1] = {0};
    const char *tool[TURN_MAX_STEPS];
    size_t n = 0;

    if (t->state != TURN_DECIDED) {
        return ERR_CONFLICT;
    }
    /* The texts are gathered first: the buffer may move. at[2 i] arguments, at[2 i + 1] result. */
    buf_clear(&t->steps_);
    tool[n] = "create_ticket";
    at[1] = 0;
    at[2 * n + 2] = add_json(t, json_pack("{s:o}", "ref", text_json(t->ref)));
    n++;
    if (t->searches > 0) {
        tool[n] = "get_customer_history";
        at[2 * n + 1] = at[2 * n];
        at[2 * n + 2] = add_json(t, json_pack("{s:I}", "messages", (json_int_t)t->history));
        n++;
    }
    for (size_t i = 0; i < t->searches; i++, n++) {
        const struct turn_search *s = &t->search[i];
        tool[n] = "search_knowledge_base";
        at[2 * n + 1] = add_json(t, json_pack("{s:o}", "query", text_json(buf_str(&s->query))));
        buf_printf(&t->steps_, "{\"answerable\":%s,\"confidence\":%.3f,\"hits\":%.*s}",
                   s->answerable ? "true" : "false", s->best, STR_ARG(buf_str(&s->found)));
        at[2 * n + 2] = t->steps_.n;
    }
    tool[n] = t->sends ? "send_response" : "escalate_to_human";
    at[2 * n + 1] =
        t->sends
            ? add_json(t, json_pack("{s:o}", "channel", text_json(t->channel)))
            : add_json(t, json_pack("{s:O}", "reason", json_object_get(t->decision, "reason")));
    at[2 * n + 2] = add_json(t, json_incref(t->decision));
    n++;
    for (size_t i = 0; i < n; i++) {
        ret[i] = (struct run_step){
            .unit = t->unit,
            .step = (int32_t)i + 1,
            .tool = str_of(tool[i]),
            .arguments = {.p = t->steps_.p + at[2 * i], .n = at[2 * i + 1] - at[2 * i]},
            .result = {.p = t->steps_.p + at[2 * i + 1], .n = at[2 * i + 2] - at[2 * i + 1]},
        };
    }
    return (int)n;
}

int
turn_take_stored(struct turn *t, struct str tool, struct str json)
{
    json_t *stored = json_loadb(json.p, json.n, 0, NULL);
    const char *action = json_string_value(json_object_get(stored, "action"));
    bool sends = str_is(tool, "send_response");

    if (!action || strcmp(action, sends ? "send" : "escalate") != 0) {
        json_decref(stored);
        return ERR_MALFORMED;
    }
    json_decref(t->decision);
    t->decision = stored;
    t->sends = sends;
    t->state = TURN_DECIDED;
    return 0;
}

void
turn_section(const struct turn *t, struct buf *ret)
{
    msgpack_packer pk;

    msgpack_packer_init(&pk, ret, buf_msgpack_write);
    pack_json(&pk, t->decision);
}

static int
read_messages(struct turn *t, const msgpack_object *incoming)
{
    const msgpack_object *all = map_array(incoming, "messages");
    size_t n = all ? all->via.array.size : 0;

    if (n == 0 || n > ENVELOPE_MAX_MESSAGES) {
        return ERR_MALFORMED;
    }
    for (size_t i = 0; i < n; i++) {
        t->message[i] = map_str(&all->via.array.ptr[i], "text");
        if (!t->message[i].p) {
            return ERR_MALFORMED;
        }
    }
    t->messages = n;
    return 0;
}

/* The hits of one search: as evidence, and to compose from. */
static int
read_hits(struct turn *t, const msgpack_object *hits, struct turn_search *s)
{
    size_t n = hits->via.array.size;

    if (n > TURN_MAX_HITS) {
        return ERR_MALFORMED;
    }
    buf_clear(&s->found);
    buf_add_byte(&s->found, '[');
    for (size_t i = 0; i < n; i++) {
        const msgpack_object *h = &hits->via.array.ptr[i];
        struct str id = map_str(h, "id");
        double score;

        if (id.n == 0 || !map_str(h, "text").p || !map_str(h, "title").p ||
            !map_float(h, "score", &score) || !isfinite(score)) {
            return ERR_MALFORMED;
        }
        json_t *pair = json_pack("[o, f]", text_json(id), rounded(score));
        char *text = json_dumps(pair, JSON_COMPACT | JSON_REAL_PRECISION(4));
        buf_printf(&s->found, "%s%s", i ? "," : "", text);
        free(text);
        json_decref(pair);
    }
    buf_add_byte(&s->found, ']');
    s->hits = n;
    keep_hits(t, hits);
    return 0;
}

/* The answer is borrowed: what a reply may need is copied. */
static void
keep_hits(struct turn *t, const msgpack_object *hits)
{
    size_t bytes = 0;

    t->hits = hits->via.array.size;
    for (size_t i = 0; i < t->hits; i++) {
        const msgpack_object *h = &hits->via.array.ptr[i];
        bytes +=
            map_str(h, "id").n + map_str(h, "title").n + map_str(h, "url").n + map_str(h, "text").n;
    }
    buf_clear(&t->texts_);
    buf_reserve(&t->texts_, bytes + 1); /* so that it doesn't move below */
    for (size_t i = 0; i < t->hits; i++) {
        const msgpack_object *h = &hits->via.array.ptr[i];
        int64_t at = 0;

        map_int(h, "at", &at);
        t->hit[i] = (struct compose_hit){
            .id = keep(t, map_str(h, "id")),
            .title = keep(t, map_str(h, "title")),
            .url = keep(t, map_str(h, "url")),
            .text = keep(t, map_str(h, "text")),
            .at = at > 0 ? (size_t)at : 0,
        };
        map_float(h, "adds", &t->hit[i].adds);
        map_float(h, "score", &t->hit[i].score);
    }
}

static struct str
keep(struct turn *t, struct str s)
{
    struct str kept = {.p = t->texts_.p + t->texts_.n, .n = s.n};

    buf_add_str(&t->texts_, s);
    return kept;
}

/* Appends the value (and frees it) to the texts of the steps; where they end now. */
static size_t
add_json(struct turn *t, json_t *o)
{
    size_t flags = JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(4);
    size_t n = json_dumpb(o, NULL, 0, flags);

    json_dumpb(o, buf_reserve(&t->steps_, n), n, flags);
    t->steps_.n += n;
    json_decref(o);
    return t->steps_.n;
}

static json_t *
text_json(struct str s)
{
    return json_stringn_nocheck(s.p ? s.p : "", s.n);
}

static json_t *
tried_json(const struct turn *t)
{
    json_t *all = json_array();

    for (size_t i = 0; i < t->searches; i++) {
        const struct turn_search *s = &t->search[i];
        json_array_append_new(all,
                              json_pack("{s:o,s:I,s:f}", "query", text_json(buf_str(&s->query)),
                                        "hits", (json_int_t)s->hits, "best", rounded(s->best)));
    }
    return all;
}

/* For the person who takes over: what was asked, and why it wasn't answered. */
static json_t *
summary_json(const struct turn *t, const char *reason)
{
    struct str asked = str_trim(t->message[t->messages - 1]);
    struct buf b = {0};

    if (asked.n > SUMMARY_QUOTE) {
        asked.n = SUMMARY_QUOTE;
        while (asked.n > 0 && ((unsigned char)asked.p[asked.n] & 0xc0) == 0x80) {
            asked.n--;
        }
    }
    buf_printf(&b, "%s after %zu search%s. ", reason, t->searches, t->searches == 1 ? "" : "es");
    if (t->searches > 0 && t->hits > 0) {
        buf_printf(&b, "Nearest passage: %.*s (confidence %.2f). ", STR_ARG(t->hit[0].title),
                   t->search[t->searches - 1].best);
    }
    buf_printf(&b, "%zu message%s, the last: %.*s", t->messages, t->messages == 1 ? "" : "s",
               STR_ARG(asked));
    json_t *o = text_json(buf_str(&b));
    buf_fini(&b);
    return o;
}

static double
rounded(double x)
{
    return round(x * 10000) / 10000;
}

static void
pack_json(msgpack_packer *pk, const json_t *o)
{
    switch (json_typeof(o)) {
    case JSON_OBJECT: {
        const char *key;
        json_t *value, *map = (json_t *)(uintptr_t)o;

        msgpack_pack_map(pk, json_object_size(o));
        json_object_foreach(map, key, value)
        {
            pack_key(pk, key);
            pack_json(pk, value);
        }
        break;
    }
    case JSON_ARRAY:
        msgpack_pack_array(pk, json_array_size(o));
        for (size_t i = 0; i < json_array_size(o); i++) {
            pack_json(pk, json_array_get(o, i));
        }
        break;
    case JSON_STRING:
        pack_str(pk, (struct str){.p = json_string_value(o), .n = json_string_length(o)});
        break;
    case JSON_INTEGER:
        msgpack_pack_int64(pk, json_integer_value(o));
        break;
    case JSON_REAL:
        msgpack_pack_double(pk, json_real_value(o));
        break;
    case JSON_TRUE:
        msgpack_pack_true(pk);
        break;
    case JSON_FALSE:
        msgpack_pack_false(pk);
        break;
    case JSON_NULL:
        msgpack_pack_nil(pk);
        break;
    }
}
