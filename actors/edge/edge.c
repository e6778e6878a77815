/* edge - takes messages into the durable log, and sees to it that each of them is done.
 *
 *   ingress --(CALL append)--> edge ==> log ==> edge --(WORK)--> identity ... last stage
 * --(DONE)--> edge
 *
 * Ingress gets its answer after the commit of the log, never before. The edge holds all units that
 * are not settled, gives them to the first stage, and gives them again whenever something in
 * between died: from the first step, since every stage finds what it has stored. After a crash of
 * its own it reads the log again from the stored position, which never runs ahead of what is
 * settled.
 */
#include "actors/edge/edge.h"
#include "actors/edge/options.h"

#include "db/log.h"
#include "proto/err.h"

#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

#define TICK_MS 500
#define DRAIN_MS 10000 /* then the rest is left to the next process: it is in the log */

static int edge_init(struct actor *self);
static void edge_outcome(struct actor *self, const struct head *h, int err, struct str why);
static void edge_router_changed(struct actor *self, uint32_t generation);
static void edge_service_up(struct actor *self, struct str service);
static void edge_drain(struct actor *self);
static bool edge_drained(struct actor *self);
static void edge_fini(struct actor *self);
static void on_up(void *arg);
static void on_down(void *arg, const char *why);
static void on_refused(void *arg, const char *setting, const char *why);
static void on_assigned(void *arg, int32_t partition, int64_t position);
static void on_revoked(void *arg, int32_t partition);
static void on_leave(void *arg, int32_t partition);
static size_t on_room(void *arg, int32_t partition);
static size_t on_in_flight(void *arg);
static void on_record(void *arg, const struct rlog_record *record);
static void on_skip(void *arg, int32_t partition, int64_t offset);
static void on_tick(void *arg);
static void on_hurry(void *arg);

int
main(int argc, char **argv)
{
    static const struct actor_spec spec = {
        .name = "edge",
        .service = "edge",
        .options = edge_options,
        .context_size = sizeof(struct edge),
        .slots = 1024,
        .overlapped = true,
        .init = edge_init,
        .call = edge_call,
        .outcome = edge_outcome,
        .router_changed = edge_router_changed,
        .service_up = edge_service_up,
        .drain = edge_drain,
        .drained = edge_drained,
        .fini = edge_fini,
    };

    return actor_run(&spec, argc, argv);
}

/* A name that only this worker of this node has, and its successor after a restart: Kafka then
 * gives it the same partitions at once. Without a supervisor there is no successor, and no name. */
static void
name_instance(const char *node, char *ret, size_t room)
{
    const char *child = getenv("FTE_CHILD"), *state = getenv("FTE_STATE_DIR");
    char host[256] = "", place[ID_TEXT_SIZE];

    ret[0] = '\0';
    if (child == NULL) {
        return;
    }
    if (node[0] != '\0') {
        snprintf(ret, room, "%s.%s", node, child);
        return;
    }
    gethostname(host, sizeof(host) - 1);
    id_format(id_derive("state directory", str_of(state ? state : "")), place);
    snprintf(ret, room, "%.150s.%.8s.%s", host, place, child);
}

static int
edge_init(struct actor *self)
{
    struct edge *edge = actor_context(self);
    struct rlog_settings settings = {
        .url = actor_text(self, "DATABASE_URL"),
        .topic = TOPIC_INCOMING,
        .kafka = kafka_settings_of_options(edge->instance),
        .lease_ms = actor_int(self, "FTE_EDGE_LEASE"),
        .retention_ms = actor_int(self, "FTE_LOG_RETENTION"),
    };
    struct rlog_events events = {
        .up = on_up,
        .down = on_down,
        .refused = on_refused,
        .assigned = on_assigned,
        .revoked = on_revoked,
        .leave = on_leave,
        .room = on_room,
        .in_flight = on_in_flight,
        .record = on_record,
        .skip = on_skip,
        .arg = edge,
    };

    name_instance(actor_text(self, "FTE_KAFKA_INSTANCE"), edge->instance, sizeof(edge->instance));
    edge->actor = self;
    edge->cap = EDGE_IN_FLIGHT_START;
    edge->deadline_ms = actor_int(self, "FTE_EDGE_DEADLINE");
    actor_hold(self, "database");
    edge->rlog = rlog_backend(actor_text(self, "FTE_LOG_BACKEND"))
                     ->open(actor_loop(self), &settings, &events);
    loop_timer(actor_loop(self), TICK_MS, TICK_MS, on_tick, edge);
    return 0;
}

/* --- the log -------------------------------------------------------------------------------- */

static void
on_up(void *arg)
{
    struct edge *edge = arg;

    edge->is_up = true;
    actor_release(edge->actor);
}

static void
on_down(void *arg, const char *why)
{
    struct edge *edge = arg;

    edge->is_up = false;
    actor_hold(edge->actor, why);
}

static void
on_refused(void *arg, const char *setting, const char *why)
{
    (void)arg;
    log_fatal(EX_CONFIG, "log_refused", "name=%s why=%s", setting, log_quote(why));
}

static void
on_assigned(void *arg, int32_t partition, int64_t position)
{
    struct edge *edge = arg;
    struct partition *p = edge->partitions[partition];

    if (p == NULL) {
        p = edge->partitions[partition] = xcalloc(1, sizeof(*p));
    }
    p->held = true;
    p->leaving = false;
    window_init(&p->window, position);
}

static void
on_revoked(void *arg, int32_t partition)
{
    struct edge *edge = arg;

    edge->partitions[partition]->held = false;
    conversation_drop(edge, partition);
}

static void
on_leave(void *arg, int32_t partition)
{
    struct edge *edge = arg;
    struct partition *p = edge->partitions[partition];

    p->leaving = true;
    if (window_is_empty(&p->window)) {
        p->held = false;
        rlog_release(edge->rlog, partition);
    }
}

static size_t
on_room(void *arg, int32_t partition)
{
    return conversation_room(arg, partition);
}

static size_t
on_in_flight(void *arg)
{
    const struct edge *edge = arg;

    return edge->in_flight;
}

static void
on_record(void *arg, const struct rlog_record *record)
{
    conversation_take(arg, record);
}

static void
on_skip(void *arg, int32_t partition, int64_t offset)
{
    conversation_skip(arg, partition, offset);
}

/* --- the stages ----------------------------------------------------------------------------- */

static void
edge_outcome(struct actor *self, const struct head *h, int err, struct str why)
{
    delivery_outcome(actor_context(self), h, err, why);
}

static void
edge_router_changed(struct actor *self, uint32_t generation)
{
    (void)generation;
    delivery_again(actor_context(self));
}

static void
edge_service_up(struct actor *self, struct str service)
{
    (void)service;
    delivery_service_up(actor_context(self));
}

/* Whatever was held back by a lease that was not renewed in time, or by an absent router. */
static void
on_tick(void *arg)
{
    struct edge *edge = arg;

    delivery_pump(edge);
    if (edge->active < edge->cap) {
        rlog_resume(edge->rlog);
    }
}

/* --- the end -------------------------------------------------------------------------------- */

/* Nothing more is read; what is in flight may end, what waits is left to the next process. */
static void
edge_drain(struct actor *self)
{
    struct edge *edge = actor_context(self);

    edge->draining = true;
    loop_timer(actor_loop(self), DRAIN_MS, 0, on_hurry, edge);
}

static void
on_hurry(void *arg)
{
    struct edge *edge = arg;

    edge->hurried = true;
}

static bool
edge_drained(struct actor *self)
{
    struct edge *edge = actor_context(self);

    if (edge->in_flight > 0 && edge->is_up && !edge->hurried) {
        return false;
    }
    if (!edge->left) {
        edge->left = true;
        rlog_leave(edge->rlog);
    }
    return rlog_idle(edge->rlog) || edge->hurried;
}

static void
edge_fini(struct actor *self)
{
    struct edge *edge = actor_context(self);

    rlog_close(&edge->rlog);
    for (int32_t i = 0; i < RLOG_MAX_PARTITIONS; i++) {
        if (edge->partitions[i] != NULL) {
            conversation_drop(edge, i);
            free(edge->partitions[i]);
        }
    }
    buf_fini(&edge->scratch);
}
