/* submit - a person's message from HTTP into the log: the form, its submission, and replies. */
#include "actors/ingress/append.h"
#include "actors/ingress/ingress.h"
#include "actors/ingress/page.h"
#include "db/link.h"
#include "proto/runtime/fault.h"

#include <stdlib.h>
#include <string.h>

#define WHO_MS 3000 /* a reply waits so long for its first message to be stored */
#define WHO_AGAIN_MS 25

static const char too_big[] = "The request is longer than what can be stored in one piece.";
static const char conflict[] = "This submission_id was used before with another content.";

/* --- both ------------------------------------------------------------------------------------ */

static const char *
media_name(const struct request *r)
{
    return r->media == FORM_MEDIA_JSON ? "application/json" : "application/x-www-form-urlencoded";
}

/* Takes a post from the bucket of its address. False after answering 429. */
static bool
within_rate(struct ingress *in, const struct request *r, struct answer *a)
{
    unsigned wait = rate_take(in->rate, r->address, RATE_POST, clock_ms());

    if (wait == 0) {
        return true;
    }
    meter_message(in->meter, "limited");
    refuse(r, a, 429, "Too many messages came from your network address. Please wait a little.");
    answer_header(a, "Retry-After", "%u", wait);
    return false;
}

/* Checks the body and reads it as a form. False after answering; faults of fields are the caller's
 * to answer. */
static bool
read_form(struct ingress *in, enum form_kind kind, struct request *r, struct answer *a,
          struct form *ret)
{
    struct refusal bad = request_check_body(r);
    struct buf why = {0};

    *ret = (struct form){0};
    if (bad.status == 0 && form_read(kind, r->media, buf_str(&r->body), ret, &why) != 0) {
        bad = (struct refusal){.status = 400, .detail = buf_c(&why)};
    }
    if (bad.status != 0) {
        meter_message(in->meter, "invalid");
        refuse(r, a, bad.status, bad.detail);
    }
    buf_fini(&why);
    return bad.status == 0;
}

/* The submission_id that was given, or a random one. */
static struct str
submission_id(const struct form *form, char text[ID_TEXT_SIZE])
{
    if (form->value[FORM_SUBMISSION_ID].p != NULL) {
        return form->value[FORM_SUBMISSION_ID];
    }
    id_format(id_random(), text);
    return str_of(text);
}

/* The id of a message: the same for the same `who` and submission_id. */
static struct id
message_id(struct str who, struct str submission)
{
    struct buf name = {0};
    struct id id;

    if (!SAFEGUARD("derived_id")) {
        return id_random();
    }
    buf_add_str(&name, who);
    buf_add_byte(&name, '\x1f');
    buf_add_str(&name, submission);
    id = id_derive("envelope:webform", buf_str(&name));
    buf_fini(&name);
    return id;
}

/* 202 for programs; for people, off to the page that tells. `sent` (or nil) lets the page wait for
 * a reply that no table knows yet. */
static void
accept_message(struct ingress *in, const struct request *r, struct answer *a, const char *token,
               struct str submission, struct id sent)
{
    char path[128];
    char text[ID_TEXT_SIZE];
    char query[64] = "";

    snprintf(path, sizeof(path), "%s%s", STATUS_PATH, token);
    if (!id_is_nil(sent)) {
        id_format(sent, text);
        snprintf(query, sizeof(query), "?sent=%s", text);
    }
    if (r->html) {
        a->status = 303;
        answer_header(a, "Location", "%s%s", path, query);
        return;
    }
    struct buf url = {0};
    buf_printf(&url, "%s%s%s", in->public_url, path, query);
    answer_json(a, 202,
                json_pack("{ss# sn ss}", "submission_id", submission.p, (int)submission.n,
                          "ticket_id", "status_url", buf_c(&url)));
    answer_header(a, "Location", "%s", buf_c(&url));
    buf_fini(&url);
}

/* --- the form -------------------------------------------------------------------------------- */

void
submit_form(struct ingress *in, struct request *r, struct answer *a)
{
    (void)in;
    (void)r;
    page_form(a, 200, NULL, NULL, false);
    /* Who goes back in the browser finds the same page: the text, and the same submission_id. */
    a->cache = "private, no-cache";
}

/* Says no to a form, with what was typed kept. */
static void
refuse_form(const struct request *r, struct answer *a, int status, const struct form *form,
            const char *detail, bool same_id)
{
    if (r->html) {
        page_form(a, status, form, form->fault_n > 0 ? NULL : detail, same_id);
    } else {
        answer_problem(a, status, detail, form);
    }
}

/* The log doesn't have it, and this is why. */
static void
refuse_submission(struct ingress *in, const struct request *r, struct answer *a,
                  const struct form *form, int err, struct str submission)
{
    if (err == ERR_CONFLICT) {
        meter_message(in->meter, "conflict");
        refuse_form(r, a, 409, form,
                    r->html
                        ? "This form was sent before with another text. Send it once more if this "
                          "is another request."
                        : conflict,
                    false);
    } else if (err == ERR_TOO_BIG) {
        meter_message(in->meter, "invalid");
        refuse_form(r, a, 413, form, too_big, true);
    } else {
        meter_message(in->meter, "unavailable");
        refuse_form(r, a, err == ERR_UNAVAILABLE ? 503 : 500, form,
                    "Your message could not be stored just now. Please send it again in a moment: "
                    "it will not arrive twice.",
                    true);
        answer_header(a, "Retry-After", "2");
        if (!r->html) {
            answer_extend(a, "submission_id", submission); /* so that it can be sent again */
        }
    }
}

static void
submit(struct ingress *in, struct request *r, struct answer *a, const struct form *form)
{
    char random_id[ID_TEXT_SIZE];
    char token_text[TOKEN_SIZE];
    struct str submission = submission_id(form, random_id);
    struct append_message m = {
        .id = message_id(buf_str(&form->email), submission),
        .email = buf_str(&form->email),
        .form = form,
        .at_us = clock_unix_us(),
        .media = media_name(r),
        .raw = buf_str(&r->body),
    };
    struct token token;
    bool repeated = false;
    int err;

    token.link = m.link = id_derive_from("link", m.id);
    contact_key(m.email, token.key);
    m.key = token.key;
    err = append_message(in, &m, &repeated);
    if (err == 0) {
        meter_message(in->meter, repeated ? "repeated" : "accepted");
        token_make(buf_str(&in->secret), &token, token_text);
        accept_message(in, r, a, token_text, submission, (struct id){{0}});
    } else {
        refuse_submission(in, r, a, form, err, submission);
    }
}

void
submit_post(struct ingress *in, struct request *r, struct answer *a)
{
    struct form form;

    if (!within_rate(in, r, a)) {
        return;
    }
    if (read_form(in, FORM_REQUEST, r, a, &form)) {
        if (form.fault_n > 0) {
            meter_message(in->meter, "invalid");
            refuse_form(r, a, 422, &form, "Some fields have values that are not allowed.", true);
        } else {
            submit(in, r, a, &form);
        }
    }
    form_fini(&form);
}

/* --- replies --------------------------------------------------------------------------------- */

/* Whose link is it? The address that its first message came from. */
struct who_errand {
    struct errand errand;
    struct ingress *in;
    struct token token;
    int64_t until_ms;
    struct buf email;
};

static void ask_who(void *arg);

/* Of the customer's addresses, the one that the conversation key was made from. */
static bool
choose_email(struct who_errand *w, const PGresult *r)
{
    for (int row = 0; row < PQntuples(r); row++) {
        char key[CONTACT_KEY_SIZE];
        contact_key(pg_text(r, row, 0), key);
        if (strcmp(key, w->token.key) == 0) {
            buf_add_str(&w->email, pg_text(r, row, 0));
            return true;
        }
    }
    return false;
}

static void
on_who(void *arg, const struct pg_reply *reply)
{
    struct who_errand *w = arg;

    if (reply->err == 0 && !choose_email(w, reply->results[0])) {
        /* The first message is still on its way through the stages. */
        if (clock_ms() + WHO_AGAIN_MS < w->until_ms) {
            loop_timer(actor_loop(w->in->self), WHO_AGAIN_MS, 0, ask_who, w);
            return;
        }
        errand_done(&w->errand, ERR_NOT_FOUND);
        return;
    }
    errand_done(&w->errand, reply->err);
}

static void
ask_who(void *arg)
{
    struct who_errand *w = arg;
    struct pg_txn *t = pg_begin(w->in->pg);

    link_email(t, w->token.link);
    pg_commit(&t, on_who, w);
}

static void
who_begin(struct errand *e, void *context)
{
    (void)context;
    ask_who(e);
}

static void
who_destroy(struct errand *e)
{
    struct who_errand *w = (struct who_errand *)e;

    buf_fini(&w->email);
    free(w);
}

static int
find_email(struct ingress *in, const struct token *token, struct buf *ret)
{
    struct who_errand *w = xcalloc(1, sizeof(*w));
    int err;

    w->errand.begin = who_begin;
    w->errand.destroy = who_destroy;
    w->in = in;
    w->token = *token;
    w->until_ms = clock_ms() + WHO_MS;
    err = desk_ask(in->desk, &w->errand, WHO_MS + PG_WAIT_MS);
    if (err == 0) {
        buf_add_str(ret, buf_str(&w->email));
    }
    errand_release(&w->errand);
    return err;
}

static void
refuse_reply(struct ingress *in, const struct request *r, struct answer *a, int status,
             const struct token *token, struct str token_text, const struct form *form,
             const char *detail)
{
    if (r->html) {
        status_refuse_reply(in, a, status, token, token_text, form,
                            form->fault_n > 0 ? NULL : detail);
    } else {
        answer_problem(a, status, detail, form);
    }
    if (status == 503) {
        answer_header(a, "Retry-After", "2");
    }
}

static int
append_reply(struct ingress *in, const struct request *r, const struct token *token,
             const struct form *form, struct str submission, struct id *ret_id)
{
    char link_text[ID_TEXT_SIZE];
    struct buf email = {0};
    bool repeated = false;
    int err = find_email(in, token, &email);

    if (err == 0) {
        id_format(token->link, link_text);
        struct append_message m = {
            .id = message_id(str_of(link_text), submission),
            .link = token->link,
            .key = token->key,
            .email = buf_str(&email),
            .form = form,
            .at_us = clock_unix_us(),
            .media = media_name(r),
            .raw = buf_str(&r->body),
        };
        *ret_id = m.id;
        err = append_message(in, &m, &repeated);
    }
    meter_message(in->meter, err == 0              ? repeated ? "repeated" : "accepted"
                             : err == ERR_CONFLICT ? "conflict"
                                                   : "unavailable");
    buf_fini(&email);
    return err;
}

static void
reply(struct ingress *in, struct request *r, struct answer *a, const struct token *token,
      struct str token_text, const struct form *form)
{
    char random_id[ID_TEXT_SIZE];
    char text[TOKEN_SIZE];
    struct str submission = submission_id(form, random_id);
    struct id id;
    int err = append_reply(in, r, token, form, submission, &id);

    if (err == 0) {
        token_make(buf_str(&in->secret), token, text);
        accept_message(in, r, a, text, submission, id);
    } else if (err == ERR_CONFLICT) {
        refuse_reply(in, r, a, 409, token, token_text, form, conflict);
    } else if (err == ERR_TOO_BIG) {
        refuse_reply(in, r, a, 413, token, token_text, form, too_big);
    } else if (err == ERR_NOT_FOUND) {
        refuse_reply(in, r, a, 503, token, token_text, form,
                     "Your first message is still being worked on. Please send this again in a "
                     "moment.");
    } else {
        refuse_reply(
            in, r, a, err == ERR_INTERNAL ? 500 : 503, token, token_text, form,
            "Your reply could not be stored just now. Please send it again in a moment: it "
            "will not arrive twice.");
    }
}

void
reply_post(struct ingress *in, struct request *r, struct answer *a)
{
    struct token token;
    struct str token_text;
    struct form form;

    if (!status_token(in, r, a, &token, &token_text) || !within_rate(in, r, a)) {
        return;
    }
    if (read_form(in, FORM_REPLY, r, a, &form)) {
        if (form.fault_n > 0) {
            meter_message(in->meter, "invalid");
            refuse_reply(in, r, a, 422, &token, token_text, &form,
                         "Some fields have values that are not allowed.");
        } else {
            reply(in, r, a, &token, token_text, &form);
        }
    }
    form_fini(&form);
}
