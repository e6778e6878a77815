#include "actors/ingress/server.h"

#include "proto/runtime/loop.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define LINGER_MS 200

struct server {
    struct server_settings set;
    struct mg_context *mg;
};

static struct patience_entry *
entry_of(const struct mg_connection *conn)
{
    return mg_get_user_connection_data(conn);
}

/* Writes the answer; true if the connection may go on. */
static bool
write_answer(struct server *s, struct mg_connection *conn, struct answer *a, bool head_only)
{
    struct patience_entry *e = entry_of(conn);
    struct buf out = {0};
    bool tight;
    bool keep;

    meter_connections(s->set.meter, patience_open(s->set.patience, &tight));
    keep = !a->close && !tight && !patience_ended(s->set.patience, e);
    answer_encode(a, head_only, keep, &out);
    if (!keep) {
        mg_disable_connection_keep_alive(conn);
    }
    mg_write(conn, out.p, out.n);
    buf_fini(&out);
    return keep;
}

/* CivetWeb's "handle everything" callback: a worker's thread has read a request's head. */
static int
on_request(struct mg_connection *conn)
{
    const struct mg_request_info *info = mg_get_request_info(conn);
    struct server *s = info->user_data;
    struct patience_entry *e = entry_of(conn);
    int64_t start_us = clock_unix_us();
    struct answer a = {0};
    const char *route = "refused";
    struct refusal bad;
    struct request r;

    patience_name(s->set.patience, e, info->remote_addr, info->remote_port);
    patience_phase(s->set.patience, e, PATIENCE_WORK, clock_ms());
    bad = request_init(conn, info, s->set.proxies, &r);
    if (bad.status == 0 && !request_head_whole(info)) {
        bad = (struct refusal){400, "The request's head has a line that is no header."};
    }
    if (bad.status == 0) {
        route = s->set.serve(s->set.context, &r, &a);
    } else {
        s->set.refuse(&r, &a, bad.status, bad.detail);
        a.close = true;
    }
    /* Unread bytes can't be told from the next request's: such a connection ends; and so does one
     * of a client that says nothing but what it wants. */
    a.close = a.close || info->num_headers == 0 || (r.has_length && r.body.n < r.length) ||
              request_header(&r, "Transfer-Encoding") != NULL;
    if (!write_answer(s, conn, &a, r.head_only)) {
        patience_phase(s->set.patience, e, PATIENCE_BODY, clock_ms());
        request_drain(&r);
    }
    meter_request(s->set.meter, route, a.status, (double)(clock_unix_us() - start_us) / 1e6);
    patience_phase(s->set.patience, e, PATIENCE_IDLE, clock_ms());
    request_fini(&r);
    answer_fini(&a);
    return a.status;
}

/* CivetWeb doesn't know TRACE, for instance; we do, and say which methods there are. Headers have
 * not been read then. */
static bool
is_other_method(const struct mg_request_info *info)
{
    static const char *const served[] = {"GET", "HEAD", "POST"};

    if (info == NULL || info->request_method == NULL || info->request_uri == NULL ||
        info->num_headers > 0) {
        return false;
    }
    for (size_t i = 0; i < sizeof(served) / sizeof(served[0]); i++) {
        if (strcmp(info->request_method, served[i]) == 0) {
            return false;
        }
    }
    return true;
}

/* CivetWeb itself says no: a head that it can't read, or that is too long or too slow. */
static int
on_error(struct mg_connection *conn, int status, const char *message)
{
    struct server *s = mg_get_user_data(mg_get_context(conn));
    struct answer a = {.close = true};
    const char *detail =
        "The request's head could not be understood, or has more than 16384 bytes.";
    const struct mg_request_info *info = mg_get_request_info(conn);
    int64_t age_ms = patience_age(s->set.patience, entry_of(conn), clock_ms());

    /* CivetWeb's word for what is too slow, too long or not HTTP. */
    bool malformed = strcmp(message, "Malformed message") == 0;

    if (malformed && age_ms >= patience_limit(PATIENCE_HEAD, true)) {
        status = 408;
        detail = "The request did not arrive in time.";
    } else if (status == 411) {
        status = 400;
        detail = "Content-Length must be a whole number.";
    }
    if (is_other_method(info)) {
        struct request r = {.conn = conn, .info = info};
        r.path = (struct str){info->request_uri, strcspn(info->request_uri, "?")};
        s->set.serve(s->set.context, &r, &a);
        status = a.status;
    } else {
        answer_problem(&a, status, detail, NULL);
    }
    write_answer(s, conn, &a, false);
    if (malformed) {
        /* What is left of a head that is too long must not take the answer with it. */
        patience_name(s->set.patience, entry_of(conn), info->remote_addr, info->remote_port);
        patience_linger(s->set.patience, entry_of(conn), LINGER_MS);
    }
    meter_request(s->set.meter, "refused", status, 0);
    answer_fini(&a);
    return 0;
}

/* Here CivetWeb doesn't tell anything of the connection yet. */
static int
on_connect(const struct mg_connection *conn, void **data)
{
    struct server *s = mg_get_user_data(mg_get_context(conn));

    *data = patience_enter(s->set.patience, clock_ms());
    return 0;
}

static void
on_close(const struct mg_connection *conn)
{
    struct server *s = mg_get_user_data(mg_get_context(conn));

    patience_leave(s->set.patience, entry_of(conn));
}

/* Its words can hold what a client sent; what matters comes back as an error of ours. */
static int
on_log(const struct mg_connection *conn, const char *message)
{
    (void)conn;
    (void)message;
    return 1;
}

/* CivetWeb only says that it can't listen: the system knows why. */
static void
explain(const struct server_settings *settings, const char *said, struct buf *ret_why)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)settings->port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int on = 1;

    inet_pton(AF_INET, settings->bind, &a.sin_addr);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(fd, (struct sockaddr *)&a, sizeof(a)) != 0 || listen(fd, 1) != 0) {
        said = strerror(errno);
    }
    buf_add_c(ret_why, said);
    close(fd);
}

static struct mg_context *
listen_on(struct server *s, char *why, size_t why_size)
{
    static const struct mg_callbacks callbacks = {
        .begin_request = on_request,
        .http_error = on_error,
        .init_connection = on_connect,
        .connection_close = on_close,
        .log_message = on_log,
    };
    char listen_to[64], threads[16];
    const char *options[] = {"listening_ports",
                             listen_to,
                             "num_threads",
                             threads,
                             "request_timeout_ms",
                             "5000",
                             "keep_alive_timeout_ms",
                             "15000",
                             "enable_keep_alive",
                             "yes",
                             "listen_backlog",
                             "512",
                             "tcp_nodelay",
                             "1",
                             "max_request_size",
                             "16384",
                             "decode_url",
                             "no",
                             "connection_queue",
                             "256",
                             NULL};
    struct mg_init_data init = {
        .callbacks = &callbacks, .user_data = s, .configuration_options = options};
    struct mg_error_data error = {.text = why, .text_buffer_size = why_size};

    snprintf(listen_to, sizeof(listen_to), "%s:%d", s->set.bind, s->set.port);
    snprintf(threads, sizeof(threads), "%u", s->set.threads);
    return mg_start2(&init, &error);
}

struct server *
server_start(const struct server_settings *settings, struct buf *ret_why)
{
    struct server *s = xcalloc(1, sizeof(*s));
    char why[256] = "";

    s->set = *settings;
    mg_init_library(0);
    s->mg = listen_on(s, why, sizeof(why));
    if (s->mg == NULL) {
        explain(settings, why, ret_why);
        mg_exit_library();
        free(s);
        return NULL;
    }
    return s;
}

void
server_stop(struct server **s_p)
{
    if (*s_p != NULL) {
        patience_end_all((*s_p)->set.patience);
        mg_stop((*s_p)->mg);
        mg_exit_library();
        free(*s_p);
        *s_p = NULL;
    }
}

struct refusal
server_read_body(struct server *s, struct request *r)
{
    struct patience_entry *e = entry_of(r->conn);
    struct refusal bad = request_check_body(r);

    if (bad.status == 0) {
        patience_phase(s->set.patience, e, PATIENCE_BODY, clock_ms());
        bad = request_read_body(r);
        patience_phase(s->set.patience, e, PATIENCE_WORK, clock_ms());
    }
    return bad;
}
