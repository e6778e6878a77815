/* load - many customers at once, each waiting for the answer before asking the next question.
 *
 *   load URL CLIENTS CONVERSATIONS   (DATABASE_URL in the environment)
 *
 * Every conversation is a new customer who submits the form as JSON and is content when the reply
 * (or the escalation) is stored. Latency is from the start of the request to the moment at which
 * the outcome was seen in the database, which is asked every 3 ms (1 ms for up to 4 clients) for
 * all that wait. Prints one line of JSON: {"conversations", "answered", "escalated", "failed",
 * "seconds", "p50_ms", "p95_ms", "p99_ms"}.
 */
#include "db/pg.h"
#include "proto/runtime/http.h"

#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

#define MAX_CLIENTS 1000
#define ASK_EVERY_MS 3
#define ASK_FEW_EVERY_MS 1 /* up to FEW clients */
#define FEW 4
#define GIVE_UP_MS 60000
#define POST_MS 30000

static const char *const questions[] = {
    "How do I write my own actor?",
    "How do I start the system?",
    "How do I replay a dead letter?",
    "What happens when PostgreSQL is down?",
    "How do I change the escalation rules?",
    "Where is my data kept?",
    "How do I scale an actor?",
    "How do I import my own knowledge base?",
};

enum client_state { CLIENT_IDLE, CLIENT_POSTING, CLIENT_WAITING, CLIENT_DONE };

struct client {
    enum client_state state;
    struct id unit;
    int64_t start_us;
};

static struct {
    struct client clients[MAX_CLIENTS];
    int client_n, done_n;
    long wanted, begun, answered, escalated, failed;
    double *latency_ms;
    struct loop *loop;
    struct http *http;
    struct pg *pg;
    const char *url;
    char run[ID_TEXT_SIZE];
    bool asking;
} load;

static void posted(void *arg, const struct http_answer *answer);

/* --- a client -------------------------------------------------------------------------------- */

static void
begin(struct client *c)
{
    static const char *const headers[] = {"Content-Type: application/json", NULL};
    char submission[64], mail[96], body[512];
    struct buf name = {0};
    int n;

    if (load.begun == load.wanted) {
        c->state = CLIENT_DONE;
        if (++load.done_n == load.client_n) {
            loop_stop(load.loop);
        }
        return;
    }
    snprintf(submission, sizeof(submission), "%.8s-%ld", load.run, load.begun);
    snprintf(mail, sizeof(mail), "c%ld-%.8s@load.example", load.begun, load.run);
    buf_printf(&name, "%s\x1f%s", mail, submission);
    c->unit = id_derive("envelope:webform", buf_str(&name));
    buf_fini(&name);
    n = snprintf(body, sizeof(body),
                 "{\"name\":\"Customer %ld\",\"email\":\"%s\",\"subject\":\"A question\","
                 "\"message\":\"%s\",\"submission_id\":\"%s\"}",
                 load.begun, mail,
                 questions[load.begun % (long)(sizeof(questions) / sizeof(*questions))],
                 submission);
    load.begun++;
    c->start_us = clock_unix_us();
    c->state = CLIENT_POSTING;
    http_send(load.http,
              &(struct http_request){.method = "POST",
                                     .url = load.url,
                                     .headers = headers,
                                     .body = {body, (size_t)n},
                                     .timeout_ms = POST_MS,
                                     .answer_max = 65536},
              posted, c);
}

static void
failed(struct client *c)
{
    load.failed++;
    begin(c);
}

/* Answered with 202, or a failure that is told. */
static void
posted(void *arg, const struct http_answer *answer)
{
    struct client *c = arg;

    if (answer->status == 202) {
        c->state = CLIENT_WAITING;
        return;
    }
    if (load.failed == 0) {
        fprintf(stderr, "load: status %d %s: %.*s\n", answer->status, answer->why,
                STR_ARG(answer->body));
    }
    failed(c);
}

static void
outcome(struct client *c, bool answered)
{
    load.latency_ms[load.answered + load.escalated] =
        (double)(clock_unix_us() - c->start_us) / 1000;
    load.answered += answered;
    load.escalated += !answered;
    begin(c);
}

/* --- the database ---------------------------------------------------------------------------- */

static void
asked(void *arg, const struct pg_reply *reply)
{
    (void)arg;
    load.asking = false;
    if (reply->err != 0) {
        fprintf(stderr, "load: the database: %s\n", reply->detail);
        exit(EX_UNAVAILABLE);
    }
    for (int row = 0; row < PQntuples(reply->results[0]); row++) {
        struct id id = pg_id(reply->results[0], row, 0);
        for (int i = 0; i < load.client_n; i++) {
            struct client *c = &load.clients[i];
            if (c->state == CLIENT_WAITING && id_eq(c->unit, id)) {
                outcome(c, pg_bool(reply->results[0], row, 1));
                break;
            }
        }
    }
}

/* Asks for the outcomes of all that wait; the content ask their next question then. */
static void
ask_database(void *arg)
{
    static const struct pg_stmt stmt = {
        "load_outcomes", "select unit_id, true from messages where unit_id = any ($1)"
                         " and direction = 'outbound' and author = 'fte'"
                         " union all select id, false from escalations where id = any ($1)"};
    struct pg_txn *t;
    int n = 0;

    (void)arg;
    for (int i = 0; i < load.client_n; i++) {
        struct client *c = &load.clients[i];
        if (c->state == CLIENT_WAITING && clock_unix_us() - c->start_us > GIVE_UP_MS * 1000LL) {
            fprintf(stderr, "load: no outcome in time\n");
            failed(c);
        }
        n += c->state == CLIENT_WAITING;
    }
    if (n == 0 || load.asking) {
        return;
    }
    t = pg_begin(load.pg);
    pg_stmt(t, &stmt);
    pg_array(t, PG_ID);
    for (int i = 0; i < load.client_n; i++) {
        if (load.clients[i].state == CLIENT_WAITING) {
            pg_put_id(t, load.clients[i].unit);
        }
    }
    pg_array_end(t);
    load.asking = true;
    pg_commit(&t, asked, NULL);
}

/* --- the run --------------------------------------------------------------------------------- */

static int
compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double
percentile(double p)
{
    long n = load.answered + load.escalated;
    return n ? load.latency_ms[(long)((double)(n - 1) * p)] : 0;
}

static void
print_figures(double seconds)
{
    qsort(load.latency_ms, (size_t)(load.answered + load.escalated), sizeof(double), compare);
    printf("{\"conversations\": %ld, \"answered\": %ld, \"escalated\": %ld, \"failed\": %ld, "
           "\"seconds\": %.3f, \"p50_ms\": %.1f, \"p95_ms\": %.1f, \"p99_ms\": %.1f}\n",
           load.answered + load.escalated, load.answered, load.escalated, load.failed, seconds,
           percentile(0.50), percentile(0.95), percentile(0.99));
}

int
main(int argc, char **argv)
{
    int64_t start, every;

    if (argc != 4 || getenv("DATABASE_URL") == NULL) {
        fprintf(stderr, "usage: DATABASE_URL=... load URL CLIENTS CONVERSATIONS\n");
        return EX_USAGE;
    }
    load.url = argv[1];
    load.client_n = atoi(argv[2]);
    load.wanted = atol(argv[3]);
    if (load.client_n < 1 || load.client_n > MAX_CLIENTS || load.wanted < 1) {
        fprintf(stderr, "load: 1 to %d clients, at least one conversation\n", MAX_CLIENTS);
        return EX_USAGE;
    }
    id_format(id_random(), load.run);
    load.latency_ms = xcalloc((size_t)load.wanted, sizeof(double));
    load.loop = loop_new();
    load.http = http_new(load.loop, load.client_n);
    load.pg = pg_open(load.loop, getenv("DATABASE_URL"), 0, NULL);
    start = clock_ms();
    for (int i = 0; i < load.client_n; i++) {
        begin(&load.clients[i]);
    }
    every = load.client_n <= FEW ? ASK_FEW_EVERY_MS : ASK_EVERY_MS;
    loop_timer(load.loop, every, every, ask_database, NULL);
    loop_run(load.loop);
    print_figures((double)(clock_ms() - start) / 1000);
    http_free(&load.http);
    pg_close(&load.pg);
    loop_free(&load.loop);
    free(load.latency_ms);
    return load.failed == 0 ? EX_OK : EX_SOFTWARE;
}
