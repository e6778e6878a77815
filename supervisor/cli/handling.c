#include "supervisor/cli/handling.h"

#include "db/handling.h"
#include "supervisor/cli/cli.h"
#include "supervisor/cli/session.h"
#include "supervisor/cli/term.h"

#include <stdio.h>
#include <string.h>

#define KEY_MAX 200 /* bytes of --id */

enum verb { REPLY, RELEASE, CLOSE, VERBS };
static const char *const verbs[VERBS] = {"reply", "release", "close"};

struct errand {
    enum verb verb;
    struct handling_ticket ticket;
    struct id message; /* REPLY */
    struct str text;
    struct buf text_memory;
    /* what came of it */
    enum handling_outcome outcome;
    char ref[TICKET_REF_SIZE], status[16], owner[16];
    struct id id;
};

static enum verb
find_verb(const char *name)
{
    enum verb v = REPLY;

    while (v < VERBS && strcmp(name, verbs[v]) != 0) {
        v++;
    }
    return v;
}

bool
handling_is(const char *verb)
{
    return find_verb(verb) < VERBS;
}

/* The text as it was typed, or standard input for "-"; without the blanks around it. */
static int
read_text(const char *given, struct errand *e)
{
    struct buf *b = &e->text_memory;

    if (strcmp(given, "-") == 0) {
        size_t got;
        while (b->n <= HANDLING_TEXT_MAX &&
               (got = fread(buf_reserve(b, 4096), 1, 4096, stdin)) > 0) {
            b->n += got;
        }
    } else {
        buf_add_c(b, given);
    }
    e->text = str_trim(buf_str(b));
    if (e->text.n == 0 || e->text.n > HANDLING_TEXT_MAX || !str_is_text(e->text)) {
        return cli_fail(CLI_USAGE, "ticket", "--text: 1 to %d bytes of UTF-8", HANDLING_TEXT_MAX);
    }
    return CLI_OK;
}

/* Who says --id can send again and store once; who doesn't gets a new id each time. */
static int
read_key(const char *key, struct errand *e)
{
    struct str s = str_of(key);

    if (key && (s.n == 0 || s.n > KEY_MAX || !str_is_text(s))) {
        return cli_fail(CLI_USAGE, "ticket", "--id: 1 to %d bytes of UTF-8", KEY_MAX);
    }
    e->message = key ? id_derive("reply:person", s) : id_random();
    return CLI_OK;
}

static int
read_ticket(const char *name, struct handling_ticket *ret)
{
    if (!ticket_ref_parse(str_of(name), ret->ref)) {
        ret->ref[0] = '\0';
        if (id_parse(str_of(name), &ret->id) != 0) {
            return cli_fail(CLI_USAGE, "ticket", "%s: not a reference (TKT-7F3K9Q) and not an id",
                            name);
        }
    }
    return CLI_OK;
}

static int
read_command(int argc, char **argv, struct errand *e)
{
    bool bad = false;
    const char *text = cli_option(&argc, argv, "--text", &bad);
    const char *key = cli_option(&argc, argv, "--id", &bad);
    int code;

    e->verb = argc > 1 ? find_verb(argv[1]) : VERBS;
    if (bad || e->verb == VERBS || argc != 3 || (e->verb == REPLY) != (text != NULL) ||
        (key && e->verb != REPLY)) {
        return cli_fail(CLI_USAGE, "ticket", "usage: fte ticket " HANDLING_USAGE " [--json]");
    }
    code = read_ticket(argv[2], &e->ticket);
    if (code == CLI_OK && e->verb == REPLY) {
        code = read_key(key, e);
        code = code == CLI_OK ? read_text(text, e) : code;
    }
    return code;
}

static void
take(void *arg, const struct pg_reply *reply)
{
    struct errand *e = arg;
    struct handling_result r;

    handling_get(reply, &r);
    e->outcome = r.outcome;
    e->id = r.ticket;
    snprintf(e->ref, sizeof(e->ref), "%.*s", STR_ARG(r.ref));
    snprintf(e->status, sizeof(e->status), "%.*s", STR_ARG(r.status));
    snprintf(e->owner, sizeof(e->owner), "%.*s", STR_ARG(r.owner));
}

static int
run(struct errand *e)
{
    struct session *d;
    int code = session_open("ticket", &d);

    if (code == CLI_OK) {
        struct pg_txn *t = session_begin(d);
        switch (e->verb) {
        case REPLY:
            handling_reply(t, &e->ticket, e->message, e->text);
            break;
        case RELEASE:
            handling_release(t, &e->ticket);
            break;
        case CLOSE:
        case VERBS:
            handling_close(t, &e->ticket);
            break;
        }
        code = session_run(d, &t, take, e);
    }
    session_close(&d);
    return code;
}

static void
tell_json(const struct errand *e)
{
    char ticket[ID_TEXT_SIZE], message[ID_TEXT_SIZE];
    json_t *o;

    id_format(e->id, ticket);
    o = json_pack("{s:s, s:s, s:s, s:s, s:b}", "ref", e->ref, "id", ticket, "status", e->status,
                  "owner", e->owner, "changed", e->outcome == HANDLING_DONE);
    if (e->verb == REPLY) {
        id_format(e->message, message);
        json_object_set_new(o, "message", json_string(message));
    }
    term_json(o);
    json_decref(o);
}

static void
tell(const struct errand *e)
{
    static const char *const done[VERBS] = {"answered", "given back", "closed"};
    static const char *const stands[VERBS] = {"this answer stands already",
                                              "nobody has it: fte answers it", "closed already"};
    bool human = strcmp(e->owner, "human") == 0;

    printf("%s: %s", e->ref, e->outcome == HANDLING_DONE ? done[e->verb] : stands[e->verb]);
    if (e->verb == REPLY && human) {
        printf("; it stays with you until `fte ticket release %s` or close", e->ref);
    }
    putchar('\n');
}

int
handling_command(int argc, char **argv, bool json)
{
    struct errand e = {0};
    int code = read_command(argc, argv, &e);

    if (code == CLI_OK) {
        code = run(&e);
    }
    if (code == CLI_OK && e.outcome == HANDLING_UNKNOWN) {
        code = cli_fail(CLI_FAILED, "ticket", "%s: there is no such ticket", argv[2]);
    } else if (code == CLI_OK && e.outcome == HANDLING_CONFLICT) {
        code = cli_fail(CLI_FAILED, "ticket", "--id: another message was stored under this id");
    } else if (code == CLI_OK && json) {
        tell_json(&e);
    } else if (code == CLI_OK) {
        tell(&e);
    }
    buf_fini(&e.text_memory);
    return code;
}
