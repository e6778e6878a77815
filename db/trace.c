#include "db/trace.h"

/* The unit's messages are found by its customer: there is no index by unit, and none is worth its
 * cost for a question that a person asks. */
static const struct pg_stmt steps = {
    "trace_steps",
    "with u as (select coalesce((select unit_id from messages where id = $1),"
    "   (select unit from log_records where id = $1 and unit is not null limit 1), $1) as unit),"
    " m as (select o.* from u join messages f on f.id = u.unit"
    "  join messages o on o.customer_id = f.customer_id and o.seq >= f.seq and o.unit_id = u.unit),"
    " l as (select * from log_records where id in (select unit from u union select id from m)"
    "  union select r.* from u join log_records r on r.unit = u.unit),"
    " k as (select * from kafka_records where id in (select unit from u union select id from m)"
    "  union select r.* from u join kafka_records r on r.unit = u.unit),"
    " s as ("
    " select seen_at as at, 0 as rank, 'log' as step, 'Kafka: ' || topic || '/' || partition || "
    "'@' ||"
    "   record_offset as detail from k union all"
    " select received_at as at, 0 as rank, 'log' as step, l.topic || '/' || l.partition || '@' ||"
    "   l.record_offset || case when p.position >= l.record_offset then ', settled' else '' end"
    "   as detail"
    "  from l left join log_partitions p on p.topic = l.topic and p.partition = l.partition "
    "union all"
    " select m.created_at, 1, 'stored', 'message ' || m.id || ' in ticket ' || coalesce(t.ref, '-')"
    "  from m left join tickets t on t.id = m.conversation_id where m.direction = 'inbound' "
    "union all"
    " select a.created_at, 1 + a.step, 'agent', a.tool from u join agent_runs a on a.unit_id = "
    "u.unit "
    "union all"
    " select m.created_at, 20, 'reply', 'message ' || m.id || ' by ' || m.author"
    "  from m where m.direction = 'outbound' "
    "union all"
    " select coalesce(o.sent_at, o.created_at), 21, 'outbox', o.state from u"
    "  join outbox o on o.id = u.unit "
    "union all"
    " select e.created_at, 20, 'escalated', e.reason from u join escalations e on e.id = u.unit "
    "union all"
    " select d.created_at, 20, 'dead letter', d.error || ' at ' || d.service || ' after ' ||"
    "   d.attempts || ' attempts: ' || d.why from u join dead_letters d on d.unit_id = u.unit "
    "union all"
    " select d.closed_at, 20, d.state, 'dead letter closed' from u"
    "  join dead_letters d on d.unit_id = u.unit where d.closed_at is not null)"
    " select u.unit, s.at, s.step, s.detail from s, u order by s.at, s.rank, s.detail",
};

void
trace_read(struct pg_txn *t, struct id id)
{
    pg_stmt(t, &steps);
    pg_put_id(t, id);
}
