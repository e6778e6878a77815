#include "test/sim/model_log.h"

#include "proto/mem.h"

#include <stdlib.h>
#include <string.h>

void
model_log_init(struct model_log *m)
{
    memset(m, 0, sizeof(*m));
}

void
model_log_fini(struct model_log *m)
{
    for (size_t i = 0; i < m->n; i++) {
        free(m->records[i].body);
    }
    free(m->records);
    model_log_init(m);
}

/* --- records -------------------------------------------------------------------------------- */

struct model_record *
model_log_append(struct model_log *m, struct id id, const char *key, int32_t partition,
                 const char *body, size_t n, struct model_record **ret_first)
{
    struct model_record *r;

    for (size_t i = m->n; i-- > 0;) {
        if (id_eq(m->records[i].id, id)) {
            *ret_first = &m->records[i];
            return NULL;
        }
    }
    if (m->n == m->cap) {
        m->cap = m->cap ? 2 * m->cap : 256;
        m->records = xrealloc(m->records, m->cap * sizeof(*m->records));
    }
    r = &m->records[m->n++];
    *r = (struct model_record){
        .partition = partition, .offset = ++m->offset, .id = id, .body = xmalloc(n), .body_n = n};
    memcpy(r->body, body, n);
    strncpy(r->key, key, sizeof(r->key) - 1);
    return r;
}

/* The first record behind `after`; offsets rise. */
static size_t
behind(const struct model_log *m, int64_t after)
{
    size_t low = 0, high = m->n;

    while (low < high) {
        size_t middle = (low + high) / 2;
        if (m->records[middle].offset > after) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return low;
}

struct model_record *
model_log_next(struct model_log *m, int32_t partition, int64_t after)
{
    for (size_t i = behind(m, after); i < m->n; i++) {
        if (m->records[i].partition == partition) {
            return &m->records[i];
        }
    }
    return NULL;
}

struct model_record *
model_log_at(struct model_log *m, int32_t partition, int64_t offset)
{
    struct model_record *r = model_log_next(m, partition, offset - 1);

    return r != NULL && r->offset == offset ? r : NULL;
}

/* --- leases --------------------------------------------------------------------------------- */

static bool
is_alive(const struct model_log *m, int32_t owner, int64_t now_ms)
{
    return owner > 0 && m->members[owner].connected && m->members[owner].lease_until_ms > now_ms;
}

static int64_t
share_of(const struct model_log *m, int64_t now_ms)
{
    int64_t alive = 0;

    for (int32_t i = 1; i < MODEL_MEMBERS; i++) {
        alive += is_alive(m, i, now_ms);
    }
    alive = alive > 0 ? alive : 1;
    return (MODEL_PARTITIONS + alive - 1) / alive;
}

static size_t
list(struct model_log *m, int32_t owner, struct model_lease *ret)
{
    size_t n = 0;

    for (int32_t p = 0; p < MODEL_PARTITIONS; p++) {
        if (m->partitions[p].owner == owner) {
            ret[n] = (struct model_lease){.partition = p,
                                          .fence = m->partitions[p].fence,
                                          .position = m->partitions[p].position};
            for (size_t i = m->n; i-- > 0 && ret[n].high == 0;) {
                ret[n].high = m->records[i].partition == p ? m->records[i].offset : 0;
            }
            n++;
        }
    }
    return n;
}

size_t
model_log_lease(struct model_log *m, int32_t owner, int64_t lease_ms, int64_t now_ms,
                struct model_lease *ret, int64_t *ret_share)
{
    int64_t share, mine = 0;

    m->members[owner].lease_until_ms = now_ms + lease_ms;
    share = share_of(m, now_ms);
    for (int32_t i = 0; i < MODEL_PARTITIONS; i++) {
        struct model_partition *p = &m->partitions[i];
        if (p->owner == owner) {
            p->lease_until_ms = now_ms + lease_ms;
            mine++;
        }
    }
    for (int32_t i = 0; i < MODEL_PARTITIONS && mine < share; i++) {
        struct model_partition *p = &m->partitions[i];
        if (p->owner != owner &&
            (p->owner == 0 || p->lease_until_ms < now_ms || !is_alive(m, p->owner, now_ms))) {
            p->owner = owner;
            p->fence++;
            p->lease_until_ms = now_ms + lease_ms;
            mine++;
        }
    }
    *ret_share = share;
    return list(m, owner, ret);
}

bool
model_log_holds(const struct model_log *m, int32_t owner, int32_t partition, int64_t fence)
{
    return m->partitions[partition].owner == owner && m->partitions[partition].fence == fence;
}

void
model_log_release(struct model_log *m, int32_t owner, const struct model_lease *leases, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct model_partition *p = &m->partitions[leases[i].partition];
        if (model_log_holds(m, owner, leases[i].partition, leases[i].fence)) {
            p->owner = 0;
            p->lease_until_ms = 0;
            p->position = leases[i].position > p->position ? leases[i].position : p->position;
        }
    }
}

void
model_log_leave(struct model_log *m, int32_t owner, int64_t now_ms)
{
    (void)now_ms;
    m->members[owner].lease_until_ms = 0;
}

uint32_t
model_log_position(struct model_log *m, int32_t owner, const struct model_lease *leases, size_t n)
{
    uint32_t moved = 0;

    for (size_t i = 0; i < n; i++) {
        struct model_partition *p = &m->partitions[leases[i].partition];
        if (model_log_holds(m, owner, leases[i].partition, leases[i].fence) &&
            p->position <= leases[i].position) {
            p->position = leases[i].position;
            moved |= 1U << leases[i].partition;
        }
    }
    return moved;
}

size_t
model_log_compose(struct model_log *m, int32_t owner, int32_t partition, int64_t fence,
                  struct id unit, const int64_t *offsets, size_t n)
{
    size_t marked = 0;

    if (!model_log_holds(m, owner, partition, fence)) {
        return 0;
    }
    for (size_t i = 0; i < n; i++) {
        struct model_record *r = model_log_at(m, partition, offsets[i]);
        if (r != NULL) {
            r->unit = unit;
            r->unit_at = (int)i;
            r->unit_size = (int)n;
            marked++;
        }
    }
    return marked;
}
