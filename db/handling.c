#include "db/handling.h"

static const struct pg_stmt gate = {
    "handling_gate",
    "with t as materialized (select id, pg_advisory_xact_lock(lock_key(customer_id))"
    "                          from tickets where ref = $1 or id = $2)"
    " select c.id from t join conversations c on c.id = t.id for update of c",
};

/* Begins each statement below: the ticket as it was, and the customer's newest message in it. */
#define TICKET                                                                                     \
    "with t as materialized ("                                                                     \
    "  select k.id, k.ref, k.customer_id, k.channel, k.status, c.state, c.closed_at,"              \
    "         coalesce(m.unit_id, k.id) as unit"                                                   \
    "    from tickets k join conversations c on c.id = k.id"                                       \
    "    left join lateral ("                                                                      \
    "      select m.unit_id from messages m"                                                       \
    "        left join escalations e on e.id = m.unit_id and e.status <> 'closed'"                 \
    "       where m.customer_id = k.customer_id and m.conversation_id = k.id"                      \
    "         and m.direction = 'inbound'"                                                         \
    "       order by e.id is not null desc, m.seq desc limit 1) m on true"                         \
    "   where k.ref = $1 or k.id = $2"                                                             \
    ")"

/* The last column: true where the message stands as it was asked for, null where it was born now.
 */
static const struct pg_stmt reply_to = {
    "handling_reply",
    TICKET
    ", born as ("
    "  insert into messages (id, conversation_id, customer_id, unit_id, channel, direction, author,"
    "                        body)"
    "  select $3, id, customer_id, unit, channel, 'outbound', 'person', $4 from t"
    "  on conflict (id) do nothing"
    "  returning conversation_id as ticket"
    "), taken as ("
    "  update escalations e set status = 'taken' from born b"
    "   where e.ticket_id = b.ticket and e.status = 'open'"
    "), touched as ("
    "  update conversations c set last_activity_at = now() from born b where c.id = b.ticket"
    "), changed as ("
    "  update tickets k set updated_at = now() from born b where k.id = b.ticket"
    ")"
    " select t.id, t.ref, t.status, t.state, b.ticket is not null,"
    "        (select m.conversation_id = t.id and m.author = 'person' and m.body = $4"
    "           from messages m where m.id = $3)"
    "   from t left join born b on b.ticket = t.id",
};

static const struct pg_stmt release = {
    "handling_release",
    TICKET
    ", freed as ("
    "  update conversations c set state = 'automatic' from t"
    "   where c.id = t.id and c.state = 'human'"
    "  returning c.id as ticket, t.unit"
    "), opened as ("
    "  update tickets k set status = 'open', resolved_at = null, updated_at = now() from freed f"
    "   where k.id = f.ticket and k.status = 'escalated'"
    "  returning k.status"
    "), shut as ("
    "  update escalations e set status = 'closed' from freed f"
    "   where e.ticket_id = f.ticket and e.status <> 'closed'"
    "), noted as ("
    "  insert into ticket_notes (ticket_id, unit_id, kind, note)"
    "  select ticket, unit, 'released', 'A person gave the conversation back.' from freed"
    "  on conflict (ticket_id, unit_id, kind) do update set created_at = now()"
    ")"
    " select t.id, t.ref, coalesce((select status from opened), t.status),"
    "        'automatic', f.ticket is not null, true"
    "   from t left join freed f on f.ticket = t.id",
};

static const struct pg_stmt close_ticket = {
    "handling_close",
    TICKET
    ", ending as (select * from t where status <> 'closed' or state = 'human' or closed_at is null"
    "), ended as ("
    "  update conversations c set state = 'automatic', closed_at = coalesce(c.closed_at, now())"
    "    from ending e where c.id = e.id"
    "), shut as ("
    "  update escalations e set status = 'closed' from ending n"
    "   where e.ticket_id = n.id and e.status <> 'closed'"
    "), changed as ("
    "  update tickets k set status = 'closed', resolved_at = coalesce(k.resolved_at, now()),"
    "                       updated_at = now()"
    "    from ending e where k.id = e.id"
    "), noted as ("
    "  insert into ticket_notes (ticket_id, unit_id, kind, note)"
    "  select id, unit, 'closed', 'A person closed the ticket.' from ending"
    "  on conflict (ticket_id, unit_id, kind) do update set created_at = now()"
    ")"
    " select t.id, t.ref, 'closed', 'automatic', e.id is not null, true"
    "   from t left join ending e on e.id = t.id",
};

enum column { COL_ID, COL_REF, COL_STATUS, COL_OWNER, COL_CHANGED, COL_SAME };

static void
put_ticket(struct pg_txn *t, const struct pg_stmt *stmt, const struct handling_ticket *ticket)
{
    pg_stmt(t, stmt);
    if (ticket->ref[0] != '\0') {
        pg_put_text(t, str_of(ticket->ref));
        pg_put_null(t);
    } else {
        pg_put_null(t);
        pg_put_id(t, ticket->id);
    }
}

void
handling_reply(struct pg_txn *t, const struct handling_ticket *ticket, struct id message,
               struct str text)
{
    put_ticket(t, &gate, ticket);
    put_ticket(t, &reply_to, ticket);
    pg_put_id(t, message);
    pg_put_text(t, text);
}

void
handling_release(struct pg_txn *t, const struct handling_ticket *ticket)
{
    put_ticket(t, &gate, ticket);
    put_ticket(t, &release, ticket);
}

void
handling_close(struct pg_txn *t, const struct handling_ticket *ticket)
{
    put_ticket(t, &gate, ticket);
    put_ticket(t, &close_ticket, ticket);
}

void
handling_get(const struct pg_reply *reply, struct handling_result *ret)
{
    const PGresult *r = reply->results[1];

    *ret = (struct handling_result){.outcome = HANDLING_UNKNOWN};
    if (PQntuples(r) == 0) {
        return;
    }
    ret->ticket = pg_id(r, 0, COL_ID);
    ret->ref = pg_text(r, 0, COL_REF);
    ret->status = pg_text(r, 0, COL_STATUS);
    ret->owner = pg_text(r, 0, COL_OWNER);
    if (pg_bool(r, 0, COL_CHANGED)) {
        ret->outcome = HANDLING_DONE;
    } else if (!pg_null(r, 0, COL_SAME) && pg_bool(r, 0, COL_SAME)) {
        ret->outcome = HANDLING_STANDS;
    } else {
        ret->outcome = HANDLING_CONFLICT;
    }
}
