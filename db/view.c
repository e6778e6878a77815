#include "db/view.h"

/* Every time is shown in UTC, which is the time zone of our connections (pg.c). */
#define TIME_FORMAT STR("YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"")

/* $1 status or '', $2 how many, $3 the format of times. */
static const struct pg_stmt tickets = {
    "view_tickets",
    "select coalesce(json_agg(row), '[]') from ("
    "  select t.ref, t.status, c.state as owner, t.channel, t.subject, u.name as customer,"
    "         (select count(*) from messages m"
    "           where m.customer_id = t.customer_id and m.conversation_id = t.id) as messages,"
    "         to_char(t.created_at, $3) as created_at,"
    "         to_char(t.updated_at, $3) as updated_at"
    "    from (select * from tickets where $1::text = '' or status = $1"
    "           order by updated_at desc limit $2::bigint) t"
    "    join conversations c on c.id = t.id"
    "    join customers u on u.id = t.customer_id"
    "   order by t.updated_at desc"
    ") row",
};

/* $1 reference or null, $2 id or null, $3 the format of times. */
static const struct pg_stmt ticket = {
    "view_ticket",
    "select to_json(row) from ("
    "  select t.ref, t.id, t.status, t.channel, t.subject, t.category, t.priority,"
    "         to_char(t.created_at, $3) as created_at,"
    "         to_char(t.updated_at, $3) as updated_at,"
    "         to_char(t.resolved_at, $3) as resolved_at,"
    "         customer, conversation, messages, escalations, notes, steps"
    "    from tickets t"

    "   cross join lateral ("
    "    select u.id, u.name, identifiers"
    "      from customers u cross join lateral ("
    "        select coalesce(json_agg(identifier), '[]') as identifiers from ("
    "          select i.kind, i.value, i.assurance, i.resolves"
    "            from customer_identifiers i where i.customer_id = u.id"
    "           order by i.created_at, i.kind) identifier) i"
    "     where u.id = t.customer_id) customer"

    "   cross join lateral ("
    "    select c.id, c.state as owner, to_char(c.started_at, $3) as started_at,"
    "           to_char(c.last_activity_at, $3) as last_activity_at,"
    "           to_char(c.closed_at, $3) as closed_at"
    "      from conversations c where c.id = t.id) conversation"

    "   cross join lateral (select coalesce(json_agg(message), '[]') as messages from ("
    "    select m.id, m.unit_id as unit, m.direction, m.author, m.body, m.sources, m.sentiment,"
    "           to_char(case m.direction when 'inbound' then coalesce(m.received_at, m.created_at)"
    "                                    else m.created_at end, $3) as at"
    "      from messages m where m.customer_id = t.customer_id and m.conversation_id = t.id"
    "     order by m.seq) message) m"

    "   cross join lateral (select coalesce(json_agg(escalation), '[]') as escalations from ("
    "    select e.id as unit, e.reason, e.evidence, e.summary, e.status, e.sentiment, e.context,"
    "           to_char(e.created_at, $3) as at"
    "      from escalations e where e.ticket_id = t.id"
    "     order by e.created_at) escalation) e"

    "   cross join lateral (select coalesce(json_agg(remark), '[]') as notes from ("
    "    select n.unit_id as unit, n.kind, n.note, to_char(n.created_at, $3) as at"
    "      from ticket_notes n where n.ticket_id = t.id"
    "     order by n.created_at) remark) n"

    "   cross join lateral (select coalesce(json_agg(step), '[]') as steps from ("
    "    select r.unit_id as unit, r.step, r.tool, r.arguments, r.result,"
    "           to_char(r.created_at, $3) as at"
    "      from messages m join agent_runs r on r.unit_id = m.id"
    "     where m.customer_id = t.customer_id and m.conversation_id = t.id"
    "     order by m.seq, r.step) step) s"

    "   where t.ref = $1 or t.id = $2"
    ") row",
};

/* $1 identifier or null, $2 id or null, $3 the format of times. No customer: null. */
static const struct pg_stmt customers = {
    "view_customers",
    "with wanted as ("
    "  select customer_id as id from customer_identifiers where value = $1 union select $2"
    ")"
    "select json_agg(row) from ("
    "  select u.id, u.name, u.metadata, to_char(u.created_at, $3) as created_at,"
    "         identifiers, conversations"
    "    from wanted join customers u on u.id = wanted.id"

    "   cross join lateral (select coalesce(json_agg(identifier), '[]') as identifiers from ("
    "    select i.kind, i.value, i.assurance, i.resolves"
    "      from customer_identifiers i where i.customer_id = u.id"
    "     order by i.created_at, i.kind) identifier) i"

    "   cross join lateral (select coalesce(json_agg(conversation), '[]') as conversations from ("
    "    select c.id, t.ref as ticket, t.status, c.state as owner, c.channel, c.subject,"
    "           (select count(*) from messages m"
    "             where m.customer_id = u.id and m.conversation_id = c.id) as messages,"
    "           to_char(c.started_at, $3) as started_at,"
    "           to_char(c.last_activity_at, $3) as last_activity_at,"
    "           to_char(c.closed_at, $3) as closed_at"
    "      from conversations c left join tickets t on t.id = c.id"
    "     where c.customer_id = u.id"
    "     order by c.started_at) conversation) c"

    "   order by u.created_at, u.id"
    ") row",
};

void
view_tickets(struct pg_txn *t, struct str status, int64_t limit)
{
    pg_stmt(t, &tickets);
    pg_put_text(t, status.p ? status : STR(""));
    pg_put_int(t, limit);
    pg_put_text(t, TIME_FORMAT);
}

/* Of `name` and `id` the other one is null. */
static void
named(struct pg_txn *t, const struct pg_stmt *stmt, struct str name, const struct id *id)
{
    pg_stmt(t, stmt);
    pg_put_text(t, name);
    if (id) {
        pg_put_id(t, *id);
    } else {
        pg_put_null(t);
    }
    pg_put_text(t, TIME_FORMAT);
}

void
view_ticket(struct pg_txn *t, struct str ref)
{
    named(t, &ticket, ref, NULL);
}

void
view_ticket_by_id(struct pg_txn *t, struct id id)
{
    named(t, &ticket, (struct str){0}, &id);
}

void
view_customers(struct pg_txn *t, struct str value)
{
    named(t, &customers, value, NULL);
}

void
view_customer_by_id(struct pg_txn *t, struct id id)
{
    named(t, &customers, (struct str){0}, &id);
}

struct str
view_get(const PGresult *r)
{
    if (PQntuples(r) == 0 || pg_null(r, 0, 0)) {
        return (struct str){0};
    }
    return pg_json(r, 0, 0);
}
