/* status - the page of one link: what came in over it, what went out, and what is to come. */
#include "actors/ingress/ingress.h"
#include "actors/ingress/page.h"
#include "actors/ingress/text.h"
#include "db/link.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define STATUS_MS 5000

struct link_errand {
    struct errand errand;
    struct ingress *in;
    struct id link;
    struct id pending;
    struct link_state state;
};

/* --- reading --------------------------------------------------------------------------------- */

static void
on_link(void *arg, const struct pg_reply *reply)
{
    struct link_errand *l = arg;

    if (reply->err == 0) {
        link_state_read(reply->results[0], l->pending, &l->state);
    }
    errand_done(&l->errand, reply->err);
}

/* Look-ups of one turn of the loop go to the database together, in one pipeline. */
static void
begin(struct errand *e, void *context)
{
    struct link_errand *l = (struct link_errand *)e;
    struct ingress *in = context;
    struct pg_txn *t = pg_begin(in->pg);

    link_read(t, l->link);
    pg_commit(&t, on_link, l);
}

static void
destroy(struct errand *e)
{
    struct link_errand *l = (struct link_errand *)e;

    link_state_fini(&l->state);
    free(l);
}

/* The caller releases *ret in any case. */
static int
look_up(struct ingress *in, struct id link, struct id pending, struct link_errand **ret)
{
    struct link_errand *l = xcalloc(1, sizeof(*l));

    l->errand.begin = begin;
    l->errand.destroy = destroy;
    l->in = in;
    l->link = link;
    l->pending = pending;
    *ret = l;
    return desk_ask(in->desk, &l->errand, STATUS_MS);
}

/* --- telling --------------------------------------------------------------------------------- */

/* "2026-11-23T22:14:05.123456Z" */
static json_t *
time_json(int64_t unix_us)
{
    time_t seconds = (time_t)(unix_us / 1000000);
    struct tm tm;
    char text[40];
    size_t n;

    gmtime_r(&seconds, &tm);
    n = strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(text + n, sizeof(text) - n, ".%06dZ", (int)(unix_us % 1000000));
    return json_string(text);
}

static json_t *
message_json(const struct link_message *m)
{
    json_t *json = json_object();

    json_object_set_new(json, "direction", json_string(m->inbound ? "inbound" : "outbound"));
    json_object_set_new(json, "body", json_stringn(m->body.p, m->body.n));
    json_object_set_new(json, "at", time_json(m->at_us));
    if (!m->inbound) {
        json_t *sources =
            m->sources.p != NULL ? json_loadb(m->sources.p, m->sources.n, 0, NULL) : NULL;
        json_object_set_new(json, "sources", sources != NULL ? sources : json_array());
    }
    return json;
}

static void
tell_json(struct answer *a, const struct link_state *s)
{
    json_t *messages = json_array();
    json_t *json = json_object();

    for (size_t i = 0; i < s->n; i++) {
        json_array_append_new(messages, message_json(&s->messages[i]));
    }
    json_object_set_new(json, "status", json_string(link_status_str(s->status)));
    json_object_set_new(json, "ticket_id", s->ticket[0] ? json_string(s->ticket) : json_null());
    json_object_set_new(json, "reason", s->reason[0] ? json_string(s->reason) : json_null());
    json_object_set_new(json, "explanation", json_string(status_explanation(s)));
    json_object_set_new(json, "messages", messages);
    answer_json(a, 200, json);
}

/* Eager at first; a request that takes long is looked at less often. */
static unsigned
refresh_after(const struct link_state *s)
{
    int64_t age_us = 0;

    for (size_t i = 0; i < s->n; i++) {
        if (s->messages[i].inbound) {
            age_us = clock_unix_us() - s->messages[i].at_us;
        }
    }
    return age_us < 10 * 1000000 ? 1 : age_us < 120 * 1000000 ? 5 : 20;
}

bool
status_token(struct ingress *in, const struct request *r, struct answer *a, struct token *ret,
             struct str *ret_text)
{
    struct str rest = {r->path.p + sizeof(STATUS_PATH) - 1, r->path.n - (sizeof(STATUS_PATH) - 1)};
    const char *slash = memchr(rest.p, '/', rest.n);

    *ret_text = slash != NULL ? (struct str){rest.p, (size_t)(slash - rest.p)} : rest;
    if (token_read(buf_str(&in->secret), *ret_text, ret) == 0) {
        return true;
    }
    refuse(r, a, 404, "This address belongs to no request. Please check that it is complete.");
    return false;
}

void
status_get(struct ingress *in, struct request *r, struct answer *a)
{
    struct id pending = {{0}};
    struct token token;
    struct str text;
    struct link_errand *l;
    unsigned wait = rate_take(in->rate, r->address, RATE_LOOK, clock_ms());

    if (wait > 0) {
        refuse(r, a, 429,
               "Too many requests came from your network address. Please wait a little.");
        answer_header(a, "Retry-After", "%u", wait);
        return;
    }
    if (!status_token(in, r, a, &token, &text)) {
        return;
    }
    struct str sent = request_parameter(r, "sent");
    if (sent.p != NULL && id_parse(sent, &pending) != 0) {
        pending = (struct id){{0}};
    }
    if (look_up(in, token.link, pending, &l) != 0) {
        refuse_for_now(r, a);
    } else if (r->html) {
        char here[128];
        char sent_text[ID_TEXT_SIZE] = "";
        if (!id_is_nil(pending)) {
            id_format(pending, sent_text);
        }
        bool off = str_is(request_parameter(r, "refresh"), "off");
        snprintf(here, sizeof(here), "%s%.*s", STATUS_PATH, STR_ARG(text));
        page_status(a, 200, &l->state, here, sent_text, off ? 0 : refresh_after(&l->state), NULL,
                    NULL);
    } else {
        tell_json(a, &l->state);
    }
    answer_header(a, "Vary", "Accept");
    errand_release(&l->errand);
}

void
status_refuse_reply(struct ingress *in, struct answer *a, int status, const struct token *token,
                    struct str token_text, const struct form *reply, const char *notice)
{
    char here[128];
    struct link_errand *l;

    snprintf(here, sizeof(here), "%s%.*s", STATUS_PATH, STR_ARG(token_text));
    if (look_up(in, token->link, (struct id){{0}}, &l) == 0) {
        page_status(a, status, &l->state, here, "", 0, reply, notice);
    } else {
        /* Without the database the messages can't be shown, but what was typed can be kept. */
        struct link_state none = {.status = LINK_RECEIVED};
        page_status(a, status, &none, here, "", 0, reply, notice);
    }
    errand_release(&l->errand);
}
