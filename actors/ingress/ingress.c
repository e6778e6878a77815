/* ingress - where people and programs reach us: HTTP in, the log out.
 *
 *   browser, program --HTTP--> ingress --CALL edge {append}--> (log) ... --> status page <--
 * database
 *
 * No 2xx before the log has the message. A crash between the log's commit and our answer leaves the
 * client without one: it sends again under the same submission_id and is given the first answer.
 *
 * The gate's thread holds the connections and reads requests until they are whole; the server's
 * threads check and answer them; the loop's thread owns the router and the database; between these
 * is the desk.
 */
#include "actors/ingress/ingress.h"

#include "actors/ingress/append.h"
#include "actors/ingress/page.h"
#include "db/actor_pg.h"

#include <arpa/inet.h>
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

/* Requests of any kind that an address may make: so many a second, or, where FTE_RATE_LIMIT allows
 * more than that many looks, those. */
#define FLOOD_SECOND 50
#define FLOOD_WINDOW_MS 2000

static int ingress_init(struct actor *self);
static void ingress_drain(struct actor *self);
static bool ingress_drained(struct actor *self);
static void ingress_fini(struct actor *self);

static bool
is_ipv4(const char *value, struct buf *ret_why)
{
    struct in_addr address;

    (void)ret_why;
    return inet_pton(AF_INET, value, &address) == 1;
}

static const struct option options[] = {
    DATABASE_OPTION,
    {.name = "FTE_HTTP_BIND",
     .type = OPTION_TEXT,
     .value_default = "127.0.0.1",
     .min = 7,
     .max = 15,
     .allowed = "an IPv4 address, such as 127.0.0.1",
     .valid = is_ipv4,
     .help = "The IPv4 address that HTTP is served on; 0.0.0.0 is all of them."},
    {.name = "FTE_HTTP_PORT",
     .type = OPTION_PORT,
     .value_default = "8080",
     .min = 1,
     .max = 65535,
     .help = "The port that HTTP is served on."},
    {.name = "FTE_HTTP_THREADS",
     .type = OPTION_INT,
     .value_default = "128",
     .min = 4,
     .max = 1024,
     .help = "Requests that are worked on at the same time."},
    {.name = "FTE_HTTP_CONNECTIONS",
     .type = OPTION_INT,
     .value_default = "8192",
     .min = 64,
     .max = 100000,
     .help = "Connections that are open at the same time; fewer where the system allows fewer "
             "descriptors."},
    {.name = "FTE_HTTP_PER_ADDRESS",
     .type = OPTION_INT,
     .value_default = "256",
     .min = 0,
     .max = 100000,
     .help = "Connections from one network address at the same time; 0 = no limit of its own."},
    {.name = "FTE_PUBLIC_URL",
     .type = OPTION_URL,
     .value_default = "",
     .choices = "http|https",
     .min = 8,
     .max = 500,
     .help = "What the addresses that programs are given begin with; without it they are paths."},
    {.name = "FTE_LINK_SECRET",
     .type = OPTION_TEXT,
     .value_default = "",
     .min = TOKEN_SECRET_MIN,
     .max = TOKEN_SECRET_MAX,
     .secret = true,
     .help = "Key of the addresses of status pages; without it one is made in FTE_STATE_DIR."},
    {.name = "FTE_RATE_LIMIT",
     .type = OPTION_INT,
     .value_default = "60",
     .min = 0,
     .max = 1000000,
     .help =
         "Messages a minute from one network address; looks at pages count a tenth; 0 = no limit."},
    {.name = "FTE_TRUSTED_PROXIES",
     .type = OPTION_INT,
     .value_default = "0",
     .min = 0,
     .max = 8,
     .help = "Proxies in front that append the client's address to X-Forwarded-For."},
    OPTION_END,
};

int
main(int argc, char **argv)
{
    static const struct actor_spec spec = {
        .name = "ingress",
        .options = options,
        .context_size = sizeof(struct ingress),
        .init = ingress_init,
        .drain = ingress_drain,
        .drained = ingress_drained,
        .fini = ingress_fini,
    };

    return actor_run(&spec, argc, argv);
}

/* --- what is answered ------------------------------------------------------------------------ */

/* A row: paths match whole, or, with a tail, by their beginning and end. */
static const struct route {
    const char *name;
    const char *method; /* GET answers HEAD too */
    const char *path;
    const char *tail;
    handler_fn *handler;
} routes[] = {
    {"form", "GET", "/", NULL, submit_form},
    {"submit", "POST", SUBMIT_PATH, NULL, submit_post},
    {"reply", "POST", STATUS_PATH, "/reply", reply_post},
    {"status", "GET", STATUS_PATH, "", status_get},
    {"healthz", "GET", "/healthz", NULL, health_alive},
    {"readyz", "GET", "/readyz", NULL, health_ready},
    {"metrics", "GET", "/metrics", NULL, health_meters},
};

static bool
route_matches(const struct route *route, struct str path)
{
    size_t n = strlen(route->path);
    struct str rest;

    if (route->tail == NULL) {
        return str_is(path, route->path);
    }
    if (path.n <= n || memcmp(path.p, route->path, n) != 0) {
        return false;
    }
    rest = (struct str){path.p + n, path.n - n};
    const char *slash = memchr(rest.p, '/', rest.n);
    size_t at = slash != NULL ? (size_t)(slash - rest.p) : rest.n;
    return at > 0 && str_is((struct str){rest.p + at, rest.n - at}, route->tail);
}

static bool
serve_asset(struct request *r, struct answer *a)
{
    static const char prefix[] = "/assets/";
    struct str name = r->path;

    if (name.n > sizeof(prefix) - 1 && memcmp(name.p, prefix, sizeof(prefix) - 1) == 0) {
        name.p += sizeof(prefix) - 1;
        name.n -= sizeof(prefix) - 1;
    } else if (!str_is(name, "/openapi.yaml")) {
        return false;
    } else {
        name.p++;
        name.n--;
    }
    return page_asset(a, name);
}

static bool
method_is(const char *method, const struct request *r)
{
    return strcmp(method, r->heading->method) == 0 || (r->head_only && strcmp(method, "GET") == 0);
}

static const char *
serve(void *context, struct request *r, struct answer *a)
{
    const struct route *found = NULL;
    struct answer asset = {0};

    for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {
        if (route_matches(&routes[i], r->path)) {
            found = &routes[i];
        }
    }
    if (found != NULL && method_is(found->method, r)) {
        found->handler(context, r, a);
        return found->name;
    }
    bool is_asset = found == NULL && serve_asset(r, &asset);
    if (is_asset && method_is("GET", r)) {
        *a = asset;
        return "asset";
    }
    answer_fini(&asset);
    if (found != NULL || is_asset) {
        bool get = is_asset || strcmp(found->method, "GET") == 0;
        refuse(r, a, 405, "This address does not know that method.");
        answer_header(a, "Allow", "%s", get ? "GET, HEAD" : "POST");
        return "refused";
    }
    refuse(r, a, 404, "There is no such page.");
    return "refused";
}

void
refuse(const struct request *r, struct answer *a, int status, const char *detail)
{
    if (r->html) {
        page_problem(a, status, detail);
    } else {
        answer_problem(a, status, detail, NULL);
    }
}

void
refuse_for_now(const struct request *r, struct answer *a)
{
    refuse(r, a, 503, "The database does not answer just now. Please try again in a moment.");
    answer_header(a, "Retry-After", "2");
}

/* --- the loop's side ------------------------------------------------------------------------- */

static int
open_settings(struct ingress *in)
{
    struct actor *self = in->self;
    const char *why;

    in->state_dir = actor_text(self, "FTE_STATE_DIR");
    in->public_url = actor_text(self, "FTE_PUBLIC_URL");
    in->proxies = (unsigned)actor_int(self, "FTE_TRUSTED_PROXIES");
    if (token_secret(actor_text(self, "FTE_LINK_SECRET"), in->state_dir, &in->secret, &why) != 0) {
        log_error("bad_setting", "setting=FTE_STATE_DIR why=%s error=%s", log_quote(why),
                  log_quote(strerror(errno)));
        return EX_CONFIG;
    }
    return 0;
}

static void
open_rates(struct ingress *in, uint64_t seed)
{
    unsigned posts = (unsigned)actor_int(in->self, "FTE_RATE_LIMIT");
    unsigned looks_a_second = posts * RATE_POST / RATE_LOOK / 60;
    unsigned flood = looks_a_second > FLOOD_SECOND ? looks_a_second : FLOOD_SECOND;

    in->rate = rate_new(posts, 60 * 1000, seed);
    in->flood =
        rate_new(posts > 0 ? flood * FLOOD_WINDOW_MS / 1000 / RATE_POST : 0, FLOOD_WINDOW_MS, seed);
}

static int
start_server(struct ingress *in)
{
    struct actor *self = in->self;
    struct buf why = {0};
    struct server_settings settings = {
        .gate = {.bind = actor_text(self, "FTE_HTTP_BIND"),
                 .port = (int)actor_int(self, "FTE_HTTP_PORT"),
                 .proxies = in->proxies,
                 .connections = (unsigned)actor_int(self, "FTE_HTTP_CONNECTIONS"),
                 .per_address = (unsigned)actor_int(self, "FTE_HTTP_PER_ADDRESS"),
                 .flood = in->flood,
                 .meter = in->meter,
                 .refuse = refuse},
        .threads = (unsigned)actor_int(self, "FTE_HTTP_THREADS"),
        .serve = serve,
        .context = in,
    };

    in->server = server_start(&settings, &why);
    if (in->server == NULL) {
        log_error("cannot_listen", "setting=FTE_HTTP_PORT address=%s:%d why=%s", settings.gate.bind,
                  settings.gate.port, log_quote(buf_c(&why)));
    } else {
        log_info("listening", "address=%s:%d threads=%u", settings.gate.bind, settings.gate.port,
                 settings.threads);
    }
    buf_fini(&why);
    return in->server != NULL ? 0 : EX_CONFIG;
}

static int
ingress_init(struct actor *self)
{
    struct ingress *in = actor_context(self);
    struct id seed = id_random();
    uint64_t seed_bits;
    int err;

    in->self = self;
    err = open_settings(in);
    if (err != 0) {
        return err;
    }
    mallopt(M_ARENA_MAX, 4); /* else each thread would keep an arena of its own */
    memcpy(&seed_bits, seed.b, sizeof(seed_bits));
    open_rates(in, seed_bits);
    in->meter = meter_new();
    in->desk = desk_open(actor_loop(self), append_flush, server_wait, in);
    in->pg = actor_pg_open(self, NULL, NULL);
    return start_server(in);
}

/* Errands that have begun are finished; new ones are turned away with 503. */
static void
ingress_drain(struct actor *self)
{
    struct ingress *in = actor_context(self);

    desk_drain(in->desk);
}

static bool
ingress_drained(struct actor *self)
{
    struct ingress *in = actor_context(self);

    return desk_idle(in->desk);
}

static void
ingress_fini(struct actor *self)
{
    struct ingress *in = actor_context(self);

    if (in->desk != NULL) {
        desk_close(in->desk);
    }
    server_stop(&in->server);
    pg_close(&in->pg);
    desk_free(&in->desk);
    rate_free(&in->rate);
    rate_free(&in->flood);
    meter_free(&in->meter);
    buf_fini(&in->secret);
}
