/* load - many customers at once, each waiting for the answer before asking the next question.
 *
 *   load URL CLIENTS CONVERSATIONS   (DATABASE_URL in the environment)
 *
 * Every conversation is a new customer who submits the form as JSON and is content when the reply
 * (or the escalation) is stored. Latency is from the start of the request to the moment at which
 * the outcome was seen in the database, which is asked every 3 ms for all that wait. Prints one
 * line of JSON: {"conversations", "answered", "escalated", "failed", "seconds", "p50_ms", "p95_ms",
 * "p99_ms"}.
 */
#include "db/pg.h"
#include "proto/buf.h"
#include "proto/clock.h"
#include "proto/id.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

#define MAX_CLIENTS 1000
#define ASK_EVERY_MS 3
#define GIVE_UP_MS 60000

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
    CURL *curl;
    struct buf request, answer;
    struct id unit;
    int64_t start_us;
};

static struct {
    struct client clients[MAX_CLIENTS];
    int client_n;
    long wanted, begun, answered, escalated, failed;
    double *latency_ms;
    CURLM *multi;
    struct curl_slist *headers;
    const char *url;
    char run[ID_TEXT_SIZE];
    PGconn *pg;
} load;

static size_t
take_answer(char *p, size_t size, size_t n, void *arg)
{
    struct client *c = arg;
    buf_add(&c->answer, p, size * n);
    return size * n;
}

static void
begin(struct client *c)
{
    char submission[64], mail[96];
    struct buf name = {0};

    if (load.begun == load.wanted) {
        c->state = CLIENT_DONE;
        return;
    }
    snprintf(submission, sizeof(submission), "%.8s-%ld", load.run, load.begun);
    snprintf(mail, sizeof(mail), "c%ld-%.8s@load.example", load.begun, load.run);
    buf_printf(&name, "%s\x1f%s", mail, submission);
    c->unit = id_derive("envelope:webform", buf_str(&name));
    buf_fini(&name);
    buf_clear(&c->request);
    buf_printf(&c->request,
               "{\"name\":\"Customer %ld\",\"email\":\"%s\",\"subject\":\"A question\","
               "\"message\":\"%s\",\"submission_id\":\"%s\"}",
               load.begun, mail,
               questions[load.begun % (long)(sizeof(questions) / sizeof(*questions))], submission);
    load.begun++;
    buf_clear(&c->answer);
    curl_easy_setopt(c->curl, CURLOPT_POSTFIELDS, c->request.p);
    curl_easy_setopt(c->curl, CURLOPT_POSTFIELDSIZE, (long)c->request.n);
    c->start_us = clock_unix_us();
    c->state = CLIENT_POSTING;
    curl_multi_add_handle(load.multi, c->curl);
}

static void
open_client(struct client *c)
{
    c->curl = curl_easy_init();
    curl_easy_setopt(c->curl, CURLOPT_URL, load.url);
    curl_easy_setopt(c->curl, CURLOPT_HTTPHEADER, load.headers);
    curl_easy_setopt(c->curl, CURLOPT_WRITEFUNCTION, take_answer);
    curl_easy_setopt(c->curl, CURLOPT_WRITEDATA, c);
    curl_easy_setopt(c->curl, CURLOPT_PRIVATE, c);
    curl_easy_setopt(c->curl, CURLOPT_TIMEOUT, 30L);
}

/* Requests that are answered: 202, or a failure that is told. */
static void
take_finished(void)
{
    CURLMsg *m;
    int left;

    while ((m = curl_multi_info_read(load.multi, &left)) != NULL) {
        struct client *c;
        long status = 0;
        curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&c);
        curl_easy_getinfo(m->easy_handle, CURLINFO_RESPONSE_CODE, &status);
        curl_multi_remove_handle(load.multi, c->curl);
        if (status == 202) {
            c->state = CLIENT_WAITING;
            continue;
        }
        if (load.failed++ == 0) {
            fprintf(stderr, "load: status %ld: %s\n", status, buf_c(&c->answer));
        }
        begin(c);
    }
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

/* Asks for the outcomes of all that wait, and lets the content ask their next question. */
static void
ask_database(void)
{
    static const char sql[] =
        "select unit_id::text, true from messages where unit_id = any ($1::uuid[])"
        " and direction = 'outbound' and author = 'fte'"
        " union all select id::text, false from escalations where id = any ($1::uuid[])";
    struct buf ids = {0};
    const char *value;
    PGresult *r;

    for (int i = 0; i < load.client_n; i++) {
        char text[ID_TEXT_SIZE];
        struct client *c = &load.clients[i];
        if (c->state == CLIENT_WAITING) {
            id_format(c->unit, text);
            buf_printf(&ids, "%c%s", ids.n ? ',' : '{', text);
            if (clock_unix_us() - c->start_us > GIVE_UP_MS * 1000LL) {
                fprintf(stderr, "load: no outcome of %s\n", text);
                load.failed++;
                begin(c);
            }
        }
    }
    if (ids.n == 0) {
        return;
    }
    buf_add_byte(&ids, '}');
    value = buf_c(&ids);
    r = PQexecParams(load.pg, sql, 1, NULL, &value, NULL, NULL, 0);
    if (PQresultStatus(r) != PGRES_TUPLES_OK) {
        fprintf(stderr, "load: %s", PQerrorMessage(load.pg));
        exit(EX_UNAVAILABLE);
    }
    for (int row = 0; row < PQntuples(r); row++) {
        struct id id;
        id_parse(str_of(PQgetvalue(r, row, 0)), &id);
        for (int i = 0; i < load.client_n; i++) {
            struct client *c = &load.clients[i];
            if (c->state == CLIENT_WAITING && id_eq(c->unit, id)) {
                outcome(c, PQgetvalue(r, row, 1)[0] == 't');
                break;
            }
        }
    }
    PQclear(r);
    buf_fini(&ids);
}

static bool
all_done(void)
{
    for (int i = 0; i < load.client_n; i++) {
        if (load.clients[i].state != CLIENT_DONE) {
            return false;
        }
    }
    return true;
}

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

int
main(int argc, char **argv)
{
    struct id run = id_random();
    int64_t start, next;

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
    id_format(run, load.run);
    load.latency_ms = xcalloc((size_t)load.wanted, sizeof(double));
    load.pg = PQconnectdb(getenv("DATABASE_URL"));
    load.multi = curl_multi_init();
    load.headers = curl_slist_append(NULL, "Content-Type: application/json");
    load.headers = curl_slist_append(load.headers, "Expect:");
    start = next = clock_ms();
    for (int i = 0; i < load.client_n; i++) {
        open_client(&load.clients[i]);
        begin(&load.clients[i]);
    }
    while (!all_done()) {
        int running;
        curl_multi_perform(load.multi, &running);
        take_finished();
        if (clock_ms() >= next) {
            ask_database();
            next = clock_ms() + ASK_EVERY_MS;
        }
        curl_multi_poll(load.multi, NULL, 0, ASK_EVERY_MS, NULL);
    }
    double seconds = (double)(clock_ms() - start) / 1000;
    qsort(load.latency_ms, (size_t)(load.answered + load.escalated), sizeof(double), compare);
    printf("{\"conversations\": %ld, \"answered\": %ld, \"escalated\": %ld, \"failed\": %ld, "
           "\"seconds\": %.3f, \"p50_ms\": %.1f, \"p95_ms\": %.1f, \"p99_ms\": %.1f}\n",
           load.answered + load.escalated, load.answered, load.escalated, load.failed, seconds,
           percentile(0.50), percentile(0.95), percentile(0.99));
    return load.failed == 0 ? EX_OK : EX_SOFTWARE;
}
