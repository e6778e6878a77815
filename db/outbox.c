#include "db/outbox.h"

#include "proto/runtime/fault.h"

#define NOBODY_ELSES SQL_SAFEGUARD("gate", "c.state = 'automatic'")
#define NO_OTHER_OUTCOME                                                                           \
    SQL_SAFEGUARD("other_outcomes",                                                                \
                  "not exists (select from escalations e where e.id = u.unit) and not exists"      \
                  " (select from dead_letters d where d.unit_id = u.unit and d.state = 'dead')")

/* The gate is the update: a conversation that a person took meanwhile is waited for, looked at
 * again, and passed over. Everything after it follows from its rows. */
static const struct pg_stmt delivered = {
    "outbox_delivered",
    "with u as materialized ("
    "  select * from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::text[], "
    "$6::jsonb[],"
    "                       $7::boolean[], $8::timestamptz[])"
    "    as u(unit, conversation, customer, message, body, sources, content, received)"
    "), gate as ("
    "  update conversations c set last_activity_at = now()"
    "    from u"
    "   where c.id = u.conversation and c.customer_id = u.customer and " NOBODY_ELSES
    "     and not exists (select from outbox o where o.id = u.unit) and " NO_OTHER_OUTCOME
    "  returning u.unit"
    "), born as ("
    "  insert into outbox (id, conversation_id, channel, state, message_id, sent_at)"
    "  select u.unit, u.conversation, $9::text, 'SENT', u.message, now()"
    "    from gate g join u on u.unit = g.unit"
    "  on conflict (id) do nothing"
    "  returning id"
    "), replied as ("
    "  insert into messages (id, conversation_id, customer_id, unit_id, channel, direction, author,"
    "                        body, sources, received_at)"
    "  select u.message, u.conversation, u.customer, u.unit, $9::text, 'outbound', 'fte', u.body,"
    "         u.sources, u.received"
    "    from born b join u on u.unit = b.id"
    "), resolved as ("
    "  update tickets t set status = 'resolved', resolved_at = now(), updated_at = now()"
    "    from born b join u on u.unit = b.id"
    "   where t.id = u.conversation and t.status = 'open' and u.content"
    ") "
    "select u.unit, b.id is not null"
    "       or exists (select from outbox o where o.id = u.unit and o.state = 'SENT'),"
    "       exists (select from dead_letters d where d.unit_id = u.unit and d.state = 'dead')"
    "  from u left join born b on b.id = u.unit",
};

#define PUT_EACH(t, kind, put)                                                                     \
    do {                                                                                           \
        pg_array(t, kind);                                                                         \
        for (size_t i_ = 0; i_ < n; i_++) {                                                        \
            const struct outbox_reply *r = replies[i_];                                            \
            put;                                                                                   \
        }                                                                                          \
        pg_array_end(t);                                                                           \
    } while (0)

void
outbox_put_delivered(struct pg_txn *t, struct str channel,
                     const struct outbox_reply *const *replies, size_t n)
{
    pg_stmt(t, &delivered);
    PUT_EACH(t, PG_ID, pg_put_id(t, r->unit));
    PUT_EACH(t, PG_ID, pg_put_id(t, r->conversation));
    PUT_EACH(t, PG_ID, pg_put_id(t, r->customer));
    PUT_EACH(t, PG_ID, pg_put_id(t, id_derive_from("reply", r->unit)));
    PUT_EACH(t, PG_TEXT, pg_put_text(t, r->text));
    PUT_EACH(t, PG_JSON, r->sources.p ? pg_put_json(t, r->sources) : pg_put_null(t));
    PUT_EACH(t, PG_BOOL, pg_put_bool(t, r->content));
    PUT_EACH(t, PG_TIME, pg_put_time(t, r->received_us));
    pg_put_text(t, channel);
}

void
outbox_get(const PGresult *r, int row, struct id *ret_unit, enum outbox_outcome *ret_outcome)
{
    *ret_unit = pg_id(r, row, 0);
    *ret_outcome = pg_bool(r, row, 1)   ? OUTBOX_SENT
                   : pg_bool(r, row, 2) ? OUTBOX_DEAD
                                        : OUTBOX_REFUSED;
}
