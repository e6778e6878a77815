"""All safeguards in one table: which promise each keeps, where it stands, how it is taken away, what brings it out, and
what the checker then finds.

    /usr/bin/python3 test/chaos/safeguards.py --write      renews the table in docs/reliability.md

safeguards_test.py runs each provocation twice, with the safeguard and without it. `away` are entries of FTE_FAULT
(proto/runtime/fault.h): <actor>.<name>:off is a mark in the source, <actor>.uncommitted.<commit>:error a commit that is
answered and doesn't happen. `sql` takes a constraint of the test's own database away. NOT_SHOWN are those that no
fault of ours can bring out, each with its reason; a mark in the source is in one of both.
"""

import os
import sys
from dataclasses import dataclass
from typing import Callable

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "integration")]
import provoke  # noqa: E402
import provoke_log  # noqa: E402

# A key that finds nothing equal: `on conflict` still names it, and it lets everything pass.
BLIND = """do $do$ begin if not exists (select from pg_opclass where opcname = 'blind') then
    create function blind_order(uuid, uuid) returns integer language sql immutable as 'select -1';
    create function blind_equal(uuid, uuid) returns boolean language sql immutable as 'select false';
    create operator #= (leftarg = uuid, rightarg = uuid, function = blind_equal);
    create operator class blind for type uuid using btree as operator 3 #=, function 1 blind_order(uuid, uuid);
    end if; end $do$"""


# Rows that are not written: what a crash between two commits would leave.
LOSE = "create or replace function lose() returns trigger language plpgsql as 'begin return null; end'"


@dataclass(frozen=True)
class Safeguard:
    name: str
    keeps: str  # the invariants of checker.py, or what an operator sees
    where: str  # file of the mark, of the commit or of the constraint
    away: tuple
    finds: tuple  # checks of checker.py
    provoke: Callable
    beside: str = ""  # what else is away, and why that is fair
    sql: tuple = ()
    sql_back: tuple = ()
    backends: tuple = ("postgres",)
    slow: bool = False  # only in `make safeguards`

    @property
    def slug(self):
        return self.name.replace(" ", "_")


def uncommitted(actor, commit):
    return (f"{actor}.uncommitted.{commit}:error",)


def off(*places):
    return tuple(f"{place}:off" for place in places)


def blind(*keys):
    """Statements that make these keys find nothing: (table, constraint or index, columns)."""
    return (BLIND,) + tuple(f"alter table {table} drop constraint if exists {key} cascade; drop index if exists {key};"
                 f"create unique index on {table} ({columns})" for table, key, columns in keys)


TABLE = [
    # --- commit first ---
    Safeguard("202 after the commit", "nothing lost", "actors/edge/log_append.c", uncommitted("edge", "appended"),
              ("nothing_lost", "in_the_log", "raw_in_the_log"), provoke.append),
    Safeguard("identity commits before it passes on", "one outcome", "actors/identity/identity.c",
              uncommitted("identity", "customers"), ("died",), provoke.identity),
    Safeguard("ticketer commits before it passes on", "one outcome", "actors/ticketer/ticketer.c",
              uncommitted("ticketer", "tickets"), ("died",), provoke.ticketer),
    Safeguard("triage commits before it passes on", "evidence", "actors/triage/triage.c",
              uncommitted("triage", "scores"), ("sentiment",), provoke.triage),
    Safeguard("agent commits before it passes on", "evidence", "actors/agent/agent.c",
              uncommitted("agent", "runs"), ("evidence",), provoke.agent),
    Safeguard("sender commits before DONE", "one outcome", "actors/sender/sender.c",
              uncommitted("sender.webform", "replies"), ("one_outcome",), provoke.sender),
    Safeguard("escalator commits before DONE", "one outcome", "actors/escalator/escalator.c",
              uncommitted("escalator", "escalations"), ("one_outcome", "told_only"), provoke.escalator),
    Safeguard("the topic is told before DONE", "one escalation", "actors/escalator/escalator.c", off("escalator.told"),
              ("escalation_on_topic",), provoke.told),
    # --- once under its id ---
    Safeguard("ids derived from submission_id", "one outcome", "actors/ingress/submit.c", off("ingress.derived_id"),
              ("nothing_lost", "in_the_log", "raw_in_the_log"), provoke.derived_id),
    Safeguard("digest of a repeat", "in the log", "actors/ingress/append.c", off("ingress.digest"), ("as_it_was_said",),
              provoke.digest),
    # --- delivered again ---
    Safeguard("deadline of a delivery", "one outcome", "actors/edge/delivery.c", off("edge.deadline"), ("nothing_lost",),
              provoke.lost_on_the_way),
    Safeguard("delivered again on LOST", "one outcome", "actors/edge/delivery.c", off("edge.lost", "edge.deadline"),
              ("one_outcome",), provoke.worker_dies, "the deadline, which would do it 30 s later"),
    Safeguard("delivered again by a new router", "one outcome", "actors/edge/delivery.c",
              off("edge.generation", "edge.deadline"), ("nothing_lost",), provoke.router_dies,
              "the deadline, which would do it 30 s later"),
    Safeguard("positions are a settled prefix", "one outcome", "actors/edge/window.c", off("edge.prefix"), ("one_outcome",),
              provoke.overtaken_position, backends=("postgres", "kafka")),
    # --- order and bursts ---
    Safeguard("one unit of a conversation in flight", "order", "actors/edge/conversation.c", off("edge.one_in_flight"),
              ("order",), provoke.overtaking),
    Safeguard("a burst is durable before it is sent", "one outcome", "actors/edge/delivery.c",
              uncommitted("edge", "composed"), ("one_outcome", "died"), provoke.composition_that_is_forgotten),
    Safeguard("what may have been sent goes alone", "one outcome", "actors/edge/conversation.c", off("edge.recovered"),
              ("nothing_lost",), provoke.recovered_records),
    Safeguard("the rest of a settled burst is settled", "one outcome", "actors/edge/conversation.c", off("edge.remainder"),
              ("nothing_lost",), provoke.rest_of_a_burst),
    # --- deciding once ---
    Safeguard("the stored decision is passed on", "evidence", "actors/agent/agent.c", off("agent.stored_decision"),
              ("evidence",), provoke.decides_anew),
    Safeguard("no reply in a person's conversation", "no reply after", "db/outbox.c", off("sender.webform.gate"),
              ("owned_by_somebody",), provoke.person_takes_over),
    Safeguard("no reply beside another outcome", "one outcome", "db/outbox.c", off("sender.webform.other_outcomes"),
              ("one_outcome",), provoke.reply_after_the_letter),
    Safeguard("no escalation beside another outcome", "one outcome", "db/escalation.c", off("escalator.other_outcomes"),
              ("one_outcome",), provoke.escalation_after_the_letter),
    Safeguard("no dead letter beside another outcome", "one outcome", "db/dead.c", off("edge.other_outcomes"),
              ("one_outcome",), provoke.letter_after_the_reply),
    Safeguard("the customer's lock, of two outcomes", "one outcome", "db/batch.c", off("sender.webform.customer_lock"),
              ("one_outcome",), provoke.race_with_the_letter),
    Safeguard("the customer's lock, of two deliveries", "one outcome", "db/batch.c", off("ticketer.customer_lock"), ("died",),
              provoke.two_ticketers),
    Safeguard("a letter and its note are one commit", "dead letters told", "db/dead.c", (), ("dead_letter_noted",),
              provoke.letter_in_pieces,
              sql=(LOSE, "create trigger lose before insert on ticket_notes for each row execute function lose()"),
              sql_back=("drop trigger lose on ticket_notes",)),
    Safeguard("a letter and its record are one commit", "dead letters told", "db/dead.c", (), ("dead_letter_on_topic",),
              provoke.letter_in_pieces,
              sql=(LOSE, "create trigger lose before insert on log_records for each row when (new.topic = 'fte.dlq')"
                         " execute function lose()"),
              sql_back=("drop trigger lose on log_records",)),
    Safeguard("poison is alone", "one outcome", "actors/edge/delivery.c", off("edge.alone"), ("died",),
              provoke.kills_its_worker, slow=True),
    # --- fences ---
    Safeguard("fence on compositions", "one outcome", "db/log.c", off("edge.fence"), ("nothing_lost",), provoke_log.zombie_composes,
              slow=True),
    Safeguard("fence on dead letters", "one outcome", "db/dead.c", off("edge.fence"), ("died",), provoke_log.zombie_buries, slow=True),
    # --- the log in Kafka ---
    Safeguard("202 after the delivery report", "nothing lost", "actors/edge/log_kafka_append.c", off("edge.report"),
              ("nothing_lost", "in_the_log", "raw_in_the_log"), provoke_log.delivery_report, backends=("kafka",)),
    Safeguard("seen is committed before it is delivered", "one outcome", "actors/edge/log_kafka_read.c",
              uncommitted("edge", "seen"), ("nothing_lost",), provoke_log.repeat_while_under_way, backends=("kafka",)),
    Safeguard("a repeat is skipped", "one outcome", "actors/edge/log_kafka_read.c", off("edge.repeat"), ("nothing_lost",),
              provoke_log.repeat_of_a_part, backends=("kafka",)),
    Safeguard("handed on before it is deleted", "dead letters told", "actors/edge/log_kafka_relay.c", off("edge.relay"),
              ("dead_letter_on_topic",), provoke_log.letter_on_its_way, backends=("kafka",), slow=True),
    # --- keys: from here on they are taken away for good, so these come last ---
    Safeguard("key of log_records", "one outcome", "db/migrations/0002_log.sql", (), ("nothing_lost",), provoke.repeat_in_a_burst,
              sql=blind(("log_records", "log_records_id_topic_key", "id blind, topic"))),
    Safeguard("key of kafka_records", "one outcome", "db/migrations/0004_kafka.sql", (), ("nothing_lost",),
              provoke_log.repeat_while_under_way, backends=("kafka",),
              sql=blind(("kafka_records", "kafka_records_pkey", "id blind, topic"))),
    Safeguard("keys of conversations, tickets, messages", "one ticket", "db/migrations/0001_crm.sql",
              off("ticketer.customer_lock"), ("one_ticket", "one_conversation", "stored_once"), provoke.keys_of_tickets,
              "the customer's lock: either is enough",
              sql=blind(("conversations", "conversations_pkey", "id blind"),
                        ("conversations", "conversations_customer_id_id_key", "customer_id, id blind"),
                        ("conversations", "conversations_open", "customer_id blind, channel"),
                        ("tickets", "tickets_pkey", "id blind"), ("messages", "messages_pkey", "id blind"))),
    Safeguard("keys of outbox and replies", "one reply", "db/migrations/0001_crm.sql", off("sender.webform.customer_lock"),
              ("one_reply", "one_outcome", "stored_once"), provoke.keys_of_replies, "the customer's lock: either is enough",
              sql=blind(("outbox", "outbox_pkey", "id blind"), ("messages", "messages_one_reply", "unit_id blind, direction"),
                        ("messages", "messages_pkey", "id blind"))),
    Safeguard("key of escalations", "one escalation", "db/migrations/0001_crm.sql", off("escalator.customer_lock"),
              ("one_escalation", "one_outcome"), provoke.keys_of_escalations, "the customer's lock: either is enough",
              sql=blind(("escalations", "escalations_pkey", "id blind"))),
    Safeguard("key of agent_runs", "evidence", "db/migrations/0001_crm.sql", (), ("evidence",), provoke.keys_of_runs,
              sql=blind(("agent_runs", "agent_runs_pkey", "unit_id blind, step"))),
]

# Marks that stand in the source and that no provocation here takes away, and safeguards without a mark: (name, mark or
# "", where, why).
NOT_SHOWN = [
    ("fence on positions", "fence_position", "db/log.c",
     "a holder that is late settles only what is durable, so what it says is true whoever says it; the fence keeps a position its"
     " holder's own, as `log.h` promises, and costs a comparison"),
    ("credit", "", "actors/router/credit.c",
     "bounds memory and no promise of the checker's; [its unit tests](../test/unit/actors/router) and `make bench` show it"),
    ("key of resolving identifiers", "", "db/migrations/0001_crm.sql",
     "a customer's id is derived from the address, so two that are made at once are one; the key decides from the day on that an"
     " address can move to another customer"),
    ("keys of dead_letters and ticket_notes", "", "db/migrations/",
     "they are written by the holder of the partition, behind its fence and the customer's lock, and once; a second time needs two"
     " of them to fail"),
    ("row lock beside the customer's lock", "", "db/dead.c, db/handling.c",
     "for a second writer that doesn't know our lock: a person with psql"),
    ("fences of a partition in Kafka", "fence", "db/kafka.c",
     "the same condition as of the log in PostgreSQL, where it is shown; here the group itself must give up the zombie first, which"
     " takes longer than a supervisor leaves a hanging process alone"),
    ("`acks=all` and `min.insync.replicas`", "", "actors/edge/kafka_client.c",
     "the record is lost only with a leader of three that dies while its followers hang: not tried yet"),
    ("fsync and synchronous commit", "", "db/cluster.sh", "only a machine that loses power tells"),
    ("outbox row SENDING", "", "db/migrations/0001_crm.sql",
     "for channels with a provider, which come later; the web form's outbox row and its reply are one commit"),
]

DOCUMENT = os.path.join(ROOT, "docs/reliability.md")
BEGIN, END = "<!-- safeguards.py --write: begin -->", "<!-- safeguards.py --write: end -->"


def link(path):
    return f"[{path}](../{path})" if os.path.exists(os.path.join(ROOT, path)) and not path.endswith("/") else path


def markdown():
    """Both tables, as they stand in the document."""
    lines = ["| safeguard | where | log | what brings it out | without it the checker finds |", "| --- | --- | --- | --- | --- |"]
    for row in TABLE:
        story = " ".join(row.provoke.__doc__.split())
        beside = f" (together with {row.beside})" if row.beside else ""
        logs = " and ".join({"postgres": "PostgreSQL", "kafka": "Kafka"}[b] for b in row.backends)
        lines.append(f"| {row.name}{beside} | {link(row.where)} | {logs} | {story} | {', '.join(row.finds)} |")
    lines += ["", "Not shown here, each for its reason:", "", "| safeguard | where | why not |", "| --- | --- | --- |"]
    lines += [f"| {name} | {link(where)} | {why} |" for name, _, where, why in NOT_SHOWN]
    return "\n".join(lines)


def written(document):
    """The document with the tables as they are now."""
    head, rest = document.split(BEGIN)
    return head + BEGIN + "\n\n" + markdown() + "\n\n" + END + rest.split(END)[1]


if __name__ == "__main__":
    if sys.argv[1:] != ["--write"]:
        sys.exit("usage: safeguards.py --write")
    with open(DOCUMENT) as f:
        text = written(f.read())
    with open(DOCUMENT, "w") as f:
        f.write(text)
