#include "test/sim/monitor.h"

#include "actors/edge/edge.h"
#include "db/log.h"
#include "proto/err.h"
#include "proto/head.h"
#include "proto/mem.h"
#include "test/sim/cast.h"
#include "test/sim/facts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEADLINE_US 30000000
#define SILENCE_US 2900000 /* 3 s, less what a tick may be late */
#define PEERS 4096         /* processes of a run */

/* A worker, as the router must know it from what it has read. */
struct peer {
    bool known, closed, unreachable;
    bool silent; /* behind tcp, and so long unheard that it may be taken for dead */
    int64_t heard_us;
    char service[PROTO_MAX_SERVICE + 1];
    uint32_t credit;
    uint32_t number; /* of the last greeting, and the work since */
    bool vague;      /* the connection broke: the router may have counted what was not sent */
};

/* A unit in an edge's hands. */
struct flight {
    uint32_t attempt, generation;
    int64_t sent_us;
    bool open;     /* sent, and no end is known */
    bool answered; /* something that counts has come for this generation */
    bool counted;  /* and it was a failure that counts */
    bool over;     /* it must not be sent any more */
    bool died;     /* its worker did, at its last failure */
    bool suspect;  /* it is sent as one that may kill workers */
    int pid;       /* of the edge that sent it */
    bool due;      /* a new router doesn't know of it: it must be sent again */
};

struct edge_view {
    struct proc *edge;
    struct edge_view *next;
    uint32_t router; /* its generation */
    struct flight flights[FACTS_MESSAGES];
    int under_way[FACTS_KEYS]; /* the unit of this key that was sent last; 0: none */
};

static struct {
    struct peer peers[PEERS];
    struct edge_view *edges;
    uint32_t router; /* its generation; 0: it has told nobody */
    struct {
        bool is_work;
        struct id id;
    } asked;                /* what the router has read last */
    int64_t router_stop_us; /* it is stopped until then */
    int64_t stopped_us;     /* for so long it was, in all: nobody's silence counts */
    int64_t excused_us;     /* somebody was stopped or cut off until then */
    int deadlines;
    struct monitor_counts counts;
} mon;

void
monitor_begin(void)
{
    memset(&mon, 0, sizeof(mon));
}

void
monitor_end(void)
{
    while (mon.edges != NULL) {
        struct edge_view *v = mon.edges;
        mon.edges = v->next;
        free(v);
    }
}

void
monitor_router_started(void)
{
    memset(mon.peers, 0, sizeof(mon.peers));
    mon.router = 0;
    monitor_continued();
}

int
monitor_deadlines(void)
{
    return mon.deadlines;
}

struct monitor_counts
monitor_counted(void)
{
    return mon.counts;
}

static struct peer *
peer_of(const struct proc *p)
{
    REPORT_WANT(p->pid < PEERS, "too many processes");
    return &mon.peers[p->pid];
}

/* --- the router ----------------------------------------------------------------------------- */

static void
peer_ready(const struct proc *from, struct peer *w, const struct head *h)
{
    uint32_t given = 0;

    if (h->generation != mon.router) {
        return; /* meant for the one before: what that gave is still on its way */
    }
    w->known = true;
    w->closed = w->silent = false;
    w->unreachable = !net_reaches(from);
    memcpy(w->service, h->service.p ? h->service.p : "", h->service.n);
    w->service[h->service.n] = '\0';
    /* What has not come to it yet, it doesn't know of. */
    if (h->attempt > 0 && h->attempt < w->number) {
        given = w->number - h->attempt;
    }
    w->credit = h->count > given ? h->count - given : 0;
}

/* Time as the router has lived it. */
static int64_t
router_us(void)
{
    return world.now_us - mon.stopped_us;
}

static void
note_heard(const struct proc *from, struct peer *w)
{
    w->silent |= from->remote && router_us() - w->heard_us > SILENCE_US;
    w->heard_us = router_us();
}

/* What a process can hold at all. */
static uint32_t
slots_of(const struct proc *p)
{
    return strcmp(p->name, "edge") == 0 ? 1024 : CAST_SLOTS;
}

void
monitor_stopped(const struct proc *p, int64_t us)
{
    int64_t until = world.now_us + us;

    mon.excused_us = until > mon.excused_us ? until : mon.excused_us;
    if (strcmp(p->name, "router") == 0 && us > 0) {
        monitor_continued();
        mon.stopped_us += us;
        mon.router_stop_us = until;
    }
}

void
monitor_continued(void)
{
    if (mon.router_stop_us > world.now_us) {
        mon.stopped_us -= mon.router_stop_us - world.now_us;
        mon.router_stop_us = world.now_us;
    }
}

static void
router_got(struct proc *from, struct str frame)
{
    struct peer *w = peer_of(from);
    struct head h;

    mon.asked.is_work = false;
    note_heard(from, w);
    if (frame.n == 0 || head_decode(frame.p, frame.n, &h) != 0) {
        return;
    }
    switch (h.type) {
    case HEAD_READY:
        peer_ready(from, w, &h);
        break;
    case HEAD_CREDIT:
        w->credit += w->known ? h.count : 0;
        REPORT_WANT(w->credit <= slots_of(from),
                    "%s.%d has %u slots, and gave back more than it got", from->name, from->number,
                    w->credit);
        break;
    case HEAD_DRAIN:
        w->closed = true;
        break;
    case HEAD_BYE:
        w->known = false;
        break;
    case HEAD_WORK:
    case HEAD_CALL:
        mon.asked.is_work = true;
        mon.asked.id = h.id;
        break;
    default:
        break;
    }
}

/* It says that nobody can take this: nobody may then. */
static void
want_busy(const struct head *h)
{
    if (!mon.asked.is_work || !id_eq(mon.asked.id, h->id)) {
        return; /* what crossed a DRAIN on the way */
    }
    for (struct proc *p = world.procs; p != NULL; p = p->next) {
        const struct peer *w = peer_of(p);
        bool well = p->alive && p->stopped_us == 0 && w->known && !w->closed && !w->unreachable &&
                    !w->vague && !w->silent &&
                    (!p->remote || router_us() - w->heard_us <= SILENCE_US);
        REPORT_WANT(!well || w->credit == 0 || !str_is(h->service, w->service),
                    "router: BUSY for %s, where %s.%d has %u slots free", w->service, p->name,
                    p->number, w->credit);
    }
}

static void
want_credit(struct proc *to, const struct head *h)
{
    struct peer *w = peer_of(to);

    REPORT_WANT(w->known && !w->closed, "router: work for %s.%d, which is not there", to->name,
                to->number);
    REPORT_WANT(str_is(h->service, w->service), "router: %.*s for %s.%d", STR_ARG(h->service),
                to->name, to->number);
    REPORT_WANT(w->credit > 0, "router: work for %s.%d, which has no slot free", to->name,
                to->number);
    w->credit--;
    w->number++;
}

static void
note_greeting(struct proc *to, const struct head *h)
{
    struct peer *w = peer_of(to);

    mon.router = h->generation;
    if (h->service.n == 0) {
        w->number = h->attempt;
        w->vague = false;
    }
}

static void
router_sent(struct proc *to, struct str frame)
{
    struct head h;

    if (head_decode(frame.p, frame.n, &h) != 0) {
        report_fail("router: a head that cannot be read");
    }
    switch (h.type) {
    case HEAD_WORK:
    case HEAD_CALL:
        want_credit(to, &h);
        mon.counts.work++;
        break;
    case HEAD_BUSY:
        want_busy(&h);
        mon.counts.busy++;
        break;
    case HEAD_LOST:
        mon.counts.lost++;
        break;
    case HEAD_READY:
        note_greeting(to, &h);
        break;
    default:
        break;
    }
}

static void
unreachable(struct proc *p)
{
    peer_of(p)->unreachable = peer_of(p)->vague = true;
}

/* --- the edge ------------------------------------------------------------------------------- */

static struct edge_view *
view_of(struct proc *edge)
{
    struct edge_view *v = mon.edges;

    while (v != NULL && v->edge != edge) {
        v = v->next;
    }
    if (v == NULL) {
        v = xcalloc(1, sizeof(*v));
        v->edge = edge;
        v->next = mon.edges;
        mon.edges = v;
    }
    return v;
}

void
monitor_claimed(struct proc *edge, int32_t partition)
{
    struct edge_view *v = view_of(edge);

    for (int i = 1; i <= facts.n; i++) {
        char key[16];
        snprintf(key, sizeof(key), "k%d", facts.messages[i].key);
        if (dblog_partition(str_of(key)) == partition) {
            v->flights[i] = (struct flight){0};
            v->under_way[facts.messages[i].key] = 0;
        }
    }
}

void
monitor_replayed(int unit)
{
    for (struct edge_view *v = mon.edges; v != NULL; v = v->next) {
        int *under_way = &v->under_way[facts.messages[unit].key];
        *under_way = *under_way == unit ? 0 : *under_way;
        v->flights[unit] = (struct flight){0};
    }
}

static void
want_order_of(struct edge_view *v, int unit)
{
    int k = facts.messages[unit].key, before = v->under_way[k];

    REPORT_WANT(before == 0 || before == unit || v->flights[before].over ||
                    facts.messages[before].unit_outcome != OUTCOME_NONE,
                "edge: unit %d is sent while unit %d of the same conversation is under way", unit,
                before);
    v->under_way[k] = unit;
}

/* What killed its worker twice goes alone: it may kill the next one, with all that this one holds.
 * Left out is what the edge may have lost with its lease while somebody was stopped or cut off. */
static void
want_alone(struct edge_view *v, int unit)
{
    for (int i = 1; i <= facts.n; i++) {
        struct flight *f = &v->flights[i];
        REPORT_WANT(
            i == unit || !f->suspect || !f->open || f->due || f->over || f->pid != v->edge->pid ||
                mon.excused_us > f->sent_us || facts.messages[i].replayed,
            "edge: unit %d is sent, and unit %d is under way: both may kill their worker", unit, i);
    }
}

static bool
is_overdue(const struct flight *f)
{
    return world.now_us - f->sent_us >= DEADLINE_US;
}

/* A delivery without an outcome: whoever dies is known to be dead at once, so somebody must have
 * been stopped, or a connection cut, while it was under way. */
static void
want_late(const struct flight *f, int unit)
{
    REPORT_WANT(!f->due, "edge: unit %d was not sent again when the router was new", unit);
    REPORT_WANT(mon.excused_us + DEADLINE_US / 10 > f->sent_us,
                "edge: nobody told it what became of unit %d", unit);
    mon.deadlines++;
}

static void
edge_sends(struct proc *edge, const struct head *h)
{
    struct edge_view *v = view_of(edge);
    int unit = facts_number(h->id);
    struct flight *f = &v->flights[unit];
    bool late = f->open && is_overdue(f);
    bool died = f->died && !late; /* else its last failure is that nobody answered */
    bool suspect = died && h->attempt >= EDGE_SUSPECT_FROM;

    if (facts.messages[unit].replayed) {
        return; /* its records stand in the log twice, and either may be under way */
    }
    REPORT_WANT(!f->over, "edge: unit %d is sent, though it is settled", unit);
    REPORT_WANT(h->generation == f->generation + 1, "edge: unit %d, delivery %u after %u", unit,
                h->generation, f->generation);
    if (f->generation == 0) {
        REPORT_WANT(h->attempt == 1, "edge: unit %d begins at attempt %u", unit, h->attempt);
    } else if (f->counted) {
        REPORT_WANT(h->attempt == f->attempt + 1, "edge: unit %d: a failure was not counted", unit);
    } else if (h->attempt != f->attempt) {
        REPORT_WANT(h->attempt == f->attempt + 1 && late,
                    "edge: unit %d: attempt %u after %u without a failure", unit, h->attempt,
                    f->attempt);
        want_late(f, unit);
    }
    want_order_of(v, unit);
    if (suspect) {
        want_alone(v, unit);
    }
    mon.counts.redelivered += f->generation > 0;
    *f = (struct flight){.attempt = h->attempt,
                         .generation = h->generation,
                         .sent_us = world.now_us,
                         .open = true,
                         .died = died,
                         .suspect = suspect,
                         .pid = edge->pid};
    report_event("edge.%d sends unit %d: attempt %u, delivery %u", edge->number, unit, h->attempt,
                 h->generation);
}

/* The code of a RETRY or FAIL. */
static int
code_of(struct str body)
{
    msgpack_unpacked u;
    int err = ERR_INTERNAL;

    if (body_decode(body.p, body.n, &u) == 0) {
        struct str code = map_str(&u.data, "code");
        err = err_parse(code.p, code.n);
    }
    msgpack_unpacked_destroy(&u);
    return err;
}

static void
edge_meets(struct edge_view *v, uint32_t generation)
{
    for (int i = 1; i <= facts.n && generation != v->router; i++) {
        v->flights[i].due = v->flights[i].open;
    }
    v->router = generation;
}

static void
edge_hears(struct proc *edge, const struct head *h, struct str body)
{
    int unit = facts_number(h->id);
    struct flight *f;
    int err;

    if (h->type == HEAD_READY && h->service.n == 0) {
        edge_meets(view_of(edge), h->generation);
        return;
    }
    if (unit <= 0) {
        return; /* a question's answer */
    }
    f = &view_of(edge)->flights[unit];
    if (h->type == HEAD_DONE) {
        REPORT_WANT(facts.messages[unit].unit_outcome != OUTCOME_NONE ||
                        facts.messages[unit].replayed,
                    "DONE for unit %d, which has no outcome", unit);
        f->over = f->generation > 0;
        f->open = false;
        return;
    }
    if (!f->open || f->answered || f->due || h->generation != f->generation) {
        return; /* late: changes nothing, or what follows shows that it did */
    }
    err = h->type == HEAD_BUSY ? ERR_BUSY : h->type == HEAD_LOST ? ERR_LOST : code_of(body);
    f->answered = true;
    f->open = false;
    f->counted = !err_is_patient(err);
    /* Behind its deadline it comes too late: the edge has counted that already. */
    f->died = f->counted ? err == ERR_LOST && !is_overdue(f) : f->died;
    f->over = h->type == HEAD_FAIL;
}

void
monitor_buried(struct proc *edge, int unit, unsigned attempts)
{
    struct flight *f = &view_of(edge)->flights[unit];
    bool late = f->open && is_overdue(f);

    if (facts.messages[unit].replayed) {
        return;
    }
    REPORT_WANT(f->over || ((f->counted || late) && attempts == EDGE_ATTEMPTS),
                "edge: unit %d is given up after %u attempts without a reason", unit, attempts);
    if (late && !f->over && !f->counted) {
        want_late(f, unit);
    }
    f->over = true;
}

static void
actor_got(struct proc *p, struct str frame, struct str body)
{
    struct head h;

    if (strcmp(p->name, "edge") == 0 && head_decode(frame.p, frame.n, &h) == 0) {
        edge_hears(p, &h, body);
    }
}

static void
actor_sent(struct proc *p, struct str frame, struct str body)
{
    struct head h;

    (void)body;
    if (strcmp(p->name, "edge") == 0 && frame.n > 0 && head_decode(frame.p, frame.n, &h) == 0 &&
        h.type == HEAD_WORK) {
        edge_sends(p, &h);
    }
}

const struct net_eyes monitor_eyes = {
    .router_got = router_got,
    .router_sent = router_sent,
    .actor_got = actor_got,
    .actor_sent = actor_sent,
    .unreachable = unreachable,
};
