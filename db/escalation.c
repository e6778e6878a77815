#include "db/escalation.h"

#include "proto/runtime/fault.h"

#define NO_OTHER_OUTCOME                                                                           \
    SQL_SAFEGUARD("other_outcomes",                                                                \
                  "not exists (select from outbox o where o.id = u.unit) and not exists"           \
                  " (select from dead_letters d where d.unit_id = u.unit and d.state = 'dead')")

static const struct pg_stmt customers = {
    "escalation_customers",
    "select c.id, c.name,"
    "       coalesce((select jsonb_agg(jsonb_build_object('kind', kind, 'value', value,"
    "                                                     'assurance', assurance)"
    "                                  order by created_at, kind)"
    "                   from customer_identifiers i where i.customer_id = c.id), '[]')"
    "  from customers c where c.id = any($1::uuid[])",
};

void
escalation_put_customers(struct pg_txn *t, const struct id *ids, size_t n)
{
    pg_stmt(t, &customers);
    pg_array(t, PG_ID);
    for (size_t i = 0; i < n; i++) {
        pg_put_id(t, ids[i]);
    }
    pg_array_end(t);
}

void
escalation_get_customer(const PGresult *r, int row, struct escalation_customer *ret)
{
    ret->id = pg_id(r, row, 0);
    ret->name = (struct str){0};
    if (!pg_null(r, row, 1)) {
        ret->name = pg_text(r, row, 1);
    }
    ret->identifiers = pg_json(r, row, 2);
}

/* A unit that has its reply or its dead letter gets no escalation, whoever asks. The row that was
 * stored first is the one that is told, to a replay as well. */
static const struct pg_stmt store = {
    "escalation_store",
    "with u as materialized ("
    "  select * from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::jsonb[], "
    "$6::text[],"
    "                       $7::jsonb[], $8::float8[], $9::timestamptz[])"
    "    as u(unit, conversation, customer, reason, evidence, summary, context, sentiment, "
    "received)"
    "), born as ("
    "  insert into escalations (id, ticket_id, customer_id, reason, evidence, summary, context,"
    "                           sentiment, received_at)"
    "  select unit, conversation, customer, reason, evidence, summary, context, sentiment, received"
    "    from u"
    "   where " NO_OTHER_OUTCOME "  on conflict (id) do nothing"
    "  returning id, ticket_id, reason, summary, context, created_at"
    "), held as ("
    "  update conversations c set state = 'human', last_activity_at = now()"
    "    from born b where c.id = b.ticket_id"
    "), flagged as ("
    "  update tickets t set status = 'escalated', resolved_at = null, updated_at = now()"
    "    from born b where t.id = b.ticket_id"
    ") "
    "select u.unit, coalesce(b.id, e.id) is not null, t.ref, coalesce(b.reason, e.reason),"
    "       coalesce(b.summary, e.summary), coalesce(b.context, e.context),"
    "       coalesce(b.created_at, e.created_at)"
    "  from u"
    "  left join born b on b.id = u.unit"
    "  left join escalations e on e.id = u.unit"
    "  left join tickets t on t.id = u.conversation",
};

#define PUT_EACH(t, kind, put)                                                                     \
    do {                                                                                           \
        pg_array(t, kind);                                                                         \
        for (size_t i_ = 0; i_ < n; i_++) {                                                        \
            const struct escalation *e = escalations[i_];                                          \
            put;                                                                                   \
        }                                                                                          \
        pg_array_end(t);                                                                           \
    } while (0)

void
escalation_put(struct pg_txn *t, const struct escalation *const *escalations, size_t n)
{
    pg_stmt(t, &store);
    PUT_EACH(t, PG_ID, pg_put_id(t, e->unit));
    PUT_EACH(t, PG_ID, pg_put_id(t, e->conversation));
    PUT_EACH(t, PG_ID, pg_put_id(t, e->customer));
    PUT_EACH(t, PG_TEXT, pg_put_text(t, str_of(e->reason)));
    PUT_EACH(t, PG_JSON, e->evidence.p ? pg_put_json(t, e->evidence) : pg_put_null(t));
    PUT_EACH(t, PG_TEXT, pg_put_text(t, e->summary));
    PUT_EACH(t, PG_JSON, pg_put_json(t, e->context));
    PUT_EACH(t, PG_FLOAT, e->has_sentiment ? pg_put_float(t, e->sentiment) : pg_put_null(t));
    PUT_EACH(t, PG_TIME, pg_put_time(t, e->received_us));
}

void
escalation_get(const PGresult *r, int row, struct escalation_stored *ret)
{
    bool stored = pg_bool(r, row, 1);

    *ret = (struct escalation_stored){.unit = pg_id(r, row, 0), .ref = pg_text(r, row, 2)};
    ret->outcome = stored ? ESCALATION_STORED : ESCALATION_NONE;
    if (stored) {
        ret->reason = pg_text(r, row, 3);
        ret->summary = pg_text(r, row, 4);
        ret->context = pg_json(r, row, 5);
        ret->at_us = pg_time(r, row, 6);
    }
}
