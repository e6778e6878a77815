#include "actors/ingress/page.h"

#include "actors/ingress/render.h"
#include "actors/ingress/text.h"
#include "proto/id.h"

#include <assert.h>
#include <openssl/sha.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* The files are part of the program: the assembler puts them here (paths from the tree's top). */
#define EMBED(symbol, path)                                                                        \
    __asm__(".pushsection .rodata\n" #symbol ":\n.incbin \"" path "\"\n1:\n.byte 0\n"              \
            ".balign 8\n" #symbol "_size:\n.quad 1b - " #symbol "\n.popsection\n");                \
    extern const char symbol[] __attribute__((visibility("hidden")));                              \
    extern const uint64_t symbol##_size __attribute__((visibility("hidden")))

EMBED(page_layout_html, "actors/ingress/pages/layout.html");
EMBED(page_form_html, "actors/ingress/pages/form.html");
EMBED(page_status_html, "actors/ingress/pages/status.html");
EMBED(page_problem_html, "actors/ingress/pages/problem.html");
EMBED(page_pico_css, "actors/ingress/pages/pico.css");
EMBED(page_fte_css, "actors/ingress/pages/fte.css");
EMBED(page_icon_svg, "actors/ingress/pages/icon.svg");
EMBED(page_api_yaml, "docs/api.yaml");

#define FILE_STR(symbol) ((struct str){symbol, (size_t)symbol##_size})

/* --- assets --------------------------------------------------------------------------------- */

/* Eight hexadecimal digits that change with the sheets: their addresses may be kept for ever. */
static char version[9];

static void
make_version(void)
{
    uint8_t hash[SHA256_DIGEST_LENGTH];
    struct buf all = {0};

    buf_add_str(&all, FILE_STR(page_pico_css));
    buf_add_str(&all, FILE_STR(page_fte_css));
    buf_add_str(&all, FILE_STR(page_icon_svg));
    SHA256((const uint8_t *)all.p, all.n, hash);
    buf_fini(&all);
    snprintf(version, sizeof(version), "%02x%02x%02x%02x", hash[0], hash[1], hash[2], hash[3]);
}

bool
page_asset(struct answer *a, struct str name)
{
    const struct {
        const char *name;
        const char *type;
        struct str content;
    } assets[] = {
        {"pico.css", "text/css; charset=utf-8", FILE_STR(page_pico_css)},
        {"fte.css", "text/css; charset=utf-8", FILE_STR(page_fte_css)},
        {"icon.svg", "image/svg+xml", FILE_STR(page_icon_svg)},
        {"openapi.yaml", "application/yaml", FILE_STR(page_api_yaml)},
    };

    for (size_t i = 0; i < sizeof(assets) / sizeof(assets[0]); i++) {
        if (str_is(name, assets[i].name)) {
            a->status = 200;
            a->type = assets[i].type;
            a->cache = "public, max-age=86400";
            buf_add_str(&a->body, assets[i].content);
            return true;
        }
    }
    return false;
}

/* --- views ---------------------------------------------------------------------------------- */

/* A text from outside as JSON, whatever its bytes are. */
static json_t *
text_json(struct str s)
{
    struct buf clean = {0};
    json_t *json;

    text_printable(s, &clean);
    json = json_stringn(clean.n > 0 ? clean.p : "", clean.n);
    buf_fini(&clean);
    assert(json != NULL);
    return json;
}

static void
set(json_t *object, const char *key, json_t *value)
{
    json_object_set_new(object, key, value);
}

static void
set_text(json_t *object, const char *key, const char *value)
{
    set(object, key, value != NULL ? json_string(value) : json_null());
}

/* Renders `main_template` with `view` into the layout. Takes `view`. */
static void
finish(struct answer *a, int status, const char *title, bool other, struct str main_template,
       json_t *view)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct buf main_part = {0};
    json_t *layout;

    pthread_once(&once, make_version);
    render(main_template, view, &main_part);
    json_decref(view);
    layout = json_pack("{ss ss sb}", "title", title, "version", version, "other", other);
    set(layout, "main", json_stringn(main_part.p, main_part.n));
    buf_clear(&a->body);
    render(FILE_STR(page_layout_html), layout, &a->body);
    json_decref(layout);
    buf_fini(&main_part);
    a->status = status;
    a->type = TYPE_HTML;
}

static void
set_new_id(json_t *view)
{
    char text[ID_TEXT_SIZE];
    id_format(id_random(), text);
    set_text(view, "submission_id", text);
}

/* --- the form ------------------------------------------------------------------------------- */

/* How a field is called on the page. */
static const char *const labels[FORM_FIELDS] = {
    [FORM_NAME] = "Your name",
    [FORM_EMAIL] = "The e-mail address",
    [FORM_PHONE] = "The telephone number",
    [FORM_SUBJECT] = "The subject",
    [FORM_CATEGORY] = "The category",
    [FORM_PRIORITY] = "The priority",
    [FORM_MESSAGE] = "Your message",
    [FORM_SUBMISSION_ID] = "The submission_id",
};

static const char *
choice_label(const char *value)
{
    static const char *const words[][2] = {
        {"general", "Something general"},
        {"technical", "A technical question"},
        {"billing", "Billing"},
        {"bug_report", "Something is broken"},
        {"feedback", "Feedback"},
        {"low", "It can wait"},
        {"medium", "Normal"},
        {"high", "Soon, please"},
        {"urgent", "I cannot work"},
    };

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcmp(words[i][0], value) == 0) {
            return words[i][1];
        }
    }
    return value;
}

static json_t *
field_view(const struct form *form, enum form_field f)
{
    const char *const *choices = form_field_choices(f);
    struct str value = form != NULL ? form->value[f] : (struct str){NULL, 0};
    json_t *view = json_object();

    set(view, "value", text_json(value));
    set_text(view, "fault", form != NULL ? form_fault(form, f) : NULL);
    set_text(view, "allowed", form_field_allowed(f));
    if (choices != NULL) {
        const char *preset = f == FORM_CATEGORY ? "general" : "medium";
        json_t *list = json_array();
        for (; *choices != NULL; choices++) {
            bool selected = value.n > 0 ? str_is(value, *choices) : strcmp(*choices, preset) == 0;
            json_array_append_new(list, json_pack("{ss ss sb}", "value", *choices, "label",
                                                  choice_label(*choices), "selected", selected));
        }
        set(view, "choices", list);
    }
    return view;
}

/* The list at the head of a page with faults: each leads to its field. */
static void
set_faults(json_t *view, const struct form *form)
{
    json_t *list = json_array();
    char count[32];

    for (enum form_field f = 0; f < FORM_FIELDS; f++) {
        const char *detail = form_fault(form, f);
        if (detail != NULL) {
            json_array_append_new(list, json_pack("{ss ss ss}", "field", form_field_name(f),
                                                  "label", labels[f], "detail", detail));
        }
    }
    if (form->fault_n == 1) {
        snprintf(count, sizeof(count), "one field");
    } else {
        snprintf(count, sizeof(count), "%zu fields", form->fault_n);
    }
    set_text(view, "count", count);
    set(view, "faults", list);
}

static void
render_form(struct answer *a, int status, const struct form *form, const char *notice, bool same_id)
{
    bool faulty = form != NULL && form->fault_n > 0;
    bool more = false;
    json_t *view = json_object();

    for (enum form_field f = 0; f < FORM_SUBMISSION_ID; f++) {
        set(view, form_field_name(f), field_view(form, f));
        bool optional = f == FORM_PHONE || f == FORM_SUBJECT;
        bool broken = form != NULL && f != FORM_NAME && f != FORM_EMAIL && f != FORM_MESSAGE &&
                      form_fault(form, f) != NULL;
        more = more || broken || (optional && form != NULL && form->value[f].n > 0);
    }
    if (same_id && form != NULL && form->value[FORM_SUBMISSION_ID].n > 0 &&
        form_fault(form, FORM_SUBMISSION_ID) == NULL) {
        set(view, "submission_id", text_json(form->value[FORM_SUBMISSION_ID]));
    } else {
        set_new_id(view);
    }
    set_text(view, "notice", notice);
    set(view, "details_open", json_boolean(more));
    set(view, "faulty", json_boolean(faulty));
    if (faulty) {
        set_faults(view, form);
    }
    finish(a, status, faulty ? "Please check your request" : "Write to us", false,
           FILE_STR(page_form_html), view);
}

/* The empty form but for its submission_id: rendered once, since anybody may ask for it often. */
static struct blank {
    pthread_once_t once;
    struct buf page;
    size_t id_at;
} blank = {.once = PTHREAD_ONCE_INIT};

static void
make_blank(void)
{
    struct answer a = {0};
    const char *id;

    render_form(&a, 200, NULL, NULL, false);
    id = strstr(buf_c(&a.body), "name=\"submission_id\" value=\"");
    assert(id != NULL);
    blank.id_at = (size_t)(strstr(id, "value=\"") + strlen("value=\"") - a.body.p);
    blank.page = a.body;
}

void
page_form(struct answer *a, int status, const struct form *form, const char *notice, bool same_id)
{
    char id[ID_TEXT_SIZE];

    if (form != NULL || notice != NULL) {
        render_form(a, status, form, notice, same_id);
        return;
    }
    pthread_once(&blank.once, make_blank);
    id_format(id_random(), id);
    buf_clear(&a->body);
    buf_add_str(&a->body, buf_str(&blank.page));
    memcpy(a->body.p + blank.id_at, id, strlen(id));
    a->status = status;
    a->type = TYPE_HTML;
}

void
page_problem(struct answer *a, int status, const char *detail)
{
    static const char *const headings[][2] = {
        {"404", "There is nothing here"},
        {"429", "A little slower, please"},
        {"503", "We can't take your message just now"},
    };
    const char *heading = status < 500 ? "That didn't work" : "Something went wrong on our side";
    char text[8];

    snprintf(text, sizeof(text), "%d", status);
    for (size_t i = 0; i < sizeof(headings) / sizeof(headings[0]); i++) {
        heading = strcmp(headings[i][0], text) == 0 ? headings[i][1] : heading;
    }
    finish(a, status, heading, true, FILE_STR(page_problem_html),
           json_pack("{ss ss}", "heading", heading, "detail", detail));
}

/* --- the status page ------------------------------------------------------------------------ */

const char *
status_headline(const struct link_state *state)
{
    switch (state->status) {
    case LINK_RECEIVED:
        return "We have your message";
    case LINK_PROCESSING:
        return "We are looking for the answer";
    case LINK_ANSWERED:
        return "Here is our answer";
    case LINK_ESCALATED:
        return "A person takes over";
    }
    return "";
}

static const char *const reasons[][2] = {
    {"pricing_inquiry", "Questions about prices are answered by a person, who will write to you "
                        "on this page."},
    {"refund_request", "Refunds and disputed payments are decided by a person, who will write to "
                       "you on this page."},
    {"legal_issue", "Legal matters are read by a person, who will write to you on this page."},
    {"cancellation_request", "A person will see to your cancellation and write to you on this "
                             "page."},
    {"customer_requested", "You asked for a person: one will write to you on this page."},
    {"negative_sentiment", "This isn't going well, and we are sorry. A person will look into it "
                           "and write to you on this page."},
    {"knowledge_gap", "Our documentation doesn't answer this. A person will write to you on this "
                      "page."},
    {"human_owned", "Your request is with a person, who will write to you on this page."},
    {"ungrounded", "We could not back an answer with our documentation. A person will write to "
                   "you on this page."},
    {"dead_letter", "Something went wrong on our side while we worked on it. Your message is "
                    "safe, and a person has been told."},
};

const char *
status_explanation(const struct link_state *state)
{
    switch (state->status) {
    case LINK_RECEIVED:
        return "It is stored safely. The answer will appear on this page.";
    case LINK_PROCESSING:
        return "This usually takes a second or two. The answer will appear on this page.";
    case LINK_ANSWERED:
        return "If it doesn't help, write back below.";
    case LINK_ESCALATED:
        break;
    }
    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
        if (strcmp(reasons[i][0], state->reason) == 0) {
            return reasons[i][1];
        }
    }
    return "A person will write to you on this page.";
}

/* "23 November 2026, 22:14 UTC" */
static void
set_time(json_t *view, int64_t unix_us)
{
    time_t seconds = (time_t)(unix_us / 1000000);
    struct tm tm;
    char text[64];

    gmtime_r(&seconds, &tm);
    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
    set_text(view, "at", text);
    strftime(text, sizeof(text), "%-d %B %Y, %H:%M UTC", &tm);
    set_text(view, "when", text);
}

/* Sources with a title, and an address only where it is one of the web. */
static void
set_sources(json_t *view, struct str sources)
{
    json_t *in = json_loadb(sources.p != NULL ? sources.p : "[]", sources.p != NULL ? sources.n : 2,
                            0, NULL);
    json_t *out = json_array();
    json_t *source;
    size_t i;

    json_array_foreach(in, i, source)
    {
        const char *title = json_string_value(json_object_get(source, "title"));
        const char *url = json_string_value(json_object_get(source, "url"));
        const char *id = json_string_value(json_object_get(source, "id"));
        json_t *item = json_object();
        set(item, "title", text_json(str_of(title != NULL ? title : id)));
        if (url != NULL && (strncmp(url, "https://", 8) == 0 || strncmp(url, "http://", 7) == 0)) {
            set(item, "url", text_json(str_of(url)));
        } else {
            set(item, "url", json_null());
        }
        json_array_append_new(out, item);
    }
    json_decref(in);
    set(view, "has_sources", json_boolean(json_array_size(out) > 0));
    set(view, "sources", out);
}

static json_t *
message_view(const struct link_message *m)
{
    json_t *view = json_object();

    set_text(view, "direction", m->inbound ? "inbound" : "outbound");
    set_text(view, "who", m->inbound ? "You" : m->person ? "Support team" : "Support");
    set(view, "body", text_json(m->body));
    set_time(view, m->at_us);
    set_sources(view, m->sources);
    return view;
}

static void
set_reply(json_t *view, const char *here, const struct form *reply, const char *notice)
{
    const char *fault = reply != NULL ? form_fault(reply, FORM_MESSAGE) : NULL;
    char action[512];
    json_t *part = json_object();

    snprintf(action, sizeof(action), "%s/reply", here);
    set_text(part, "action", action);
    set(part, "value",
        text_json(reply != NULL ? reply->value[FORM_MESSAGE] : (struct str){NULL, 0}));
    set_text(part, "fault", fault);
    set_text(part, "allowed", form_field_allowed(FORM_MESSAGE));
    set_text(part, "notice", notice);
    set_new_id(part);
    set(view, "reply", part);
}

/* The page's own address with what it must remember. */
static void
set_link(json_t *view, const char *key, const char *here, const char *query, const char *sent)
{
    struct buf link = {0};

    buf_printf(&link, "%s%s%s", here, query[0] || sent[0] ? "?" : "", query);
    if (sent[0] != '\0') {
        buf_printf(&link, "%ssent=%s", query[0] ? "&" : "", sent);
    }
    set_text(view, key, buf_c(&link));
    buf_fini(&link);
}

void
page_status(struct answer *a, int status, const struct link_state *state, const char *here,
            const char *sent, unsigned refresh_s, const struct form *reply, const char *notice)
{
    bool pending = state->status == LINK_RECEIVED || state->status == LINK_PROCESSING;
    json_t *messages = json_array();
    json_t *view = json_object();

    set_text(view, "ticket", state->ticket);
    set_text(view, "status", link_status_str(state->status));
    set_text(view, "headline", status_headline(state));
    set_text(view, "explanation", status_explanation(state));
    set_link(view, "look", here, "", sent);
    set_link(view, "stop", here, "refresh=off", sent);
    set(view, "pending", json_boolean(pending));
    set(view, "refreshing", json_boolean(refresh_s > 0));
    for (size_t i = 0; i < state->n; i++) {
        json_array_append_new(messages, message_view(&state->messages[i]));
    }
    set(view, "has_messages", json_boolean(state->n > 0));
    set(view, "messages", messages);
    /* A page that reloads itself would take what is being typed with it. */
    if (!pending || reply != NULL) {
        set_reply(view, here, reply, notice);
    }
    if (pending && refresh_s > 0 && reply == NULL) {
        answer_header(a, "Refresh", "%u", refresh_s);
    }
    finish(a, status, status_headline(state), true, FILE_STR(page_status_html), view);
}
