#include "db/pg.h"

#include "db/pg_txn.h"
#include "proto/err.h"
#include "proto/runtime/fault.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RECONNECT_MIN_MS 50
#define RECONNECT_MAX_MS 250 /* a server that was killed is back within a second */
#define CONNECT_MS 5000
#define MAX_PREPARED 128
/* Every statement of a stage looks up a few keys. Its plan is made once, when tables may still be
 * empty and without statistics, and must be right when they hold millions: by index, whatever the
 * planner thinks of their size. Planning at each execution would cost more than executing. */
#define PLANNER                                                                                    \
    " -c plan_cache_mode=force_generic_plan -c jit=off -c enable_seqscan=off"                      \
    " -c enable_hashjoin=off -c enable_mergejoin=off"
#define MAX_LISTEN 8

enum state { STATE_DOWN, STATE_CONNECTING, STATE_CHECKING, STATE_UP };

/* What libpq will answer next, in order. */
enum item_kind { ITEM_PREPARE, ITEM_QUERY, ITEM_SYNC };
struct item {
    enum item_kind kind;
    bool got; /* its result was read, its NULL is still to come */
    struct pg_txn *txn;
    const struct pg_stmt *stmt;
};

struct pg {
    struct loop *loop;
    char *url;
    int schema_version;
    struct pg_events events;
    PGconn *conn;
    enum state state;
    struct loop_watch *watch;
    struct loop_timer *timer; /* reconnect or connect time-out */
    struct loop_timer *watchdog;
    int64_t backoff_ms;
    const struct pg_stmt *prepared[MAX_PREPARED];
    int prepared_n;
    const char *listen[MAX_LISTEN];
    int listen_n;
    struct item *items; /* a ring */
    size_t item_head, item_n, item_cap;
    struct pg_txn *waiting, **waiting_tail; /* not sent: the connection is down */
    size_t pending;
    bool reading; /* in read_results(): callbacks run */
    bool lost;    /* the connection is known to be gone: drop() is on its way */
    struct loop_timer *lose_timer;
};

static void connect_start(void *arg);
static void drop(struct pg *pg);
static void on_socket(void *arg, int events);

/* --- queue of expected results -------------------------------------------------------------- */

static void
push_item(struct pg *pg, struct item it)
{
    if (pg->item_n == pg->item_cap) {
        size_t cap = pg->item_cap ? pg->item_cap * 2 : 32;
        struct item *items = xmalloc(cap * sizeof(*items));
        for (size_t i = 0; i < pg->item_n; i++) {
            items[i] = pg->items[(pg->item_head + i) % pg->item_cap];
        }
        free(pg->items);
        pg->items = items;
        pg->item_cap = cap;
        pg->item_head = 0;
    }
    pg->items[(pg->item_head + pg->item_n++) % pg->item_cap] = it;
}

static struct item *
first_item(struct pg *pg)
{
    return pg->item_n ? &pg->items[pg->item_head] : NULL;
}

static void
pop_item(struct pg *pg)
{
    pg->item_head = (pg->item_head + 1) % pg->item_cap;
    pg->item_n--;
}

/* --- answers -------------------------------------------------------------------------------- */

static int
err_of_sqlstate(const char *s)
{
    static const char *const patient[] = {"08", "40", "53", "57", "58", "55P03", "25006", "26000"};

    for (size_t i = 0; i < sizeof(patient) / sizeof(patient[0]); i++) {
        if (strncmp(s, patient[i], strlen(patient[i])) == 0) {
            return ERR_UNAVAILABLE;
        }
    }
    if (strncmp(s, "23", 2) == 0) {
        return ERR_CONFLICT;
    }
    return strncmp(s, "22", 2) == 0 ? ERR_INVALID : ERR_INTERNAL;
}

/* True where the server could not write its files for a reason that has no code of its own, like a
 * disk quota (a full disk has one): the statement isn't to blame. */
static bool
is_storage(const PGresult *res)
{
    static const char *const files[] = {"md.c", "fd.c", "slru.c", "buffile.c", "xlog.c"};
    const char *file = PQresultErrorField(res, PG_DIAG_SOURCE_FILE);

    for (size_t i = 0; file != NULL && i < sizeof(files) / sizeof(files[0]); i++) {
        if (strcmp(file, files[i]) == 0) {
            return true;
        }
    }
    return false;
}

/* Calls the owner back and frees the transaction. */
static void
answer(struct pg *pg, struct pg_txn *t, int err)
{
    t->reply.err = err;
    t->reply.results = t->results;
    t->reply.n = t->result_n;
    pg->pending--;
    t->fn(t->arg, &t->reply);
    pg_txn_free(t);
}

static void
take_error(struct pg_txn *t, const PGresult *res)
{
    const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);
    const char *text = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);

    if (t->failed == 0) {
        snprintf(t->reply.sqlstate, sizeof(t->reply.sqlstate), "%s", state ? state : "");
        snprintf(t->reply.detail, sizeof(t->reply.detail), "%s",
                 text ? text : PQresultErrorMessage(res));
        t->failed = state ? err_of_sqlstate(state) : ERR_UNAVAILABLE;
        if (t->failed == ERR_INTERNAL && is_storage(res)) {
            t->failed = ERR_UNAVAILABLE;
        }
    }
}

static void
forget_prepared(struct pg *pg, const struct pg_stmt *stmt)
{
    for (int i = 0; i < pg->prepared_n; i++) {
        if (pg->prepared[i] == stmt) {
            pg->prepared[i] = pg->prepared[--pg->prepared_n];
            return;
        }
    }
}

static void
take_result(struct pg *pg, struct item *it, PGresult *res)
{
    ExecStatusType status = PQresultStatus(res);
    bool ok = status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;

    it->got = true;
    if (status == PGRES_FATAL_ERROR) {
        take_error(it->txn, res);
    }
    if (it->kind == ITEM_PREPARE) {
        if (!ok) {
            forget_prepared(pg, it->stmt);
        }
        PQclear(res);
        return;
    }
    it->txn->results[it->txn->result_n++] = res;
}

/* Reads what has arrived. False if the connection is gone. */
static bool
read_results(struct pg *pg)
{
    PGnotify *note;

    if (!PQconsumeInput(pg->conn)) {
        return false;
    }
    pg->reading = true;
    while (pg->item_n > 0 && !pg->lost && !PQisBusy(pg->conn)) {
        struct item *it = first_item(pg);
        PGresult *res = PQgetResult(pg->conn);
        if (res == NULL) {
            if (it->kind == ITEM_SYNC || !it->got) {
                break;
            }
            pop_item(pg);
        } else if (it->kind == ITEM_SYNC && PQresultStatus(res) == PGRES_PIPELINE_SYNC) {
            struct pg_txn *t = it->txn;
            PQclear(res);
            pop_item(pg);
            if (t->failed == 0 && t->name != NULL && FAULT_AT("after_commit", t->name)) {
                t->failed = ERR_UNAVAILABLE;
            }
            answer(pg, t, t->failed);
        } else if (it->kind != ITEM_SYNC) {
            take_result(pg, it, res);
        } else {
            PQclear(res); /* a fatal error outside of any statement: the socket will tell */
            break;
        }
    }
    while (!pg->lost && (note = PQnotifies(pg->conn)) != NULL) {
        if (pg->events.notify != NULL) {
            pg->events.notify(pg->events.arg, note->relname, note->extra);
        }
        PQfreemem(note);
    }
    pg->reading = false;
    return !pg->lost && PQstatus(pg->conn) == CONNECTION_OK;
}

static void
lose_now(void *arg)
{
    struct pg *pg = arg;
    pg->lose_timer = NULL;
    drop(pg);
}

/* The connection turned out to be gone while somebody calls us: answer them from the loop. */
static void
lose(struct pg *pg)
{
    if (!pg->lost) {
        pg->lost = true;
        pg->lose_timer = loop_timer(pg->loop, 0, 0, lose_now, pg);
    }
}

static void
flush(struct pg *pg)
{
    int left = pg->lost ? 0 : PQflush(pg->conn);

    if (left < 0) {
        lose(pg);
    } else if (pg->watch != NULL) {
        loop_watch_events(pg->watch, LOOP_IN | (left ? LOOP_OUT : 0));
    }
}

/* --- sending -------------------------------------------------------------------------------- */

static bool
is_prepared(const struct pg *pg, const struct pg_stmt *stmt)
{
    for (int i = 0; i < pg->prepared_n; i++) {
        if (pg->prepared[i] == stmt) {
            return true;
        }
    }
    return false;
}

static bool
send_stmt(struct pg *pg, struct pg_txn *t, int i)
{
    const struct pg_stmt *stmt = t->stmts[i].stmt;
    const struct pg_stmt unnamed = {"", fault_sql(stmt->sql)};
    const char *values[PG_MAX_PARAMS];
    int lengths[PG_MAX_PARAMS], formats[PG_MAX_PARAMS];
    int n = t->stmts[i].param_n;

    if (unnamed.sql != stmt->sql) { /* a safeguard in it is taken away: for this once */
        stmt = &unnamed;
    }
    if (!is_prepared(pg, stmt)) {
        if (!PQsendPrepare(pg->conn, stmt->name, stmt->sql, 0, NULL)) {
            return false;
        }
        if (stmt->name[0] != '\0') { /* the unnamed statement is overwritten by the next */
            assert(pg->prepared_n < MAX_PREPARED);
            pg->prepared[pg->prepared_n++] = stmt;
        }
        push_item(pg, (struct item){.kind = ITEM_PREPARE, .txn = t, .stmt = t->stmts[i].stmt});
    }
    for (int k = 0; k < n; k++) {
        const struct pg_param *p = &t->params[t->stmts[i].param_first + k];
        values[k] = p->null ? NULL : t->bytes.p + p->at;
        lengths[k] = (int)p->n;
        formats[k] = 1;
    }
    if (!PQsendQueryPrepared(pg->conn, stmt->name, n, values, lengths, formats, 1)) {
        return false;
    }
    push_item(pg, (struct item){.kind = ITEM_QUERY, .txn = t, .stmt = t->stmts[i].stmt});
    return true;
}

/* A statement of no result, for the fault that takes a commit away. */
static bool
send_word(struct pg *pg, struct pg_txn *t, const char *sql)
{
    if (!PQsendQueryParams(pg->conn, sql, 0, NULL, NULL, NULL, NULL, 1)) {
        return false;
    }
    push_item(pg, (struct item){.kind = ITEM_PREPARE, .txn = t});
    return true;
}

/* Queues the whole transaction at libpq. What cannot be queued means that the connection is lost:
 * the SYNC item is pushed all the same, so that drop() finds and answers the transaction. */
static void
send_txn(struct pg *pg, struct pg_txn *t)
{
    bool undone = t->name != NULL && FAULT_AT("uncommitted", t->name);
    bool ok = !undone || send_word(pg, t, "begin");

    t->sent_ms = clock_ms();
    for (int i = 0; i < t->stmt_n && ok; i++) {
        ok = send_stmt(pg, t, i);
    }
    ok = ok && (!undone || send_word(pg, t, "rollback")) && PQpipelineSync(pg->conn);
    push_item(pg, (struct item){.kind = ITEM_SYNC, .txn = t});
    if (!ok) {
        lose(pg);
    }
}

void
pg_commit_as(struct pg_txn **t_p, pg_done_fn *fn, void *arg, const char *name)
{
    struct pg_txn *t = *t_p;
    struct pg *pg = t->pg;

    *t_p = NULL;
    t->fn = fn;
    t->arg = arg;
    t->name = name;
    t->next = NULL;
    t->sent_ms = clock_ms();
    pg->pending++;
    if (FAULT_AT("before_commit", name)) {
        t->failed = ERR_UNAVAILABLE; /* waits, and is answered so by the watchdog */
    } else if (pg->state == STATE_UP && !pg->lost) {
        send_txn(pg, t);
        flush(pg);
        return;
    }
    *pg->waiting_tail = t;
    pg->waiting_tail = &t->next;
}

static void
send_waiting(struct pg *pg)
{
    while (pg->waiting != NULL && !pg->lost) {
        struct pg_txn *t = pg->waiting;
        pg->waiting = t->next;
        if (pg->waiting == NULL) {
            pg->waiting_tail = &pg->waiting;
        }
        if (t->failed != 0) {
            answer(pg, t, t->failed);
        } else {
            send_txn(pg, t);
        }
    }
    flush(pg);
}

/* Once a second: answers what has waited too long, gives up a connection that does not answer. */
static void
watchdog(void *arg)
{
    struct pg *pg = arg;
    struct item *it = first_item(pg);
    int64_t now = clock_ms();

    while (pg->waiting != NULL &&
           (pg->waiting->failed != 0 || now - pg->waiting->sent_ms >= PG_WAIT_MS)) {
        struct pg_txn *t = pg->waiting;
        pg->waiting = t->next;
        if (pg->waiting == NULL) {
            pg->waiting_tail = &pg->waiting;
        }
        answer(pg, t, ERR_UNAVAILABLE);
    }
    if (it != NULL && now - it->txn->sent_ms > PG_ANSWER_MS) {
        drop(pg);
    }
}

/* --- the connection ------------------------------------------------------------------------- */

static void
reconnect_later(struct pg *pg)
{
    loop_cancel(pg->loop, &pg->timer);
    pg->timer = loop_timer(pg->loop, pg->backoff_ms, 0, connect_start, pg);
    pg->backoff_ms = pg->backoff_ms * 2 > RECONNECT_MAX_MS ? RECONNECT_MAX_MS : pg->backoff_ms * 2;
}

static void
close_conn(struct pg *pg)
{
    loop_unwatch(pg->loop, &pg->watch);
    loop_cancel(pg->loop, &pg->timer);
    if (pg->conn != NULL) {
        PQfinish(pg->conn);
        pg->conn = NULL;
    }
    pg->prepared_n = 0;
}

/* The connection is lost: everything on its way has an unknown outcome. */
static void
drop(struct pg *pg)
{
    bool was_up = pg->state == STATE_UP;

    assert(!pg->reading);
    pg->lost = false;
    loop_cancel(pg->loop, &pg->lose_timer);
    pg->state = STATE_DOWN;
    close_conn(pg);
    reconnect_later(pg);
    while (pg->item_n > 0) {
        struct item it = *first_item(pg);
        pop_item(pg);
        if (it.kind == ITEM_SYNC) {
            answer(pg, it.txn, ERR_UNAVAILABLE);
        }
    }
    if (was_up && pg->events.down != NULL) {
        pg->events.down(pg->events.arg);
    }
}

static void
refuse(struct pg *pg, const char *why)
{
    if (pg->events.refused != NULL) {
        pg->events.refused(pg->events.arg, why);
    }
}

static void
checked(void *arg, const struct pg_reply *r)
{
    struct pg *pg = arg;
    char why[160];

    if (r->err == 0 && pg->schema_version == 0) {
        return;
    }
    if (r->err != 0 && strcmp(r->sqlstate, "42P01") == 0) {
        refuse(pg, "the database has no schema of fte yet: run fte migrate");
    } else if (r->err == 0 && pg_int(r->results[0], 0, 0) < pg->schema_version) {
        snprintf(why, sizeof(why),
                 "the database's schema is version %lld and %d is needed: run fte migrate",
                 (long long)pg_int(r->results[0], 0, 0), pg->schema_version);
        refuse(pg, why);
    } else if (r->err == 0) {
        return; /* on_socket() sees that the check is over, and goes up */
    }
    lose(pg);
}

static void
become_up(struct pg *pg)
{
    static const struct pg_stmt version = {
        "schema_version", "select coalesce(max(version), 0)::bigint from schema_migrations"};
    struct pg_txn *t = pg_begin(pg);

    if (PQserverVersion(pg->conn) < PG_MIN_SERVER) {
        refuse(pg, "the server is older than PostgreSQL 15");
        pg_txn_free(t);
        lose(pg);
        return;
    }
    pg->state = STATE_CHECKING;
    if (pg->schema_version > 0) {
        pg_stmt(t, &version);
    }
    t->fn = checked;
    t->arg = pg;
    pg->pending++;
    for (int i = 0; i < pg->listen_n; i++) {
        pg_txn_listen(t, pg->listen[i]);
    }
    send_txn(pg, t);
    flush(pg);
}

static void
connect_step(struct pg *pg, PostgresPollingStatusType status)
{
    const char *text;

    loop_unwatch(pg->loop, &pg->watch);
    switch (status) {
    case PGRES_POLLING_READING:
    case PGRES_POLLING_WRITING:
        pg->watch =
            loop_watch_fd(pg->loop, PQsocket(pg->conn),
                          status == PGRES_POLLING_READING ? LOOP_IN : LOOP_OUT, on_socket, pg);
        return;
    case PGRES_POLLING_OK:
        loop_cancel(pg->loop, &pg->timer);
        pg->watch = loop_watch_fd(pg->loop, PQsocket(pg->conn), LOOP_IN, on_socket, pg);
        if (PQsetnonblocking(pg->conn, 1) == 0 && PQenterPipelineMode(pg->conn) == 1) {
            become_up(pg);
            return;
        }
        break;
    case PGRES_POLLING_FAILED:
    case PGRES_POLLING_ACTIVE:
        break;
    }
    /* 28: wrong user or password, 3D: no such database. Waiting doesn't cure these at the start. */
    text = PQerrorMessage(pg->conn);
    if (strstr(text, "authentication failed") != NULL || strstr(text, "does not exist") != NULL) {
        refuse(pg, strstr(text, "authentication failed") ? "user or password refused"
                                                         : "the database or user does not exist");
    }
    drop(pg);
}

static void
connect_timeout(void *arg)
{
    struct pg *pg = arg;
    pg->timer = NULL;
    drop(pg);
}

static void
quiet_notice(void *arg, const PGresult *res)
{
    (void)arg;
    (void)res;
}

static void
connect_start(void *arg)
{
    struct pg *pg = arg;
    const char *keys[] = {"connect_timeout",
                          "tcp_user_timeout",
                          "keepalives_idle",
                          "application_name",
                          "options",
                          "dbname",
                          NULL};
    const char *values[] = {"5",
                            "10000",
                            "10",
                            "fte",
                            "-c statement_timeout=10s -c idle_in_transaction_session_timeout=15s "
                            "-c timezone=UTC" PLANNER,
                            pg->url,
                            NULL};

    pg->timer = NULL;
    pg->state = STATE_CONNECTING;
    pg->conn = PQconnectStartParams(keys, values, 1);
    if (pg->conn == NULL || PQstatus(pg->conn) == CONNECTION_BAD) {
        drop(pg);
        return;
    }
    PQsetNoticeReceiver(pg->conn, quiet_notice, NULL);
    pg->timer = loop_timer(pg->loop, CONNECT_MS, 0, connect_timeout, pg);
    connect_step(pg, PGRES_POLLING_WRITING);
}

static void
on_socket(void *arg, int events)
{
    struct pg *pg = arg;

    if (pg->state == STATE_CONNECTING) {
        connect_step(pg, PQconnectPoll(pg->conn));
        return;
    }
    if (events & LOOP_OUT) {
        flush(pg);
    }
    if (pg->lost || !read_results(pg)) {
        drop(pg);
    } else if (pg->state == STATE_CHECKING && pg->item_n == 0) {
        pg->state = STATE_UP;
        pg->backoff_ms = RECONNECT_MIN_MS;
        if (pg->events.up != NULL) {
            pg->events.up(pg->events.arg);
        }
        send_waiting(pg);
    } else if (pg->state == STATE_UP) {
        flush(pg);
    }
}

struct pg *
pg_open(struct loop *loop, const char *url, int schema_version, const struct pg_events *events)
{
    struct pg *pg = xcalloc(1, sizeof(*pg));

    pg->loop = loop;
    pg->url = xstrdup(url);
    pg->schema_version = schema_version;
    if (events != NULL) {
        pg->events = *events;
    }
    pg->backoff_ms = RECONNECT_MIN_MS;
    pg->waiting_tail = &pg->waiting;
    pg->watchdog = loop_timer(loop, 500, 500, watchdog, pg);
    pg->timer = loop_timer(loop, 0, 0, connect_start, pg);
    return pg;
}

void
pg_close(struct pg **pg_p)
{
    struct pg *pg = *pg_p;

    if (pg == NULL) {
        return;
    }
    *pg_p = NULL;
    pg->events = (struct pg_events){0};
    drop(pg);
    close_conn(pg);
    loop_cancel(pg->loop, &pg->watchdog);
    while (pg->waiting != NULL) {
        struct pg_txn *t = pg->waiting;
        pg->waiting = t->next;
        answer(pg, t, ERR_UNAVAILABLE);
    }
    free(pg->items);
    free(pg->url);
    free(pg);
}

bool
pg_is_up(const struct pg *pg)
{
    return pg->state == STATE_UP;
}

size_t
pg_pending(const struct pg *pg)
{
    return pg->pending;
}

void
pg_listen(struct pg *pg, const char *channel)
{
    assert(pg->listen_n < MAX_LISTEN);
    pg->listen[pg->listen_n++] = channel;
    if (pg->state == STATE_UP) {
        drop(pg); /* rare: said after the connection; the next one listens */
    }
}

bool
pg_wait(struct pg *pg, int64_t timeout_ms)
{
    int64_t end = clock_ms() + timeout_ms;

    while (pg->pending > 0 && clock_ms() < end) {
        loop_turn(pg->loop, end - clock_ms());
    }
    return pg->pending == 0;
}
