/* log_postgres - the log in the database: connection, leases, positions.
 *
 * Being a member: the connection holds a session lock of its own number, so that PostgreSQL itself
 * knows who is dead: a killed edge's partitions are free at once, a hanging one's when its lease
 * is over. With the connection all leases are given up, since others may take them at once.
 */
#include "actors/edge/log_postgres.h"

#include "actors/edge/fenced.h"
#include "db/kafka.h"
#include "proto/err.h"
#include "proto/runtime/log.h"

#include <stdlib.h>

#define TICK_MS 500
#define RENEW_MS 1000
#define CLAIM_MIN_MS 20      /* between tries to get a fair share */
#define LEASE_MARGIN_MS 1000 /* our clock against the server's answer */
#define POSITION_MS 150      /* how late a position may be stored */
#define RETAIN_TICKS 20
#define RETAIN_MANY 500 /* deleted in one batch: there may be more */

static void lease_now(void *arg);
static void store_positions(void *arg);

/* --- leases --------------------------------------------------------------------------------- */

static void
lease_later(struct postgres *p, int64_t ms)
{
    loop_cancel(p->loop, &p->lease_timer);
    p->lease_timer = loop_timer(p->loop, ms, 0, lease_now, p);
}

static void
revoke(struct postgres *p, int32_t partition)
{
    if (p->lanes[partition].held) {
        p->lanes[partition].held = false;
        p->events.revoked(p->events.arg, partition);
    }
}

static void
assign(struct postgres *p, const struct dblog_lease *l)
{
    p->lanes[l->partition] = (struct lane){.held = true,
                                           .more = true,
                                           .fence = l->fence,
                                           .high = l->high,
                                           .read_to = l->position,
                                           .position = l->position,
                                           .stored = l->position};
    p->events.assigned(p->events.arg, l->partition, l->position);
}

/* Makes our picture what the database says. True if something came to us. */
static bool
take_over(struct postgres *p, const struct dblog_lease *leases, size_t n)
{
    bool listed[DBLOG_PARTITIONS] = {false};
    bool gained = false;

    for (size_t i = 0; i < n; i++) {
        listed[leases[i].partition] = true;
    }
    for (int32_t i = 0; i < DBLOG_PARTITIONS; i++) {
        if (!listed[i]) {
            revoke(p, i);
        }
    }
    for (size_t i = 0; i < n; i++) {
        struct lane *lane = &p->lanes[leases[i].partition];
        if (lane->held && lane->fence == leases[i].fence) {
            continue;
        }
        revoke(p, leases[i].partition);
        assign(p, &leases[i]);
        gained = true;
    }
    return gained;
}

/* More than our share: others wait for it. */
static void
give_back(struct postgres *p, int64_t share)
{
    int64_t staying = 0;

    for (int32_t i = 0; i < DBLOG_PARTITIONS; i++) {
        struct lane *lane = &p->lanes[i];
        if (!lane->held) {
            continue;
        }
        if (staying < share) {
            staying++;
        } else if (!lane->leaving) {
            lane->leaving = true;
            p->events.leave(p->events.arg, i);
        }
    }
}

static void
leased(void *arg, const struct pg_reply *reply)
{
    struct postgres *p = arg;
    struct dblog_lease leases[DBLOG_PARTITIONS];
    int64_t share;
    size_t n;

    p->lease_pending = false;
    if (p->owner == 0 || p->leaving) {
        return;
    }
    if (reply->err != 0) {
        if (reply->err != ERR_UNAVAILABLE) {
            log_warn("lease_failed", "code=%s sqlstate=%s", err_str(reply->err), reply->sqlstate);
        }
        lease_later(p, RENEW_MS / 4);
        return;
    }
    n = dblog_lease_read(reply, leases, &share);
    p->lease_until_ms = p->lease_sent_ms + p->settings.lease_ms - LEASE_MARGIN_MS;
    if (take_over(p, leases, n)) {
        log_info("leases", "held=%zu share=%lld owner=%d", n, (long long)share, p->owner);
        postgres_read(p);
    }
    give_back(p, share);
    if ((int64_t)n >= share) {
        p->lease_wait_ms = CLAIM_MIN_MS;
        lease_later(p, RENEW_MS);
    } else {
        lease_later(p, p->lease_wait_ms);
        p->lease_wait_ms = p->lease_wait_ms * 2 > RENEW_MS ? RENEW_MS : p->lease_wait_ms * 2;
    }
}

static void
lease_now(void *arg)
{
    struct postgres *p = arg;
    struct pg_txn *t;

    p->lease_timer = NULL;
    if (p->lease_pending || p->owner == 0 || p->leaving || !pg_is_up(p->pg)) {
        return;
    }
    p->lease_pending = true;
    p->lease_sent_ms = clock_ms();
    t = pg_begin(p->pg);
    dblog_lease(t, p->settings.topic, p->owner, p->settings.lease_ms);
    pg_commit(&t, leased, p);
}

static void
joined(void *arg, const struct pg_reply *reply)
{
    struct postgres *p = arg;
    int64_t unsettled;
    struct str name;

    if (reply->err != 0) {
        if (reply->err != ERR_UNAVAILABLE) {
            log_warn("join_failed", "code=%s sqlstate=%s", err_str(reply->err), reply->sqlstate);
        }
        return; /* the tick tries again */
    }
    name = dbkafka_backend_read(reply->results[1], &unsettled);
    if (!str_is(name, rlog_postgres.name)) {
        p->events.refused(p->events.arg, "FTE_LOG_BACKEND", RLOG_OTHER_BACKEND);
        return;
    }
    p->owner = dblog_join_read(reply->results[0]);
    p->lease_wait_ms = CLAIM_MIN_MS;
    lease_now(p);
}

static void
join(struct postgres *p)
{
    struct pg_txn *t = pg_begin(p->pg);

    dblog_join(t);
    dbkafka_backend(t, p->settings.topic);
    pg_commit(&t, joined, p);
}

static bool
postgres_holds(const struct rlog *self, int32_t partition)
{
    const struct postgres *p = (const struct postgres *)self;

    return p->lanes[partition].held && clock_ms() < p->lease_until_ms;
}

static void
released(void *arg, const struct pg_reply *reply)
{
    (void)arg;
    (void)reply; /* not given back: the lease or the session lock will end it */
}

static void
give(struct postgres *p, const struct dblog_lease *leases, size_t n, bool leave)
{
    struct pg_txn *t = pg_begin(p->pg);

    dblog_release(t, p->settings.topic, p->owner, leases, n);
    if (leave) {
        dblog_leave(t, p->owner);
    }
    pg_commit(&t, released, p);
}

static struct dblog_lease
lease_of(const struct postgres *p, int32_t partition)
{
    return (struct dblog_lease){.partition = partition,
                                .fence = p->lanes[partition].fence,
                                .position = p->lanes[partition].position};
}

static void
postgres_release(struct rlog *self, int32_t partition)
{
    struct postgres *p = (struct postgres *)self;
    struct dblog_lease l = lease_of(p, partition);

    if (!p->lanes[partition].held) {
        return;
    }
    p->lanes[partition].held = false;
    if (pg_is_up(p->pg)) {
        give(p, &l, 1, false);
    }
}

static void
postgres_leave(struct rlog *self)
{
    struct postgres *p = (struct postgres *)self;
    struct dblog_lease leases[DBLOG_PARTITIONS];
    size_t n = 0;

    p->leaving = true;
    for (int32_t i = 0; i < DBLOG_PARTITIONS; i++) {
        if (p->lanes[i].held) {
            leases[n++] = lease_of(p, i);
            revoke(p, i);
        }
    }
    if (p->owner != 0 && pg_is_up(p->pg)) {
        give(p, leases, n, true);
    }
}

/* --- positions ------------------------------------------------------------------------------ */

static void
positions_stored(void *arg, const struct pg_reply *reply)
{
    struct postgres *p = arg;

    p->position_pending = false;
    for (int32_t i = 0; i < DBLOG_PARTITIONS; i++) {
        struct lane *lane = &p->lanes[i];
        if (reply->err != 0) {
            lane->stored = -1; /* unknown: store it again */
        }
        if (lane->held && lane->stored != lane->position && p->position_timer == NULL) {
            p->position_timer = loop_timer(p->loop, POSITION_MS, 0, store_positions, p);
        }
    }
}

static void
store_positions(void *arg)
{
    struct postgres *p = arg;
    struct dblog_lease leases[DBLOG_PARTITIONS];
    struct pg_txn *t;
    size_t n = 0;

    p->position_timer = NULL;
    if (p->position_pending || !pg_is_up(p->pg)) {
        return;
    }
    for (int32_t i = 0; i < DBLOG_PARTITIONS; i++) {
        struct lane *lane = &p->lanes[i];
        if (lane->held && lane->stored != lane->position) {
            lane->stored = lane->position;
            leases[n++] = lease_of(p, i);
        }
    }
    if (n == 0) {
        return;
    }
    p->position_pending = true;
    t = pg_begin(p->pg);
    dblog_position(t, p->settings.topic, p->owner, leases, n);
    pg_commit(&t, positions_stored, p);
}

static void
postgres_settled(struct rlog *self, int32_t partition, int64_t position)
{
    struct postgres *p = (struct postgres *)self;

    p->lanes[partition].position = position;
    if (p->position_timer == NULL && !p->position_pending) {
        p->position_timer = loop_timer(p->loop, POSITION_MS, 0, store_positions, p);
    }
}

/* --- compositions and dead letters ---------------------------------------------------------- */

/* The lease is over: learn what is ours. */
static void
lost(void *arg)
{
    struct postgres *p = arg;

    if (!p->lease_pending) {
        lease_later(p, 0);
    }
}

static void
postgres_compose(struct rlog *self, int32_t partition, struct id unit, const int64_t *offsets,
                 size_t n, rlog_done_fn *fn, void *arg)
{
    struct postgres *p = (struct postgres *)self;
    struct dblog_lease l = lease_of(p, partition);
    struct pg_txn *t = pg_begin(p->pg);

    dblog_compose(t, p->settings.topic, p->owner, &l, unit, offsets, n);
    fenced_compose(&t, n, &(struct fenced){.fn = fn, .arg = arg, .lost = lost, .self = p});
}

static void
postgres_bury(struct rlog *self, const struct rlog_dead *d, rlog_done_fn *fn, void *arg)
{
    struct postgres *p = (struct postgres *)self;

    fenced_bury(p->pg, p->settings.topic, p->owner, p->lanes[d->partition].fence, d,
                &(struct fenced){.fn = fn, .arg = arg, .lost = lost, .self = p});
}

/* --- keeping it bounded --------------------------------------------------------------------- */

static void
retained(void *arg, const struct pg_reply *reply)
{
    struct postgres *p = arg;

    p->retaining = false;
    if (reply->err == 0 && pg_int(reply->results[0], 0, 0) >= RETAIN_MANY) {
        p->retain_ticks = RETAIN_TICKS; /* again with the next tick */
    }
}

/* Whoever holds the first partition does it for all. */
static void
retain(struct postgres *p)
{
    struct pg_txn *t;

    if (++p->retain_ticks <= RETAIN_TICKS || p->retaining || !p->lanes[0].held) {
        return;
    }
    p->retain_ticks = 0;
    p->retaining = true;
    t = pg_begin(p->pg);
    dblog_retain(t, p->settings.retention_ms);
    pg_commit(&t, retained, p);
}

/* --- connection ----------------------------------------------------------------------------- */

static void
on_up(void *arg)
{
    struct postgres *p = arg;

    p->events.up(p->events.arg);
    join(p);
    postgres_append_flush(p);
}

static void
on_down(void *arg)
{
    struct postgres *p = arg;

    p->owner = 0;
    for (int32_t i = 0; i < DBLOG_PARTITIONS; i++) {
        revoke(p, i);
    }
    p->events.down(p->events.arg, "database");
}

static void
on_notify(void *arg, const char *channel, const char *payload)
{
    (void)channel;
    (void)payload;
    postgres_read_all(arg);
}

static void
on_refused(void *arg, const char *why)
{
    struct postgres *p = arg;

    p->events.refused(p->events.arg, "DATABASE_URL", why);
}

static void
on_tick(void *arg)
{
    struct postgres *p = arg;

    postgres_append_expire(p, false);
    if (!pg_is_up(p->pg) || p->leaving) {
        return;
    }
    if (p->owner == 0 && pg_pending(p->pg) == 0) {
        join(p);
    }
    postgres_read_all(p);
    retain(p);
}

static struct rlog *
postgres_open(struct loop *loop, const struct rlog_settings *settings,
              const struct rlog_events *events)
{
    struct postgres *p = xcalloc(1, sizeof(*p));
    struct pg_events mine = {
        .up = on_up, .down = on_down, .notify = on_notify, .refused = on_refused, .arg = p};

    p->base.backend = &rlog_postgres;
    p->loop = loop;
    p->settings = *settings;
    p->events = *events;
    p->pg = pg_open(loop, settings->url, DBKAFKA_SCHEMA, &mine);
    pg_listen(p->pg, DBLOG_CHANNEL);
    /* Soon: an edge that is killed every few seconds must keep the log bounded, too. */
    p->retain_ticks = RETAIN_TICKS - 2;
    p->tick = loop_timer(loop, TICK_MS, TICK_MS, on_tick, p);
    return &p->base;
}

static bool
postgres_idle(const struct rlog *self)
{
    const struct postgres *p = (const struct postgres *)self;

    return p->queue.first == NULL && pg_pending(p->pg) == 0;
}

static void
postgres_close(struct rlog *self)
{
    struct postgres *p = (struct postgres *)self;

    p->leaving = true;
    p->owner = 0;
    loop_cancel(p->loop, &p->tick);
    pg_close(&p->pg);
    loop_cancel(p->loop, &p->lease_timer);
    loop_cancel(p->loop, &p->position_timer);
    postgres_append_fini(p);
    free(p);
}

const struct rlog_backend rlog_postgres = {
    .name = "postgres",
    .open = postgres_open,
    .append = postgres_append,
    .resume = postgres_resume,
    .holds = postgres_holds,
    .settled = postgres_settled,
    .compose = postgres_compose,
    .bury = postgres_bury,
    .release = postgres_release,
    .leave = postgres_leave,
    .idle = postgres_idle,
    .close = postgres_close,
};
