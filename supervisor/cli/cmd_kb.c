/* fte kb - the knowledge base: what is in it, and what a search finds there.
 *
 * Works on the table, with the index that the actor kb uses, whether or not the system runs. An
 * import returns when the running searches see it.
 */
#include "actors/kb/answerable.h"
#include "actors/kb/passage.h"
#include "actors/kb/rank.h"
#include "actors/kb/rows.h"
#include "db/kb.h"
#include "db/migrate.h"
#include "proto/err.h"
#include "supervisor/cli/cli.h"

#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define CONNECT_MS 5000
#define ANSWER_MS 60000
#define SEEN_MS 15000 /* for the running searches to take over an import */
#define SEEN_EVERY_MS 10
#define MAX_LINE (1024 * 1024)

typedef void read_fn(void *ret, const struct pg_reply *reply);

/* The connection of one command. */
struct session {
    struct loop *loop;
    struct pg *pg;
    char refused[256];
    read_fn *read; /* of the transaction on its way, and where to */
    void *ret;
    int err;
    char detail[256];
};

/* An index on its way from the table. */
struct load {
    struct ranker *ranker;
    struct index *index;
};

static int kb_import_command(int argc, char **argv);
static int kb_list_command(int argc, char **argv);
static int kb_search_command(int argc, char **argv);
static int wait_until_seen(struct session *s, int64_t generation);
static int search_one(struct session *s, const char *query, bool json);
static int search_lines(struct session *s);
static int load_index(struct session *s, struct ranker *r, struct index **ret);
static json_t *hit_json(const struct index *x, const struct ranking *found, double confidence,
                        size_t i, bool brief);
static bool seen_before(const struct index *x, const struct ranking *found, size_t i);
static int open_session(struct session *s);
static int run(struct session *s, struct pg_txn *t, read_fn *read, void *ret);
static void close_session(struct session *s);
static void on_refused(void *arg, const char *why);
static void on_reply(void *arg, const struct pg_reply *reply);
static void read_import(void *ret, const struct pg_reply *reply);
static void read_behind(void *ret, const struct pg_reply *reply);
static void read_list(void *ret, const struct pg_reply *reply);
static void read_index(void *ret, const struct pg_reply *reply);

static const struct cli_command kb_commands[] = {
    {"import", kb_import_command, "fte kb import DIR|FILE.md|FILE.jsonl [--url BASE] [--json]"},
    {"list", kb_list_command, "fte kb list [--json]"},
    {"search", kb_search_command, "fte kb search QUERY... [--json] | fte kb search --jsonl"},
};

int
cmd_kb(int argc, char **argv)
{
    for (size_t i = 0; argc > 1 && i < sizeof kb_commands / sizeof *kb_commands; i++) {
        if (strcmp(argv[1], kb_commands[i].name) == 0) {
            return kb_commands[i].run(argc - 1, argv + 1);
        }
    }
    for (size_t i = 0; i < sizeof kb_commands / sizeof *kb_commands; i++) {
        fprintf(stderr, "%s%s\n", i == 0 ? "usage: " : "       ", kb_commands[i].help);
    }
    return CLI_USAGE;
}

/* --- import ---------------------------------------------------------------------------------- */

static int
kb_import_command(int argc, char **argv)
{
    bool json = cli_flag(&argc, argv, "--json"), bad = false;
    const char *base = cli_option(&argc, argv, "--url", &bad);
    struct session s = {0};
    struct passages rows = {0};
    struct buf why = {0};
    struct kb_change change = {0};
    char source[PATH_MAX];
    int code;

    if (argc != 2 || bad) {
        return cli_fail(CLI_USAGE, "kb", "usage: %s", kb_commands[0].help);
    }
    if (passages_read(&rows, argv[1], str_of(base), &why) != 0) {
        code = cli_fail(CLI_FAILED, "kb import", "%s", buf_c(&why));
        goto done;
    }
    if (!realpath(argv[1], source)) {
        code = cli_fail(CLI_FAILED, "kb import", "%s: no such file", argv[1]);
        goto done;
    }
    code = open_session(&s);
    if (code == CLI_OK) {
        struct pg_txn *t = pg_begin(s.pg);
        kb_import(t, str_of(source), rows.row, rows.n);
        code = run(&s, t, read_import, &change);
    }
    if (code == CLI_OK) {
        code = wait_until_seen(&s, change.generation);
    }
    if (code == CLI_OK && json) {
        printf("{\"passages\":%zu,\"written\":%lld,\"removed\":%lld,\"taken_over\":%lld}\n", rows.n,
               (long long)change.written, (long long)change.removed, (long long)change.taken);
    } else if (code == CLI_OK) {
        printf("%zu passages: %lld written, %zu unchanged, %lld removed\n", rows.n,
               (long long)change.written, rows.n - (size_t)change.written,
               (long long)change.removed);
        if (change.taken > 0) {
            printf("%lld of them came from another import before\n", (long long)change.taken);
        }
    }
done:
    close_session(&s);
    passages_fini(&rows);
    buf_fini(&why);
    return code;
}

static int
wait_until_seen(struct session *s, int64_t generation)
{
    int64_t until = clock_ms() + SEEN_MS, searches = 0;

    for (;;) {
        struct pg_txn *t = pg_begin(s->pg);
        kb_behind(t, generation);
        int code = run(s, t, read_behind, &searches);
        if (code != CLI_OK || searches == 0) {
            return code;
        }
        if (clock_ms() >= until) {
            return cli_fail(CLI_UNAVAILABLE, "kb import",
                            "imported, but %lld running search(es) did not take it over within "
                            "%d s",
                            (long long)searches, SEEN_MS / 1000);
        }
        nanosleep(&(struct timespec){.tv_nsec = SEEN_EVERY_MS * 1000000L}, NULL);
    }
}

/* --- list ------------------------------------------------------------------------------------ */

static int
kb_list_command(int argc, char **argv)
{
    bool json = cli_flag(&argc, argv, "--json");
    struct session s = {0};
    int code;

    if (argc != 1) {
        return cli_fail(CLI_USAGE, "kb", "usage: %s", kb_commands[1].help);
    }
    code = open_session(&s);
    if (code == CLI_OK) {
        struct pg_txn *t = pg_begin(s.pg);
        kb_list(t);
        code = run(&s, t, read_list, &json);
    }
    close_session(&s);
    return code;
}

static void
read_list(void *ret, const struct pg_reply *reply)
{
    bool json = *(bool *)ret;
    json_t *all = json_array();

    for (int i = 0; i < PQntuples(reply->results[0]); i++) {
        struct kb_document d;
        char when[32];

        kb_list_row(reply->results[0], i, &d);
        time_t at = (time_t)(d.updated_us / 1000000);
        struct tm utc;
        strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&at, &utc));
        if (json) {
            json_array_append_new(all, json_pack("{s:s%,s:s%,s:s%,s:I,s:s}", "id", d.document.p,
                                                 d.document.n, "title", d.title.p, d.title.n,
                                                 "source", d.source.p, d.source.n, "passages",
                                                 (json_int_t)d.passages, "updated_at", when));
        } else {
            printf("%-40.*s %4lld  %s  %.*s\n", STR_ARG(d.document), (long long)d.passages, when,
                   STR_ARG(d.title));
        }
    }
    if (json) {
        json_dumpf(all, stdout, JSON_COMPACT);
        putchar('\n');
    }
    json_decref(all);
}

/* --- search ---------------------------------------------------------------------------------- */

static int
kb_search_command(int argc, char **argv)
{
    bool json = cli_flag(&argc, argv, "--json"), lines = cli_flag(&argc, argv, "--jsonl");
    struct session s = {0};
    struct buf query = {0};
    int code;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--") != 0) {
            buf_printf(&query, "%s%s", query.n ? " " : "", argv[i]);
        }
    }
    if (lines == (query.n > 0)) {
        buf_fini(&query);
        return cli_fail(CLI_USAGE, "kb", "usage: %s", kb_commands[2].help);
    }
    code = open_session(&s);
    if (code == CLI_OK) {
        code = lines ? search_lines(&s) : search_one(&s, buf_c(&query), json);
    }
    close_session(&s);
    buf_fini(&query);
    return code;
}

static int
search_one(struct session *s, const char *query, bool json)
{
    struct ranker *r = ranker_new();
    struct index *x = NULL;
    struct ranking found;
    int code = load_index(s, r, &x);

    if (code != CLI_OK) {
        goto done;
    }
    rank(r, x, str_of(query), RANK_MAX_HITS, &found);
    double confidence = answerable(&found);
    json_t *hits = json_array();
    for (size_t i = 0; i < found.n; i++) {
        const struct passage *p = &x->passage[found.hit[i].passage];

        json_array_append_new(hits, hit_json(x, &found, confidence, i, false));
        if (!json) {
            printf("%s%.3f  %.*s\n       %.*s\n",
                   i                               ? ""
                   : confidence >= ANSWERABLE_FROM ? "answerable\n"
                                                   : "no answer here; nearest:\n",
                   answerable_score(&found, confidence, i), STR_ARG(p->id), STR_ARG(p->title));
        }
    }
    if (json) {
        json_t *o = json_pack("{s:b,s:f,s:o}", "answerable", confidence >= ANSWERABLE_FROM,
                              "confidence", confidence, "hits", hits);
        json_dumpf(o, stdout, JSON_COMPACT | JSON_REAL_PRECISION(6));
        putchar('\n');
        json_decref(o);
    } else {
        if (found.n == 0) {
            puts("nothing found");
        }
        json_decref(hits);
    }
done:
    index_free(&x);
    ranker_free(&r);
    return code;
}

/* {id, text} a line in, {id, answerable, confidence, hits} a line out. */
static int
search_lines(struct session *s)
{
    struct ranker *r = ranker_new();
    struct index *x = NULL;
    char *line = NULL;
    size_t cap = 0, number = 0;
    ssize_t n;
    int code = load_index(s, r, &x);

    while (code == CLI_OK && (n = getline(&line, &cap, stdin)) > 0) {
        json_error_t error;
        number++;
        if (str_trim((struct str){.p = line, .n = (size_t)n}).n == 0) {
            continue;
        }
        json_t *o = n > MAX_LINE ? NULL : json_loadb(line, (size_t)n, 0, &error);
        json_t *id = json_object_get(o, "id"), *text = json_object_get(o, "text");
        if (!id || !json_is_string(text)) {
            json_decref(o);
            code = cli_fail(CLI_FAILED, "kb search",
                            "standard input: line %zu: must be {\"id\": ..., \"text\": \"...\"}",
                            number);
            break;
        }
        struct str query = {.p = json_string_value(text), .n = json_string_length(text)};
        struct ranking found;
        rank(r, x, query, RANK_MAX_HITS, &found);
        double confidence = answerable(&found);
        json_t *hits = json_array();
        for (size_t i = 0; i < found.n; i++) {
            if (!seen_before(x, &found, i)) {
                json_array_append_new(hits, hit_json(x, &found, confidence, i, true));
            }
        }
        json_t *out =
            json_pack("{s:O,s:b,s:f,s:o}", "id", id, "answerable", confidence >= ANSWERABLE_FROM,
                      "confidence", confidence, "hits", hits);
        json_dumpf(out, stdout, JSON_COMPACT | JSON_REAL_PRECISION(6));
        putchar('\n');
        json_decref(out);
        json_decref(o);
    }
    free(line);
    index_free(&x);
    ranker_free(&r);
    return code;
}

/* A row of an import, or the document that a passage is of, is named once. */
static bool
seen_before(const struct index *x, const struct ranking *found, size_t i)
{
    struct str document = x->passage[found->hit[i].passage].document;

    for (size_t k = 0; k < i; k++) {
        if (str_eq(x->passage[found->hit[k].passage].document, document)) {
            return true;
        }
    }
    return false;
}

static json_t *
hit_json(const struct index *x, const struct ranking *found, double confidence, size_t i,
         bool brief)
{
    const struct passage *p = &x->passage[found->hit[i].passage];
    double score = answerable_score(found, confidence, i);

    if (brief) {
        return json_pack("{s:s%,s:f}", "id", p->document.p, p->document.n, "score", score);
    }
    return json_pack("{s:s%,s:s%,s:s%,s:s%,s:f,s:s%}", "id", p->id.p, p->id.n, "document",
                     p->document.p, p->document.n, "title", p->title.p, p->title.n, "url", p->url.p,
                     p->url.n, "score", score, "text", p->body.p, p->body.n);
}

static int
load_index(struct session *s, struct ranker *r, struct index **ret)
{
    struct load l = {.ranker = r};
    struct pg_txn *t = pg_begin(s->pg);
    int code;

    kb_rows(t);
    code = run(s, t, read_index, &l);
    *ret = l.index;
    return code;
}

/* --- the connection -------------------------------------------------------------------------- */

static int
open_session(struct session *s)
{
    const char *url = getenv("DATABASE_URL");
    const struct pg_events events = {.refused = on_refused, .arg = s};
    int64_t until = clock_ms() + CONNECT_MS;

    if (!url || url[0] == '\0') {
        return cli_fail(CLI_CONFIG, "kb", "DATABASE_URL: not set, and no private cluster runs");
    }
    s->loop = loop_new();
    s->pg = pg_open(s->loop, url, migrate_version(), &events);
    while (!pg_is_up(s->pg) && !s->refused[0] && clock_ms() < until) {
        loop_turn(s->loop, 50);
    }
    if (s->refused[0]) {
        return cli_fail(CLI_CONFIG, "kb", "database: %s", s->refused);
    }
    return pg_is_up(s->pg) ? CLI_OK : cli_fail(CLI_UNAVAILABLE, "kb", "database: no connection");
}

static int
run(struct session *s, struct pg_txn *t, read_fn *read, void *ret)
{
    s->read = read;
    s->ret = ret;
    pg_commit(&t, on_reply, s);
    if (!pg_wait(s->pg, ANSWER_MS)) {
        return cli_fail(CLI_UNAVAILABLE, "kb", "database: no answer");
    }
    if (s->err == 0) {
        return CLI_OK;
    }
    return cli_fail(s->err == ERR_UNAVAILABLE ? CLI_UNAVAILABLE : CLI_FAILED, "kb", "database: %s",
                    s->detail[0] ? s->detail : err_str(s->err));
}

static void
close_session(struct session *s)
{
    pg_close(&s->pg);
    loop_free(&s->loop);
}

static void
on_refused(void *arg, const char *why)
{
    struct session *s = arg;

    snprintf(s->refused, sizeof s->refused, "%s", why);
}

static void
on_reply(void *arg, const struct pg_reply *reply)
{
    struct session *s = arg;

    s->err = reply->err;
    snprintf(s->detail, sizeof s->detail, "%s", reply->detail);
    if (reply->err == 0) {
        s->read(s->ret, reply);
    }
}

static void
read_import(void *ret, const struct pg_reply *reply)
{
    kb_import_read(reply, ret);
}

static void
read_behind(void *ret, const struct pg_reply *reply)
{
    *(int64_t *)ret = kb_behind_read(reply->results[0]);
}

static void
read_index(void *ret, const struct pg_reply *reply)
{
    struct load *l = ret;

    struct models models;

    l->index = index_of_rows(ranker_words(l->ranker), reply->results[0]);
    index_learn(l->index, &models);
    index_take(l->index, &models);
}
