/* health - is this process alive, can the system take a message, and what has it counted. */
#include "actors/ingress/ingress.h"

#include "db/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEALTH_MS 2000
#define METERS_MS 500

struct health_errand {
    struct errand errand;
    struct ingress *in;
    struct buf why; /* what is missing, each followed by "; " */
    unsigned asked; /* questions that have no answer yet */
};

static void
destroy(struct errand *e)
{
    struct health_errand *h = (struct health_errand *)e;

    buf_fini(&h->why);
    free(h);
}

static struct health_errand *
health_new(struct ingress *in, void (*begin)(struct errand *e, void *context))
{
    struct health_errand *h = xcalloc(1, sizeof(*h));

    h->errand.begin = begin;
    h->errand.destroy = destroy;
    h->in = in;
    return h;
}

/* --- alive ----------------------------------------------------------------------------------- */

static void
begin_alive(struct errand *e, void *context)
{
    (void)context;
    errand_done(e, 0);
}

/* The loop turns: that is all that a restart could mend. */
void
health_alive(struct ingress *in, struct request *r, struct answer *a)
{
    struct health_errand *h = health_new(in, begin_alive);
    int err = desk_ask(in->desk, &h->errand, HEALTH_MS);

    (void)r;
    answer_json(a, err == 0 ? 200 : 503,
                json_pack("{ss}", "status", err == 0 ? "alive" : "not answering"));
    errand_release(&h->errand);
}

/* --- ready ----------------------------------------------------------------------------------- */

/* The supervisor's own word (supervisor/control.h): "ready", or what is missed. Without a
 * supervisor there is no file, and nothing to say. */
static void
ask_supervisor(struct health_errand *h)
{
    struct buf path = {0};
    char line[256] = "";
    FILE *f;

    buf_printf(&path, "%s/ready", h->in->state_dir);
    f = fopen(buf_c(&path), "re");
    buf_fini(&path);
    if (f == NULL) {
        return;
    }
    if (fgets(line, sizeof(line), f) == NULL || strncmp(line, "ready", 5) != 0) {
        line[strcspn(line, "\n")] = '\0';
        buf_printf(&h->why, "supervisor: %s; ", line[0] ? line : "not ready");
    }
    fclose(f);
}

static void
on_edge(struct actor *self, void *arg, int err, const msgpack_object *body)
{
    struct health_errand *h = arg;

    (void)self;
    (void)body;
    if (err != 0) {
        buf_printf(&h->why, "edge: %s; ", err_str(err));
    }
    errand_done(&h->errand, 0);
}

static void
begin_ready(struct errand *e, void *context)
{
    struct health_errand *h = (struct health_errand *)e;
    struct ingress *in = context;
    struct buf ask = {0};
    msgpack_packer pk;

    ask_supervisor(h);
    if (!pg_is_up(in->pg)) {
        buf_add_c(&h->why, "database: unavailable; ");
    }
    if (!actor_connected(in->self)) {
        buf_add_c(&h->why, "router: unavailable; ");
        errand_done(e, 0);
        return;
    }
    msgpack_packer_init(&pk, &ask, buf_msgpack_write);
    msgpack_pack_map(&pk, 1);
    pack_key(&pk, "verb");
    pack_c(&pk, "stats");
    actor_call(in->self, "edge", buf_str(&ask), 1000, on_edge, h);
    buf_fini(&ask);
}

void
health_ready(struct ingress *in, struct request *r, struct answer *a)
{
    struct health_errand *h = health_new(in, begin_ready);
    int err = desk_ask(in->desk, &h->errand, HEALTH_MS);

    (void)r;
    if (err == 0 && h->why.n == 0) {
        answer_json(a, 200, json_pack("{ss}", "status", "ready"));
    } else if (err == 0) {
        h->why.n -= 2; /* the last "; " */
        answer_problem(a, 503, buf_c(&h->why), NULL);
        answer_header(a, "Retry-After", "1");
    } else {
        answer_problem(a, 503, "ingress: its loop does not answer", NULL);
        answer_header(a, "Retry-After", "1");
    }
    errand_release(&h->errand);
}

/* --- metrics --------------------------------------------------------------------------------- */

static void
answered(struct health_errand *h)
{
    if (--h->asked == 0) {
        errand_done(&h->errand, 0);
    }
}

/* All that the router counts; its generation is none of it. */
static void
on_router(struct actor *self, void *arg, int err, const msgpack_object *body)
{
    struct health_errand *h = arg;

    (void)self;
    for (uint32_t i = 0; err == 0 && i < body->via.map.size; i++) {
        const msgpack_object_kv *pair = &body->via.map.ptr[i];
        struct str name = {.p = pair->key.via.str.ptr, .n = pair->key.via.str.size};
        if (pair->val.type == MSGPACK_OBJECT_POSITIVE_INTEGER && !str_is(name, "generation")) {
            meter_router(h->in->meter, name, (double)pair->val.via.u64);
        }
    }
    answered(h);
}

static void
take_lags(struct meter *meter, const msgpack_object *lags)
{
    meter_lags_forget(meter);
    for (uint32_t i = 0; lags != NULL && i < lags->via.array.size; i++) {
        double partition, lag;
        if (map_float(&lags->via.array.ptr[i], "partition", &partition) &&
            map_float(&lags->via.array.ptr[i], "lag", &lag)) {
            meter_lag(meter, TOPIC_INCOMING, (int)partition, lag);
        }
    }
}

static void
on_totals(struct actor *self, void *arg, int err, const msgpack_object *body)
{
    struct health_errand *h = arg;
    const msgpack_object *totals = err == 0 ? map_array(body, "totals") : NULL;

    (void)self;
    take_lags(h->in->meter, err == 0 ? map_array(body, "lags") : NULL);
    for (uint32_t i = 0; totals != NULL && i < totals->via.array.size; i++) {
        const msgpack_object *total = &totals->via.array.ptr[i];
        struct str channel = map_str(total, "channel");
        struct str name = map_str(total, "name");
        double value;
        if (channel.p != NULL && name.p != NULL && map_float(total, "value", &value)) {
            meter_total(h->in->meter, channel, name, value);
        }
    }
    answered(h);
}

static void
begin_meters(struct errand *e, void *context)
{
    struct health_errand *h = (struct health_errand *)e;
    struct ingress *in = context;
    struct buf ask = {0};
    msgpack_packer pk;

    msgpack_packer_init(&pk, &ask, buf_msgpack_write);
    msgpack_pack_map(&pk, 0);
    h->asked = 2;
    actor_call(in->self, "metrics", buf_str(&ask), METERS_MS, on_totals, h);
    actor_call(in->self, "router", buf_str(&ask), METERS_MS, on_router, h);
    buf_fini(&ask);
}

/* Without the metrics actor its figures stay as they were, but for the log's lag; ours are always
 * there. */
void
health_meters(struct ingress *in, struct request *r, struct answer *a)
{
    struct health_errand *h = health_new(in, begin_meters);

    (void)r;
    desk_ask(in->desk, &h->errand, HEALTH_MS);
    errand_release(&h->errand);
    a->status = 200;
    a->type = "text/plain; version=0.0.4; charset=utf-8";
    meter_write(in->meter, &a->body);
}
