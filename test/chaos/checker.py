"""The judge of a chaos run: reads the clients' journal, the database and the topics, and says what is wrong.

    checker.py JOURNAL --database URL [--kafka BROKERS]

It knows nothing of how the system works, only what it promises (docs/architecture.md). INVARIANTS are the ten
promises; each check finds violations of one of them: no row, no violation. checker_test.py doctors a healthy
history for each check and wants it to be found; safeguards_test.py takes the safeguards away from a live system. The
journal is written by whoever sends: a line of JSON for each try, {"at", "id", "status"}, with the id of the message;
a 202 is what the promises begin with.
"""

import argparse
import hashlib
import json
import os
import sys
import uuid

import psycopg2

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "integration"))
from topics import KafkaTopics, PostgresTopics  # noqa: E402

INCOMING = "fte.tickets.incoming"
NAMESPACE = uuid.UUID("5f1b0c9e-3d52-4a77-9c61-0e84b24d7a13")

INVARIANTS = {
    "one outcome": "an accepted message ends in exactly one of reply, escalation, dead letter: whoever got a 2xx is told something,"
                   " and only one thing (P1, P2)",
    "in the log": "nothing that was accepted is missing in the log: the 2xx said that it is there (P1)",
    "one customer": "an identifier that resolves names one customer: two would split a person's history (P2)",
    "one ticket": "a conversation has one ticket, whatever is delivered how often (P2)",
    "one reply": "a message gets at most one reply on the provider's side: what left can't be taken back (P2)",
    "one escalation": "a message is handed over at most once, and whoever reads the topic is told (P2)",
    "no reply after": "nothing is answered automatically after a handover or while a person owns the conversation (P4)",
    "order": "replies follow the order of the messages (P3)",
    "evidence": "a reply has its evidence: ticket, history, one or two searches, send, in this order (P4)",
    "dead letters told": "a message that was given up is told to a person: on its ticket and on the topic (P1)",
}

# (check, invariant, SQL that gives one row per violation)
CHECKS = [
    # By message and not by unit: a letter may tell of messages that another unit has answered.
    ("one_outcome", "one outcome",
     """select i.id::text, r.n, e.n, d.n from messages i
          cross join lateral (select count(*) n from messages m
             where m.unit_id = i.unit_id and m.direction = 'outbound' and m.author = 'fte') r
          cross join lateral (select count(*) n from escalations x where x.id = i.unit_id) e
          cross join lateral (select count(*) n from dead_letters l
             where (l.unit_id = i.unit_id or i.id = any(l.message_ids)) and l.state <> 'replayed') d
         where i.direction = 'inbound' and r.n + e.n + d.n <> 1"""),
    ("stored_once", "one outcome", "select id::text, count(*) from messages group by id having count(*) > 1"),
    ("outcome_of_nothing", "one outcome",
     """select o.id::text from (select unit_id as id from messages where direction = 'outbound' and author = 'fte'
                                union select id from escalations) o
         where not exists (select from messages m where m.id = o.id and m.direction = 'inbound')"""),
    ("one_ticket", "one ticket",
     """select c.id::text, count(t.id) from conversations c left join tickets t on t.conversation_id = c.id
         group by c.id having count(t.id) <> 1"""),
    # What is written now belongs to the open one: two would be two tickets for one matter.
    ("one_conversation", "one ticket",
     """select customer_id::text, channel, count(*) from conversations where closed_at is null
         group by 1, 2 having count(*) > 1"""),
    ("one_reply", "one reply",
     """select unit_id::text, count(*) from messages where direction = 'outbound' and author = 'fte'
         group by unit_id having count(*) > 1"""),
    ("one_sending", "one reply",
     """select coalesce(o.id, m.unit_id)::text from (select * from outbox where state = 'SENT') o
          full join (select * from messages where direction = 'outbound' and author = 'fte') m
            on m.unit_id = o.id where o.id is null or m.unit_id is null"""),
    ("one_escalation", "one escalation",
     "select id::text, count(*) from escalations group by id having count(*) > 1"),
    # A person who gives a conversation back closes its escalations. Until then nothing that came later is answered. By
    # the order of the messages, too: a transaction's time is that of its begin, not of its commit.
    ("no_reply_after_escalation", "no reply after",
     """select m.unit_id::text from messages m join escalations e using (conversation_id)
          left join messages q on q.id = e.id left join messages i on i.id = m.unit_id
         where m.direction = 'outbound' and m.author = 'fte' and e.status <> 'closed' and m.unit_id <> e.id
           and (m.created_at > e.created_at or i.seq > q.seq)"""),
    ("no_reply_while_owned", "no reply after",
     """select m.unit_id::text from messages m join escalations e using (conversation_id)
          cross join lateral (select min(created_at) as at from ticket_notes n where n.ticket_id = e.ticket_id
             and n.kind in ('released', 'closed') and n.created_at > e.created_at) given_back
         where m.direction = 'outbound' and m.author = 'fte' and e.status = 'closed'
           and m.created_at > e.created_at and m.created_at < given_back.at"""),
    ("handed_over", "no reply after",
     """select e.id::text from escalations e join conversations c on c.id = e.conversation_id
          join tickets t on t.id = e.ticket_id
         where e.status <> 'closed' and (c.state <> 'human' or t.status <> 'escalated')"""),
    ("owned_by_somebody", "no reply after",
     """select c.id::text from conversations c where c.state = 'human' and not exists (
          select from escalations e where e.conversation_id = c.id and e.status <> 'closed')"""),
    # But for what a person had done again later.
    ("order", "order",
     """select conversation_id::text, unit_id::text from (
          select q.conversation_id, q.unit_id, r.seq as reply,
                 max(r.seq) over (partition by q.conversation_id order by q.first
                                  range between unbounded preceding and 1 preceding) as before
            from (select conversation_id, unit_id, min(seq) as first from messages
                   where direction = 'inbound' group by 1, 2) q
            join messages r on r.unit_id = q.unit_id and r.direction = 'outbound' and r.author = 'fte'
           where not exists (select from dead_letters d where d.unit_id = q.unit_id)) x
         where reply < before"""),
    ("one_customer", "one customer",
     """select kind, assurance, count(distinct customer_id) from customer_identifiers where resolves
         group by kind, assurance, value having count(distinct customer_id) > 1"""),
    # As many steps as there are numbers, in the order of their numbers, and the last one is what was done.
    ("evidence", "evidence",
     """select m.unit_id::text, a.tools from messages m
          left join lateral (select string_agg(tool, ' ' order by step) as tools, count(*) n, max(step) last,
                                    (array_agg(result ->> 'text' order by step desc))[1] as text
             from agent_runs where unit_id = m.unit_id) a on true
         where m.direction = 'outbound' and m.author = 'fte' and not (coalesce(a.tools, '') ~
           '^create_ticket get_customer_history( search_knowledge_base){1,2} send_response$'
           and a.n = a.last and a.text = m.body)"""),
    ("evidence_of_escalation", "evidence",
     """select e.id::text, e.reason, a.tools from escalations e
          cross join lateral (select string_agg(tool, ' ' order by step) as tools
             from agent_runs where unit_id = e.id) a
         where a.tools !~ '^create_ticket( get_customer_history( search_knowledge_base){1,2})? escalate_to_human$'
           and not (e.reason = 'human_owned' and a.tools ~ ' send_response$')"""),
    ("sentiment", "evidence",
     """select i.id::text from messages i where i.direction = 'inbound' and i.sentiment is null and exists (
          select from messages m where m.unit_id = i.unit_id and m.direction = 'outbound' and m.author = 'fte'
          union all select from escalations e where e.id = i.unit_id)"""),
    # Where one of its messages got as far as to a ticket.
    ("dead_letter_noted", "dead letters told",
     """select distinct d.unit_id::text from dead_letters d join messages m on m.id = any(d.message_ids)
         where d.state = 'dead' and not exists (select from ticket_notes n
           where n.ticket_id = m.conversation_id and n.unit_id = d.unit_id and n.kind = 'dead_letter')"""),
]
# Checks of more than the tables: with what every one is compared.
OTHERS = {"nothing_lost": "one outcome", "died": "one outcome", "in_the_log": "in the log", "raw_in_the_log": "in the log",
          "as_it_was_said": "in the log", "customer_of_address": "one customer", "escalation_on_topic": "one escalation",
          "told_only": "one escalation", "order_of_log": "order", "dead_letter_on_topic": "dead letters told"}
INVARIANT_OF = {name: invariant for name, invariant, _ in CHECKS} | OTHERS


def message_id(email, submission_id):
    """The id of a submission: id_derive ("envelope:webform", e-mail \\x1f submission id), proto/id.h."""
    return str(uuid.uuid5(NAMESPACE, f"envelope:webform\x1f{email}\x1f{submission_id}"))


def derived(space, unit):
    """id_derive_from (space, unit): a UUIDv5 over the bytes of another id."""
    digest = hashlib.sha1(NAMESPACE.bytes + space.encode() + b"\x1f" + uuid.UUID(unit).bytes).digest()
    return str(uuid.UUID(bytes=digest[:16], version=5))


def check(sql, accepted, topics=None, poison=None, texts=None):
    """`sql(query)` gives rows; `accepted` are the ids of messages that got a 202; `topics` is the log (default:
    PostgreSQL's); `poison` are the ids that may become dead letters (None: any); `texts` are what was sent, {id: text}
    (None: not known). A list of (check, violation)."""
    topics = topics or PostgresTopics(sql)
    stored = dict(sql("select id::text, body from messages where direction = 'inbound'"))
    letters = {row[0] for row in sql("select unnest(message_ids)::text from dead_letters")}
    found = [("nothing_lost", one) for one in accepted if one not in stored and one not in letters]
    if poison is not None:
        found += [("died", row) for row in sql("select unit_id::text, service, error, why from dead_letters")
                  if row[0] not in poison]
    found += [("as_it_was_said", one) for one, text in (texts or {}).items() if stored.get(one, text) != text]
    found += check_topics(sql, accepted, topics)
    for name, _, query in CHECKS:
        found.extend((name, row) for row in sql(query))
    return found


def check_topics(sql, accepted, topics):
    log, raw = topics.records(INCOMING), set(topics.ids("fte.channels.webform.inbound"))
    incoming, escalated, told = {id for id, _ in log}, set(topics.ids("fte.escalations")), set(topics.dead_units())
    escalations = {derived("escalation", row[0]): row for row in sql("select id::text from escalations")}
    found = [("in_the_log", one) for one in accepted if one not in incoming]
    found += [("raw_in_the_log", one) for one in accepted if one not in raw]
    found += [("escalation_on_topic", row) for id, row in escalations.items() if id not in escalated]
    found += [("told_only", id) for id in escalated if id not in escalations]
    found += [("dead_letter_on_topic", row) for row in sql("select unit_id::text from dead_letters") if row[0] not in told]
    return found + check_addresses(sql, log)


def check_addresses(sql, log):
    """All that came under one address is of one customer, and was stored in the log's order; but for what a person had
    done again later."""
    again = {row[0] for row in sql("select unnest(message_ids)::text from dead_letters")}
    stored = {id: (customer, seq) for id, customer, seq in
              sql("select id::text, customer_id::text, seq from messages where direction = 'inbound'")}
    customers, last, found = {}, {}, []
    for id, key in dict(log).items():  # each id where it stands first
        if id not in stored:
            continue
        customer, seq = stored[id]
        if customers.setdefault(key, customer) != customer:
            found.append(("customer_of_address", (key, id)))
        if id not in again:
            if seq < last.get(key, 0):
                found.append(("order_of_log", id))
            last[key] = max(seq, last.get(key, 0))
    return found


def read_journal(path):
    """{message id: when it got its 202} and how many tries there were."""
    with open(path) as f:
        tries = [json.loads(line) for line in f]
    return {t["id"]: t["at"] for t in reversed(tries) if t["status"] == 202}, len(tries)


def print_verdict(violations, say=print):
    """A line for each invariant, the closing line, and how many of the invariants don't hold."""
    failed = {INVARIANT_OF[name] for name, _ in violations}
    for name, why in INVARIANTS.items():
        count = sum(INVARIANT_OF[check_name] == name for check_name, _ in violations)
        say(f"  {'FAILED' if count else 'holds '}  {name}: {why}" + (f": {count} violations" if count else ""))
    for name, what in violations[:50]:
        say(f"  violation of {name}: {what}")
    say(f"checker: {len(INVARIANTS) - len(failed)} passed, {len(failed)} failed")
    return len(failed)


def main():
    options = argparse.ArgumentParser()
    options.add_argument("journal")
    options.add_argument("--database", required=True)
    options.add_argument("--kafka")
    args = options.parse_args()
    db = psycopg2.connect(args.database)

    def sql(query):
        with db.cursor() as c:
            c.execute(query)
            return c.fetchall()

    accepted, _ = read_journal(args.journal)
    return 1 if print_verdict(check(sql, accepted, KafkaTopics(args.kafka) if args.kafka else None)) else 0


if __name__ == "__main__":
    sys.exit(main())
