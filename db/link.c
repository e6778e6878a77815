#include "db/link.h"

#include <stdlib.h>
#include <string.h>

/* Rows in the order in which they are shown: by the place of the unit's last message, and within a
 * unit by what happens first. */
enum kind { KIND_INBOUND, KIND_REPLY, KIND_ESCALATION, KIND_PERSON, KIND_DEAD, KIND_TICKET };

/* The newest 100 messages of the link. Each `lateral ... limit` is a look-up by key for each unit,
 * whatever the planner believes of the tables' sizes: a plan that was made when they were empty
 * would else read them whole. */
static const struct pg_stmt read_link = {
    "link_read",
    "with m as ("
    " select id, seq, unit_id, conversation_id, body, coalesce(received_at, created_at) as at"
    " from messages where link_id = $1 order by seq desc limit 100"
    "), u as ("
    " select unit_id, conversation_id, max(seq) as last from m group by unit_id, conversation_id"
    ") "
    "select 0 as kind, m.id, m.body, null::jsonb as sources, m.at, u.last, m.seq"
    " from m join u on u.unit_id = m.unit_id "
    "union all "
    "select 1, o.id, o.body, o.sources, o.created_at, u.last, o.seq"
    " from u cross join lateral ("
    "  select id, body, sources, created_at, seq from messages where unit_id = u.unit_id"
    "  and direction = 'outbound' and author = 'fte' limit 1) o "
    "union all "
    "select 2, e.id, e.reason, null, e.created_at, u.last, 0 from u cross join lateral ("
    "  select id, reason, created_at from escalations where id = u.unit_id limit 1) e "
    "union all "
    "select 3, o.id, o.body, o.sources, o.created_at, u.last, o.seq"
    " from u cross join lateral ("
    "  select id, body, sources, created_at, seq from messages where unit_id = u.unit_id"
    "  and author = 'person' order by seq limit 100) o "
    "union all "
    "select 4, d.unit_id, 'dead_letter', null, d.created_at,"
    " coalesce(u.last, 9223372036854775807), 0"
    " from dead_letters d left join u on u.unit_id = d.unit_id"
    " where d.link_id = $1 and d.state = 'dead' "
    "union all "
    "select 5, t.id, t.ref, null, t.created_at, 0, 0 from u cross join lateral ("
    "  select id, ref, created_at from tickets where id = u.conversation_id limit 1) t "
    "order by 6, 1, 7"};

static const struct pg_stmt read_email = {
    "link_email",
    "select distinct i.value from messages m join customer_identifiers i"
    " on i.customer_id = m.customer_id and i.kind = 'email' and i.assurance = 'claimed'"
    " and i.resolves where m.link_id = $1"};

enum column { COL_KIND, COL_ID, COL_TEXT, COL_SOURCES, COL_AT };

const char *
link_status_str(enum link_status s)
{
    static const char *const names[] = {"received", "processing", "answered", "escalated"};
    return names[s];
}

void
link_read(struct pg_txn *t, struct id link)
{
    pg_stmt(t, &read_link);
    pg_put_id(t, link);
}

static void
copy_text(char *to, size_t size, struct str s)
{
    size_t n = s.n < size ? s.n : size - 1;
    memcpy(to, s.p, n);
    to[n] = '\0';
}

/* Copies into the memory behind *at. */
static struct str
keep(char **at, struct str s)
{
    struct str kept = {*at, s.n};
    if (s.n > 0) {
        memcpy(*at, s.p, s.n);
    }
    *at += s.n;
    return kept;
}

/* All that the messages will need, in one piece. */
static size_t
text_size(const PGresult *r)
{
    size_t n = 0;
    for (int row = 0; row < PQntuples(r); row++) {
        n += pg_text(r, row, COL_TEXT).n;
        n += pg_null(r, row, COL_SOURCES) ? 0 : pg_json(r, row, COL_SOURCES).n;
    }
    return n;
}

static void
add_message(struct link_state *s, const PGresult *r, int row, enum kind kind, char **at)
{
    struct link_message *m = &s->messages[s->n++];

    m->id = pg_id(r, row, COL_ID);
    m->inbound = kind == KIND_INBOUND;
    m->person = kind == KIND_PERSON;
    m->at_us = pg_time(r, row, COL_AT);
    m->body = keep(at, pg_text(r, row, COL_TEXT));
    if (!pg_null(r, row, COL_SOURCES)) {
        m->sources = keep(at, pg_json(r, row, COL_SOURCES));
    }
}

static void
set_status(struct link_state *s, enum link_status status, struct str reason)
{
    s->status = status;
    copy_text(s->reason, sizeof(s->reason), reason);
}

/* What a row says. True if it is the message that is awaited, or the word that it won't come. */
static bool
take_row(struct link_state *s, const PGresult *r, int row, struct id awaited, char **at)
{
    enum kind kind = (enum kind)pg_int(r, row, COL_KIND);

    switch (kind) {
    case KIND_INBOUND:
        set_status(s, LINK_PROCESSING, STR(""));
        add_message(s, r, row, kind, at);
        return id_eq(pg_id(r, row, COL_ID), awaited);
    case KIND_REPLY:
    case KIND_PERSON:
        set_status(s, LINK_ANSWERED, STR(""));
        add_message(s, r, row, kind, at);
        return false;
    case KIND_ESCALATION:
    case KIND_DEAD:
        set_status(s, LINK_ESCALATED, pg_text(r, row, COL_TEXT));
        return kind == KIND_DEAD;
    case KIND_TICKET:
        copy_text(s->ticket, sizeof(s->ticket), pg_text(r, row, COL_TEXT));
        return false;
    }
    return false;
}

void
link_state_read(const PGresult *r, struct id pending, struct link_state *ret)
{
    size_t rows = (size_t)PQntuples(r);
    bool awaited = !id_is_nil(pending);
    char *at;

    *ret = (struct link_state){.status = LINK_RECEIVED};
    ret->memory_ = xmalloc(rows * sizeof(*ret->messages) + text_size(r));
    ret->messages = memset(ret->memory_, 0, rows * sizeof(*ret->messages));
    at = ret->memory_ + rows * sizeof(*ret->messages);
    for (int row = 0; row < (int)rows; row++) {
        awaited = !take_row(ret, r, row, pending, &at) && awaited;
    }
    if (awaited) {
        set_status(ret, LINK_RECEIVED, STR(""));
    }
}

void
link_state_fini(struct link_state *s)
{
    free(s->memory_);
    *s = (struct link_state){0};
}

void
link_email(struct pg_txn *t, struct id link)
{
    pg_stmt(t, &read_email);
    pg_put_id(t, link);
}
