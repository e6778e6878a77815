#include "db/conversation.h"

/* Rule 3's second half. It stands alone and first: one statement could not free the key "the open
 * conversation of this customer" and take it again. */
static const struct pg_stmt expire = {
    "conversation_expire",
    "update conversations c set closed_at = now()"
    "  from unnest($1::uuid[], $2::text[], $3::uuid[]) as u(customer, channel, follow)"
    " where c.customer_id = u.customer and c.channel = u.channel and c.closed_at is null"
    "   and c.last_activity_at < now() - $4::bigint * interval '1 millisecond'"
    "   and not exists (select from messages m"
    "                    where m.link_id = u.follow and m.conversation_id = c.id)",
};

/* The laterals with a limit keep each look-up a look-up: one index, one key, whatever the planner
 * thinks. `on conflict do nothing` is for a second writer without our lock: the row that stands
 * wins, and `whole` tells. */
static const struct pg_stmt place = {
    "conversation_place",
    "with u as materialized ("
    "  select * from unnest($1::uuid[], $2::uuid[], $3::text[], $4::uuid[], $5::text[], $6::text[],"
    "                       $7::text[], $8::text[])"
    "    as u(unit, customer, channel, follow, subject, category, priority, ref)"
    "), found as materialized ("
    "  select u.*, s.unit_id as stored, coalesce(s.conversation_id, l.id, o.id) as conversation"
    "    from u"
    "    left join lateral (select unit_id, conversation_id from messages"
    "                        where id = u.unit limit 1) s on true"
    "    left join lateral (select id from conversations"
    "                        where customer_id = u.customer and channel = u.channel"
    "                          and closed_at is null limit 1) o on true"
    "    left join lateral (select c.id"
    "                         from messages m join conversations c on c.id = m.conversation_id"
    "                        where m.link_id = u.follow and c.customer_id = u.customer"
    "                          and c.channel = u.channel and (c.closed_at is null or o.id is null)"
    "                        limit 1) l on true"
    "), born as ("
    "  insert into conversations (id, customer_id, channel, subject)"
    "  select unit, customer, channel, subject from found where conversation is null"
    "  on conflict do nothing"
    "), ticketed as ("
    "  insert into tickets (id, customer_id, ref, channel, subject, category, priority)"
    "  select unit, customer, ref, channel, subject, category, priority"
    "    from found where conversation is null"
    "), added as ("
    "  insert into messages (id, conversation_id, customer_id, unit_id, link_id, channel, "
    "direction,"
    "                        author, body, received_at)"
    "  select m.id, coalesce(f.conversation, f.unit), f.customer, f.unit, m.link, f.channel,"
    "         'inbound', 'customer', m.body, m.at"
    "    from unnest($9::uuid[], $10::uuid[], $11::uuid[], $12::text[], $13::timestamptz[])"
    "         with ordinality as m(unit, id, link, body, at, n)"
    "    join found f on f.unit = m.unit"
    "   where f.stored is null"
    "   order by m.n"
    "  on conflict (id) do nothing"
    "  returning id, unit_id"
    "), touched as ("
    "  update conversations c set last_activity_at = now(), closed_at = null"
    "    from found f where c.id = f.conversation and f.stored is null"
    "), reopened as ("
    "  update tickets t set status = 'open', resolved_at = null, updated_at = now()"
    "    from found f where t.id = f.conversation and f.stored is null"
    "     and t.status in ('resolved', 'closed')"
    ") "
    "select f.unit, f.stored is not null,"
    /* Counts as whole: each of its messages was added now, or stands under this unit. */
    "       (f.stored is null or f.stored = f.unit) and not exists ("
    "         select from unnest($9::uuid[], $10::uuid[]) as m(unit, id)"
    "          where m.unit = f.unit and m.id not in (select id from added)"
    "            and not exists (select from messages s where s.id = m.id and s.unit_id = f.unit)),"
    "       coalesce(f.conversation, f.unit), coalesce(t.ref, f.ref),"
    "       coalesce(c.state = 'human', false), p.sentiment"
    "  from found f"
    "  left join tickets t on t.id = f.conversation"
    "  left join conversations c on c.id = f.conversation"
    "  left join lateral ("
    "    select m.sentiment from messages m"
    "     where m.customer_id = f.customer and m.conversation_id = f.conversation"
    "       and m.direction = 'inbound' and m.unit_id <> f.unit and m.sentiment is not null"
    "       and m.seq < coalesce((select seq from messages s where s.id = f.unit),"
    "                            9223372036854775807)"
    "     order by m.seq desc limit 1) p on f.conversation is not null",
};

static void
put_optional_id(struct pg_txn *t, struct id id)
{
    if (id_is_nil(id)) {
        pg_put_null(t);
    } else {
        pg_put_id(t, id);
    }
}

/* One array parameter with an element per request. */
#define PUT_EACH(t, kind, requests, n, put)                                                        \
    do {                                                                                           \
        pg_array(t, kind);                                                                         \
        for (size_t i_ = 0; i_ < (n); i_++) {                                                      \
            const struct conversation_request *r = (requests)[i_];                                 \
            put;                                                                                   \
        }                                                                                          \
        pg_array_end(t);                                                                           \
    } while (0)

/* One array parameter with an element per message. */
#define PUT_EACH_MESSAGE(t, kind, requests, n, put)                                                \
    do {                                                                                           \
        pg_array(t, kind);                                                                         \
        for (size_t i_ = 0; i_ < (n); i_++) {                                                      \
            const struct conversation_request *r = (requests)[i_];                                 \
            for (size_t k_ = 0; k_ < r->n; k_++) {                                                 \
                const struct conversation_message *m = &r->messages[k_];                           \
                (void)m;                                                                           \
                put;                                                                               \
            }                                                                                      \
        }                                                                                          \
        pg_array_end(t);                                                                           \
    } while (0)

void
conversation_put(struct pg_txn *t, const struct conversation_request *const *requests, size_t n,
                 int64_t window_ms)
{
    pg_stmt(t, &expire);
    PUT_EACH(t, PG_ID, requests, n, pg_put_id(t, r->customer));
    PUT_EACH(t, PG_TEXT, requests, n, pg_put_text(t, r->channel));
    PUT_EACH(t, PG_ID, requests, n, put_optional_id(t, r->follow));
    pg_put_int(t, window_ms);

    pg_stmt(t, &place);
    PUT_EACH(t, PG_ID, requests, n, pg_put_id(t, r->unit));
    PUT_EACH(t, PG_ID, requests, n, pg_put_id(t, r->customer));
    PUT_EACH(t, PG_TEXT, requests, n, pg_put_text(t, r->channel));
    PUT_EACH(t, PG_ID, requests, n, put_optional_id(t, r->follow));
    PUT_EACH(t, PG_TEXT, requests, n, pg_put_text(t, r->subject));
    PUT_EACH(t, PG_TEXT, requests, n, pg_put_text(t, r->category));
    PUT_EACH(t, PG_TEXT, requests, n, pg_put_text(t, r->priority));
    PUT_EACH(t, PG_TEXT, requests, n, pg_put_text(t, str_of(r->ref)));
    PUT_EACH_MESSAGE(t, PG_ID, requests, n, pg_put_id(t, r->unit));
    PUT_EACH_MESSAGE(t, PG_ID, requests, n, pg_put_id(t, m->id));
    PUT_EACH_MESSAGE(t, PG_ID, requests, n, put_optional_id(t, r->link));
    PUT_EACH_MESSAGE(t, PG_TEXT, requests, n, pg_put_text(t, m->text));
    PUT_EACH_MESSAGE(t, PG_TIME, requests, n, pg_put_time(t, m->at_us));
}

void
conversation_get(const PGresult *r, int row, struct conversation_place *ret)
{
    ret->unit = pg_id(r, row, 0);
    ret->known = pg_bool(r, row, 1);
    ret->whole = pg_bool(r, row, 2);
    ret->conversation = pg_id(r, row, 3);
    ret->ref = pg_text(r, row, 4);
    ret->human = pg_bool(r, row, 5);
    ret->has_previous = !pg_null(r, row, 6);
    ret->previous_sentiment = ret->has_previous ? pg_float(r, row, 6) : 0;
}
