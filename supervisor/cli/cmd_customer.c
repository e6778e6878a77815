/* fte customer - who wrote: identifiers and conversations of a customer. */
#include "actors/identity/contact.h"
#include "actors/identity/phone.h"
#include "db/view.h"
#include "supervisor/cli/cli.h"
#include "supervisor/cli/session.h"
#include "supervisor/cli/term.h"

#include <stdio.h>
#include <string.h>

#define USAGE "usage: fte customer show EMAIL|NUMBER|ID [--json]"

static int show(struct session *d, const char *name, bool json);
static void print_customer(const json_t *customer);

int
cmd_customer(int argc, char **argv)
{
    bool json = cli_flag(&argc, argv, "--json");
    struct session *d;
    int code;

    if (argc != 3 || strcmp(argv[1], "show") != 0) {
        return cli_fail(CLI_USAGE, "customer", USAGE);
    }
    code = session_open("customer", &d);
    if (code == CLI_OK) {
        code = show(d, argv[2], json);
    }
    session_close(&d);
    return code;
}

static int
show(struct session *d, const char *name, bool json)
{
    struct buf normal = {0};
    json_t *customers = NULL, *customer;
    struct pg_txn *t;
    struct id id;
    size_t i;
    int code;

    if (id_parse(str_of(name), &id) == 0) {
        t = session_begin(d);
        view_customer_by_id(t, id);
    } else if (contact_email(str_of(name), &normal, NULL) == 0 ||
               phone_normal(str_of(name), "", &normal) == 0) {
        t = session_begin(d);
        view_customers(t, buf_str(&normal));
    } else {
        return cli_fail(CLI_USAGE, "customer",
                        "%s: not an e-mail address, international number or id", name);
    }
    code = session_run(d, &t, session_take_json, &customers);
    if (code == CLI_OK && !customers) {
        code = cli_fail(CLI_FAILED, "customer", "%s: there is no such customer", name);
    } else if (code == CLI_OK && json) {
        term_json(customers);
    } else if (code == CLI_OK) {
        json_array_foreach(customers, i, customer)
        {
            print_customer(customer);
        }
    }
    json_decref(customers);
    buf_fini(&normal);
    return code;
}

static void
print_customer(const json_t *customer)
{
    json_t *o;
    size_t i;

    printf("%s  ", term_field(customer, "id"));
    term_cell(term_field(customer, "name"), 0, false);
    printf(", since %s\n", term_field(customer, "created_at"));
    json_array_foreach(json_object_get(customer, "identifiers"), i, o)
    {
        printf("  %-8s  %-8s  ", term_field(o, "kind"), term_field(o, "assurance"));
        term_cell(term_field(o, "value"), 0, false);
        puts(json_is_true(json_object_get(o, "resolves")) ? "" : "  (as typed; names nobody)");
    }
    json_array_foreach(json_object_get(customer, "conversations"), i, o)
    {
        printf("  %s  %-9s  %-8s  %s  %lld messages  ", term_field(o, "ticket"),
               term_field(o, "status"), term_field(o, "channel"), term_field(o, "last_activity_at"),
               (long long)json_integer_value(json_object_get(o, "messages")));
        term_cell(term_field(o, "subject"), 60, false);
        putchar('\n');
    }
}
