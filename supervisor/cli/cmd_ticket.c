/* fte ticket - what became of a customer's request: the list, one with all that belongs to it, and
 * what a person does with it (handling.c). */
#include "db/ticket.h"
#include "db/view.h"
#include "supervisor/cli/cli.h"
#include "supervisor/cli/handling.h"
#include "supervisor/cli/session.h"
#include "supervisor/cli/term.h"

#include <stdio.h>
#include <string.h>

#define USAGE                                                                                      \
    "usage: fte ticket list [--status open|resolved|escalated|closed] [--limit N] [--json] |"      \
    " show REFERENCE|ID [--json] | " HANDLING_USAGE
#define LIST_DEFAULT 50

static int list(struct session *d, const char *status, long long limit, bool json);
static int show(struct session *d, const char *name, bool json);
static void print_ticket(const json_t *ticket);

static bool
known_status(const char *status)
{
    static const char *const names[] = {"open", "resolved", "escalated", "closed"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(status, names[i]) == 0) {
            return true;
        }
    }
    return false;
}

int
cmd_ticket(int argc, char **argv)
{
    bool bad = false;
    bool json = cli_flag(&argc, argv, "--json");
    const char *status;
    const char *limit_text, *verb;
    bool is_list, is_show;
    long long limit = LIST_DEFAULT;
    struct session *d;
    int code;

    if (argc > 1 && handling_is(argv[1])) {
        return handling_command(argc, argv, json);
    }
    status = cli_option(&argc, argv, "--status", &bad);
    limit_text = cli_option(&argc, argv, "--limit", &bad);
    verb = argc > 1 ? argv[1] : "list";
    is_list = strcmp(verb, "list") == 0 && argc <= 2;
    is_show = strcmp(verb, "show") == 0 && argc == 3 && !status && !limit_text;
    if (bad || !(is_list || is_show)) {
        return cli_fail(CLI_USAGE, "ticket", USAGE);
    }
    if (status && !known_status(status)) {
        return cli_fail(CLI_USAGE, "ticket", "--status: open, resolved, escalated or closed");
    }
    if (limit_text && str_int(str_of(limit_text), 1, VIEW_LIST_MAX, &limit) != 0) {
        return cli_fail(CLI_USAGE, "ticket", "--limit: a number from 1 to %d", VIEW_LIST_MAX);
    }
    code = session_open("ticket", &d);
    if (code == CLI_OK) {
        code = is_list ? list(d, status, limit, json) : show(d, argv[2], json);
    }
    session_close(&d);
    return code;
}

static int
list(struct session *d, const char *status, long long limit, bool json)
{
    struct pg_txn *t = session_begin(d);
    json_t *rows = NULL, *row;
    size_t i;
    int code;

    view_tickets(t, str_of(status), limit);
    code = session_run(d, &t, session_take_json, &rows);
    if (code == CLI_OK && json) {
        term_json(rows);
    } else if (code == CLI_OK && json_array_size(rows) == 0) {
        puts("no tickets");
    } else if (code == CLI_OK) {
        printf("%-10s  %-9s  %-9s  %-24s  %-20s  %s\n", "TICKET", "STATUS", "OWNER", "CHANGED",
               "CUSTOMER", "SUBJECT");
        json_array_foreach(rows, i, row)
        {
            printf("%-10s  %-9s  %-9s  %-24s  ", term_field(row, "ref"), term_field(row, "status"),
                   term_field(row, "owner"), term_field(row, "updated_at"));
            term_cell(term_field(row, "customer"), 20, true);
            fputs("  ", stdout);
            term_cell(term_field(row, "subject"), 60, false);
            putchar('\n');
        }
    }
    json_decref(rows);
    return code;
}

static int
show(struct session *d, const char *name, bool json)
{
    char ref[TICKET_REF_SIZE];
    json_t *ticket = NULL;
    struct pg_txn *t;
    struct id id;
    int code;

    if (ticket_ref_parse(str_of(name), ref)) {
        t = session_begin(d);
        view_ticket(t, str_of(ref));
    } else if (id_parse(str_of(name), &id) == 0) {
        t = session_begin(d);
        view_ticket_by_id(t, id);
    } else {
        return cli_fail(CLI_USAGE, "ticket", "%s: not a reference (TKT-7F3K9Q) and not an id",
                        name);
    }
    code = session_run(d, &t, session_take_json, &ticket);
    if (code == CLI_OK && !ticket) {
        code = cli_fail(CLI_FAILED, "ticket", "%s: there is no such ticket", name);
    } else if (code == CLI_OK && json) {
        term_json(ticket);
    } else if (code == CLI_OK) {
        print_ticket(ticket);
    }
    json_decref(ticket);
    return code;
}

/* --- for people ------------------------------------------------------------------------------- */

static void
print_messages(const json_t *messages)
{
    json_t *m, *source;
    size_t i, k;

    json_array_foreach(messages, i, m)
    {
        printf("\n%s  %s", term_field(m, "at"), term_field(m, "author"));
        if (json_is_number(json_object_get(m, "sentiment"))) {
            printf("  sentiment %.2f", json_number_value(json_object_get(m, "sentiment")));
        }
        putchar('\n');
        term_block(term_field(m, "body"), "    ");
        json_array_foreach(json_object_get(m, "sources"), k, source)
        {
            fputs("    source: ", stdout);
            term_cell(term_field(source, "title"), 0, false);
            putchar('\n');
        }
    }
}

static void
print_escalations(const json_t *escalations)
{
    json_t *e, *found, *word;
    size_t i, k, w;

    json_array_foreach(escalations, i, e)
    {
        printf("\n%s  escalated: %s (%s)\n", term_field(e, "at"), term_field(e, "reason"),
               term_field(e, "status"));
        term_block(term_field(e, "summary"), "    ");
        json_array_foreach(json_object_get(e, "evidence"), k, found)
        {
            printf("    rule %s:", term_field(found, "rule"));
            json_array_foreach(json_object_get(found, "words"), w, word)
            {
                putchar(' ');
                term_cell(json_string_value(word) ? json_string_value(word) : "-", 60, false);
            }
            putchar('\n');
        }
    }
}

static void
print_ticket(const json_t *ticket)
{
    const json_t *customer = json_object_get(ticket, "customer");
    const json_t *conversation = json_object_get(ticket, "conversation");
    json_t *o;
    size_t i;

    printf("%s  %s, answered by %s, over %s\n", term_field(ticket, "ref"),
           term_field(ticket, "status"),
           strcmp(term_field(conversation, "owner"), "human") == 0 ? "a person" : "fte",
           term_field(ticket, "channel"));
    fputs("subject   ", stdout);
    term_cell(term_field(ticket, "subject"), 0, false);
    fputs("\ncustomer  ", stdout);
    term_cell(term_field(customer, "name"), 0, false);
    json_array_foreach(json_object_get(customer, "identifiers"), i, o)
    {
        fputs(i == 0 ? "  " : ", ", stdout);
        term_cell(term_field(o, "value"), 0, false);
        printf(" (%s)", term_field(o, "assurance"));
    }
    printf("\nopened    %s\nchanged   %s\n", term_field(ticket, "created_at"),
           term_field(ticket, "updated_at"));
    print_messages(json_object_get(ticket, "messages"));
    print_escalations(json_object_get(ticket, "escalations"));
    json_array_foreach(json_object_get(ticket, "notes"), i, o)
    {
        printf("\n%s  note\n", term_field(o, "at"));
        term_block(term_field(o, "note"), "    ");
    }
    if (json_array_size(json_object_get(ticket, "steps")) > 0) {
        puts("\nwhat was done:");
    }
    json_array_foreach(json_object_get(ticket, "steps"), i, o)
    {
        printf("    %s  %lld. %s\n", term_field(o, "at"),
               (long long)json_integer_value(json_object_get(o, "step")), term_field(o, "tool"));
    }
}
