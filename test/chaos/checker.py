"""The judge of a chaos run: reads the clients' journal, the database and the topics, and says what is wrong.

    checker.py JOURNAL --database URL [--kafka BROKERS]

It knows nothing of how the system works, only what it promises (docs/architecture.md). INVARIANTS are the ten
promises; each check finds violations of one of them: no row, no violation. checker_test.py doctors a healthy
history for each check and wants it to be found. The journal is written by whoever sends: a line of JSON for each
try, {"at", "id", "status"}, with the id of the message; a 202 is what the promises begin with.
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
    ("one_outcome", "one outcome",
     """select u.unit_id::text, r.n, e.n, d.n
          from (select distinct unit_id from messages where direction = 'inbound') u
          cross join lateral (select count(*) n from messages m
             where m.unit_id = u.unit_id and m.direction = 'outbound' and m.author = 'fte') r
          cross join lateral (select count(*) n from escalations x where x.id = u.unit_id) e
          cross join lateral (select count(*) n from dead_letters l
             where l.unit_id = u.unit_id and l.state <> 'replayed') d
         where r.n + e.n + d.n <> 1"""),
    ("one_ticket", "one ticket",
     """select c.id::text, count(t.id) from conversations c left join tickets t on t.conversation_id = c.id
         group by c.id having count(t.id) <> 1"""),
    ("one_reply", "one reply",
     """select unit_id::text, count(*) from messages where direction = 'outbound' and author = 'fte'
         group by unit_id having count(*) > 1"""),
    ("one_sending", "one reply",
     """select coalesce(o.id, m.unit_id)::text from (select * from outbox where state = 'SENT') o
          full join (select * from messages where direction = 'outbound' and author = 'fte') m
            on m.unit_id = o.id where o.id is null or m.unit_id is null"""),
    ("one_escalation", "one escalation",
     "select id::text, count(*) from escalations group by id having count(*) > 1"),
    # A person who gives a conversation back closes its escalations.
    ("no_reply_after_escalation", "no reply after",
     """select m.unit_id::text from messages m join escalations e using (conversation_id)
         where m.direction = 'outbound' and m.author = 'fte' and m.created_at > e.created_at
           and e.status <> 'closed'"""),
    ("order", "order",
     """select conversation_id::text, unit_id::text from (
          select q.conversation_id, q.unit_id, r.seq as reply,
                 max(r.seq) over (partition by q.conversation_id order by q.first
                                  rows between unbounded preceding and 1 preceding) as before
            from (select conversation_id, unit_id, min(seq) as first from messages
                   where direction = 'inbound' group by 1, 2) q
            join messages r on r.unit_id = q.unit_id and r.direction = 'outbound' and r.author = 'fte') x
         where reply < before"""),
    ("one_customer", "one customer",
     """select kind, assurance, count(distinct customer_id) from customer_identifiers where resolves
         group by kind, assurance, value having count(distinct customer_id) > 1"""),
    ("evidence", "evidence",
     """select m.unit_id::text, a.tools from messages m
          left join lateral (select string_agg(tool, ' ' order by step) as tools from agent_runs
             where unit_id = m.unit_id) a on true
         where m.direction = 'outbound' and m.author = 'fte' and coalesce(a.tools, '') !~
           '^create_ticket get_customer_history (search_knowledge_base ){1,2}send_response'"""),
    ("handed_over", "no reply after",
     """select e.id::text from escalations e join conversations c on c.id = e.conversation_id
          join tickets t on t.id = e.ticket_id where c.state <> 'human' or t.status <> 'escalated'"""),
    ("dead_letter_noted", "dead letters told",
     """select d.unit_id::text from dead_letters d join messages m on m.id = d.unit_id
          join tickets t on t.conversation_id = m.conversation_id
         where d.state = 'dead' and not exists (select from ticket_notes n
           where n.ticket_id = t.id and n.unit_id = d.unit_id and n.kind = 'dead_letter')"""),
]
# Checks of more than the tables: with what every one is compared.
OTHERS = {"nothing_lost": "one outcome", "in_the_log": "in the log", "escalation_on_topic": "one escalation",
          "dead_letter_on_topic": "dead letters told"}
INVARIANT_OF = {name: invariant for name, invariant, _ in CHECKS} | OTHERS


def message_id(email, submission_id):
    """The id of a submission: id_derive ("envelope:webform", e-mail \\x1f submission id), proto/id.h."""
    return str(uuid.uuid5(NAMESPACE, f"envelope:webform\x1f{email}\x1f{submission_id}"))


def derived(space, unit):
    """id_derive_from (space, unit): a UUIDv5 over the bytes of another id."""
    digest = hashlib.sha1(NAMESPACE.bytes + space.encode() + b"\x1f" + uuid.UUID(unit).bytes).digest()
    return str(uuid.UUID(bytes=digest[:16], version=5))


def check(sql, accepted, topics=None):
    """`sql(query)` gives rows; `accepted` are the ids of messages that got a 202; `topics` is the log (default:
    PostgreSQL's). A list of (check, violation)."""
    topics = topics or PostgresTopics(sql)
    found = []
    stored = {row[0] for row in sql("select id::text from messages where direction = 'inbound'")}
    stored |= {row[0] for row in sql("select unit_id::text from dead_letters where unit_id is not null")}
    incoming, escalated = set(topics.ids("fte.tickets.incoming")), set(topics.ids("fte.escalations"))
    told = set(topics.dead_units())
    found += [("nothing_lost", one) for one in accepted if one not in stored]
    found += [("in_the_log", one) for one in accepted if one not in incoming]
    found += [("escalation_on_topic", row) for row in sql("select id::text from escalations")
              if derived("escalation", row[0]) not in escalated]
    found += [("dead_letter_on_topic", row) for row in sql("select unit_id::text from dead_letters where state = 'dead'")
              if row[0] not in told]
    for name, _, query in CHECKS:
        found.extend((name, row) for row in sql(query))
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
