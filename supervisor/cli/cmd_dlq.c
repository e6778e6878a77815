/* fte dlq - the dead letters: what could not be done, why, and doing it again.
 *
 * A dead letter is one unit: a message, or a burst that is answered together; its id is the unit's.
 * Works on the database, whether or not the system runs: a replayed unit waits in the log.
 */
#include "db/dead.h"
#include "supervisor/cli/cli.h"
#include "supervisor/cli/session.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#define USAGE                                                                                      \
    "usage: fte dlq list [--all] [--json] | show ID [--json] | replay ID|--all [--json] |"         \
    " drop ID|--all [--json]"
#define LIST_MAX 10000

struct query {
    bool json;
    json_t *rows;
    int printed;
};

static int list(struct session *d, bool all, bool json);
static int show(struct session *d, struct id unit, bool json);
static int change(struct session *d, bool replay, const char *id, bool all, bool json);

int
cmd_dlq(int argc, char **argv)
{
    bool json = cli_flag(&argc, argv, "--json");
    bool all = cli_flag(&argc, argv, "--all");
    const char *verb = argc > 1 ? argv[1] : "";
    const char *text = argc > 2 ? argv[2] : NULL;
    bool is_list = strcmp(verb, "list") == 0 || strcmp(verb, "") == 0;
    bool is_show = strcmp(verb, "show") == 0;
    bool is_replay = strcmp(verb, "replay") == 0;
    bool is_drop = strcmp(verb, "drop") == 0;
    struct session *d;
    struct id unit = {{0}};
    int code;

    if (!(is_list || is_show || is_replay || is_drop) || argc > 3 || (is_list && text) ||
        (is_show && (!text || all)) || ((is_replay || is_drop) && !text == !all)) {
        return cli_fail(CLI_USAGE, "dlq", USAGE);
    }
    if (text && id_parse(str_of(text), &unit) != 0) {
        return cli_fail(CLI_USAGE, "dlq", "%s: not the id of a unit (36 characters)", text);
    }
    code = session_open("dlq", &d);
    if (code == CLI_OK) {
        code = is_list   ? list(d, all, json)
               : is_show ? show(d, unit, json)
                         : change(d, is_replay, text, all, json);
    }
    session_close(&d);
    return code;
}

static json_t *
text_json(const PGresult *r, int row, int col)
{
    struct str s = pg_text(r, row, col);

    return pg_null(r, row, col) ? json_null() : json_stringn(s.p, s.n);
}

static json_t *
time_json(const PGresult *r, int row, int col)
{
    char text[TIME_TEXT_SIZE];

    if (pg_null(r, row, col)) {
        return json_null();
    }
    time_text(pg_time(r, row, col), text);
    return json_string(text);
}

static json_t *
letter_json(const PGresult *r, int row)
{
    char id[ID_TEXT_SIZE];

    id_format(pg_id(r, row, DEAD_UNIT), id);
    return json_pack(
        "{s:s, s:o, s:o, s:o, s:o, s:I, s:I, s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:I, s:I, s:o}",
        "id", id, "state", text_json(r, row, DEAD_STATE), "error", text_json(r, row, DEAD_ERROR),
        "service", text_json(r, row, DEAD_SERVICE), "why", text_json(r, row, DEAD_WHY), "attempts",
        (json_int_t)pg_int(r, row, DEAD_ATTEMPTS), "deaths",
        (json_int_t)pg_int(r, row, DEAD_DEATHS), "messages",
        (json_int_t)pg_int(r, row, DEAD_MESSAGES), "ticket", text_json(r, row, DEAD_TICKET), "key",
        text_json(r, row, DEAD_KEY), "received_at", time_json(r, row, DEAD_RECEIVED), "died_at",
        time_json(r, row, DEAD_CREATED), "closed_at", time_json(r, row, DEAD_CLOSED), "topic",
        text_json(r, row, DEAD_TOPIC), "partition", (json_int_t)pg_int(r, row, DEAD_PARTITION),
        "offset", (json_int_t)pg_int(r, row, DEAD_OFFSET), "trace", text_json(r, row, DEAD_TRACE));
}

static void
collect(void *arg, const struct pg_reply *reply)
{
    struct query *q = arg;

    for (int row = 0; row < PQntuples(reply->results[0]); row++) {
        json_array_append_new(q->rows, letter_json(reply->results[0], row));
    }
}

static const char *
field(json_t *letter, const char *name)
{
    const char *text = json_string_value(json_object_get(letter, name));

    return text ? text : "-";
}

static void
print_json(json_t *value)
{
    json_dumpf(value, stdout, JSON_COMPACT);
    putchar('\n');
}

static int
list(struct session *d, bool all, bool json)
{
    struct query q = {.rows = json_array()};
    struct pg_txn *t = session_begin(d);
    json_t *letter;
    size_t i;
    int code;

    dead_list(t, all, LIST_MAX);
    code = session_run(d, &t, collect, &q);
    if (code == CLI_OK && json) {
        print_json(q.rows);
    } else if (code == CLI_OK && json_array_size(q.rows) == 0) {
        puts("no dead letters");
    } else if (code == CLI_OK) {
        printf("%-36s  %-24s  %-8s  %-10s  %s\n", "ID", "DIED", "STATE", "TICKET", "WHY");
        json_array_foreach(q.rows, i, letter)
        {
            printf("%-36s  %-24s  %-8s  %-10s  %s at %s: %s\n", field(letter, "id"),
                   field(letter, "died_at"), field(letter, "state"), field(letter, "ticket"),
                   field(letter, "error"), field(letter, "service"), field(letter, "why"));
        }
    }
    json_decref(q.rows);
    return code;
}

static int
show(struct session *d, struct id unit, bool json)
{
    struct query q = {.rows = json_array()};
    struct pg_txn *t = session_begin(d);
    const char *name;
    json_t *value;
    int code;

    dead_show(t, unit);
    code = session_run(d, &t, collect, &q);
    if (code == CLI_OK && json_array_size(q.rows) == 0) {
        code = cli_fail(CLI_FAILED, "dlq", "there is no dead letter with this id");
    } else if (code == CLI_OK && json) {
        print_json(json_array_get(q.rows, 0));
    } else if (code == CLI_OK) {
        json_object_foreach(json_array_get(q.rows, 0), name, value)
        {
            printf("%-12s ", name);
            json_dumpf(value, stdout, JSON_ENCODE_ANY);
            putchar('\n');
        }
        puts(
            "\nfte dlq replay ID tries it again; fte dlq drop ID closes it; fte trace ID tells its "
            "way.");
    }
    json_decref(q.rows);
    return code;
}

static void
take_moved(void *arg, const struct pg_reply *reply)
{
    *(bool *)arg = dead_moved(reply);
}

static int
change_one(struct session *d, bool replay, const char *text, bool *ret_moved)
{
    struct pg_txn *t = session_begin(d);
    struct id unit;

    id_parse(str_of(text), &unit);
    if (replay) {
        dead_replay(t, unit);
    } else {
        dead_drop(t, unit);
    }
    return session_run(d, &t, take_moved, ret_moved);
}

static int
change(struct session *d, bool replay, const char *id, bool all, bool json)
{
    struct query q = {.rows = json_array()};
    struct pg_txn *t = all ? session_begin(d) : NULL;
    size_t moved_n = 0;
    int code = CLI_OK;

    if (all) {
        dead_list(t, false, LIST_MAX);
        code = session_run(d, &t, collect, &q);
    } else {
        json_array_append_new(q.rows, json_pack("{s:s}", "id", id));
    }
    for (size_t i = 0; code == CLI_OK && i < json_array_size(q.rows); i++) {
        bool moved = false;
        code = change_one(d, replay, field(json_array_get(q.rows, i), "id"), &moved);
        moved_n += moved;
    }
    json_decref(q.rows);
    if (code != CLI_OK) {
        return code;
    }
    if (json) {
        printf("{\"%s\":%zu}\n", replay ? "replayed" : "dropped", moved_n);
    } else if (moved_n > 0 || all) {
        printf("%zu %s\n", moved_n, replay ? "replayed" : "dropped");
    }
    if (moved_n == 0 && !all) {
        return cli_fail(CLI_FAILED, "dlq",
                        "%s: nothing to %s: no dead letter has this id, or it is closed", id,
                        replay ? "replay" : "drop");
    }
    return CLI_OK;
}
