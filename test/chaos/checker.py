"""The judge of a chaos run: reads the database and the clients' journal, and says what is wrong.

It knows nothing of how the system works, only what it promises (docs/architecture.md). Each check is
a statement that finds violations: no row, no violation. checker_test.py doctors a healthy history for
each check and wants it to be found.
"""

import uuid

NAMESPACE = uuid.UUID("5f1b0c9e-3d52-4a77-9c61-0e84b24d7a13")

# (name, why it must hold, SQL that gives one row per violation)
CHECKS = [
    ("one_outcome", "an accepted message ends in exactly one of reply, escalation, dead letter (P1, P2)",
     """select u.unit_id::text, r.n, e.n, d.n
          from (select distinct unit_id from messages where direction = 'inbound') u
          cross join lateral (select count(*) n from messages m
             where m.unit_id = u.unit_id and m.direction = 'outbound' and m.author = 'fte') r
          cross join lateral (select count(*) n from escalations x where x.id = u.unit_id) e
          cross join lateral (select count(*) n from dead_letters l
             where l.unit_id = u.unit_id and l.state <> 'replayed') d
         where r.n + e.n + d.n <> 1"""),
    ("one_ticket", "a conversation has one ticket (P2)",
     """select c.id::text, count(t.id) from conversations c left join tickets t on t.conversation_id = c.id
         group by c.id having count(t.id) <> 1"""),
    ("one_reply", "a message gets at most one reply (P2)",
     """select unit_id::text, count(*) from messages where direction = 'outbound' and author = 'fte'
         group by unit_id having count(*) > 1"""),
    ("one_sending", "a reply that left stands in the outbox, and what stands there left (P2)",
     """select coalesce(o.id, m.unit_id)::text from (select * from outbox where state = 'SENT') o
          full join (select * from messages where direction = 'outbound' and author = 'fte') m
            on m.unit_id = o.id where o.id is null or m.unit_id is null"""),
    # A person who gives a conversation back closes its escalations.
    ("no_reply_after_escalation", "after a handover nothing is answered automatically (P4)",
     """select m.unit_id::text from messages m join escalations e using (conversation_id)
         where m.direction = 'outbound' and m.author = 'fte' and m.created_at > e.created_at
           and e.status <> 'closed'"""),
    ("order", "replies follow the order of the messages (P3)",
     """select conversation_id::text, unit_id::text from (
          select q.conversation_id, q.unit_id, r.seq as reply,
                 max(r.seq) over (partition by q.conversation_id order by q.first
                                  rows between unbounded preceding and 1 preceding) as before
            from (select conversation_id, unit_id, min(seq) as first from messages
                   where direction = 'inbound' group by 1, 2) q
            join messages r on r.unit_id = q.unit_id and r.direction = 'outbound' and r.author = 'fte') x
         where reply < before"""),
    ("one_customer", "an address that resolves names one customer (P2)",
     """select kind, assurance, count(distinct customer_id) from customer_identifiers where resolves
         group by kind, assurance, value having count(distinct customer_id) > 1"""),
    ("evidence", "a reply has its evidence: ticket, history, one or two searches, send, in this order (P4)",
     """select m.unit_id::text, a.tools from messages m
          left join lateral (select string_agg(tool, ' ' order by step) as tools from agent_runs
             where unit_id = m.unit_id) a on true
         where m.direction = 'outbound' and m.author = 'fte' and coalesce(a.tools, '') !~
           '^create_ticket get_customer_history (search_knowledge_base ){1,2}send_response'"""),
    ("handed_over", "an escalated conversation belongs to a person, and its ticket says so (P4)",
     """select e.id::text from escalations e join conversations c on c.id = e.conversation_id
          join tickets t on t.id = e.ticket_id where c.state <> 'human' or t.status <> 'escalated'"""),
]


def message_id(email, submission_id):
    """The id of a submission: id_derive ("envelope:webform", e-mail \\x1f submission id), proto/id.h."""
    return str(uuid.uuid5(NAMESPACE, f"envelope:webform\x1f{email}\x1f{submission_id}"))


def check(sql, accepted):
    """`sql(query)` gives rows; `accepted` are the ids of messages that got a 202. A list of
    (check, violation)."""
    found = []
    stored = {row[0] for row in sql("select id::text from messages where direction = 'inbound'")}
    stored |= {row[0] for row in sql("select unit_id::text from dead_letters where unit_id is not null")}
    for one in accepted:
        if one not in stored:
            found.append(("nothing_lost", one))
    for name, _, query in CHECKS:
        found.extend((name, row) for row in sql(query))
    return found
