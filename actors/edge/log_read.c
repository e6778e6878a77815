/* log_read - one path of reading, whatever woke it: an own append, a NOTIFY of another edge, room
 * again, the tick. */
#include "actors/edge/log_postgres.h"

#include "proto/err.h"

#define READ_ROWS 256 /* of one statement */
#define LANE_ROWS 128 /* of one partition in it */

static void read_done(void *arg, const struct pg_reply *reply);

static size_t
make_spans(struct postgres *p, struct dblog_span *spans)
{
    size_t n = 0;

    for (int32_t i = 0; i < DBLOG_PARTITIONS; i++) {
        struct lane *lane = &p->lanes[i];
        size_t room;

        p->span_fence[i] = 0;
        if (!lane->held || lane->leaving || !lane->more) {
            continue;
        }
        room = p->events.room(p->events.arg, i);
        if (room == 0) {
            continue; /* until there is some: postgres_resume() */
        }
        lane->more = false;
        p->span_fence[i] = lane->fence;
        p->span_room[i] = room < LANE_ROWS ? (int64_t)room : LANE_ROWS;
        spans[n++] =
            (struct dblog_span){.partition = i, .after = lane->read_to, .room = p->span_room[i]};
    }
    return n;
}

void
postgres_read(struct postgres *p)
{
    struct dblog_span spans[DBLOG_PARTITIONS];
    struct pg_txn *t;
    size_t n;

    if (p->reading) {
        p->read_again = true;
        return;
    }
    p->read_again = false;
    if (p->leaving || !pg_is_up(p->pg) || (n = make_spans(p, spans)) == 0) {
        return;
    }
    t = pg_begin(p->pg);
    dblog_read(t, p->settings.topic, spans, n, READ_ROWS);
    p->reading = true;
    pg_commit(&t, read_done, p);
}

static void
deliver(struct postgres *p, const struct dblog_record *r)
{
    struct lane *lane = &p->lanes[r->partition];

    /* The lease may have come and gone while the rows were on their way. */
    if (!lane->held || lane->fence != p->span_fence[r->partition] || r->offset <= lane->read_to) {
        return;
    }
    lane->read_to = r->offset;
    p->events.record(p->events.arg, &(struct rlog_record){.partition = r->partition,
                                                          .offset = r->offset,
                                                          .id = r->id,
                                                          .unit = r->unit,
                                                          .unit_at = r->unit_at,
                                                          .unit_size = r->unit_size,
                                                          .recovered = r->offset <= lane->high,
                                                          .key = r->key,
                                                          .body = r->body,
                                                          .trace = r->trace,
                                                          .received_us = r->received_us});
}

static void
read_done(void *arg, const struct pg_reply *reply)
{
    struct postgres *p = arg;
    int64_t got[DBLOG_PARTITIONS] = {0};
    struct dblog_record r;
    int rows;

    p->reading = false;
    if (reply->err != 0) {
        return; /* the tick reads all again */
    }
    rows = PQntuples(reply->results[0]);
    for (int row = 0; row < rows; row++) {
        dblog_record(reply->results[0], row, &r);
        got[r.partition]++;
        deliver(p, &r);
    }
    for (int32_t i = 0; i < DBLOG_PARTITIONS; i++) {
        if (p->span_fence[i] != 0 && (got[i] >= p->span_room[i] || rows >= READ_ROWS)) {
            p->lanes[i].more = true;
            p->read_again = true;
        }
    }
    if (p->read_again) {
        postgres_read(p);
    }
}

void
postgres_read_all(struct postgres *p)
{
    for (int32_t i = 0; i < DBLOG_PARTITIONS; i++) {
        p->lanes[i].more = true;
    }
    postgres_read(p);
}

void
postgres_resume(struct rlog *self)
{
    struct postgres *p = (struct postgres *)self;

    for (int32_t i = 0; i < DBLOG_PARTITIONS && !p->reading; i++) {
        if (p->lanes[i].more) {
            postgres_read(p);
            return;
        }
    }
}
