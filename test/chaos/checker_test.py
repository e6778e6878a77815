"""The checker finds what it is for: a healthy history is doctored, one safeguard at a time.

Each case takes away the safeguard (a unique key, a check, a commit) and writes what would then be
possible, in a transaction that is rolled back.
"""

import uuid

import psycopg2
import pytest

from checker import CHECKS, INVARIANT_OF, INVARIANTS, check, message_id

ANSWERED = ("(select unit_id from messages where direction = 'outbound' and author = 'fte'"
            " order by seq limit 1)")

DEAD = ("insert into dead_letters (unit_id, topic, partition, record_offset, key, message_ids, bodies, received_at, error,"
        f" service, why, attempts) select {ANSWERED}, 'fte.tickets.incoming', 0, 1, 'k', array[{ANSWERED}], array[''::bytea],"
        " now(), 'internal', 'agent', 'doctored', 5")

DOCTORED = {
    "one_outcome": [f"delete from messages where unit_id = {ANSWERED} and direction = 'outbound'"],
    "one_ticket": ["delete from escalations", "delete from ticket_notes",
                   "delete from tickets where id = (select min(id::text)::uuid from tickets)"],
    "one_reply": ["drop index messages_one_reply",
                  "insert into messages (id, conversation_id, customer_id, unit_id, channel, direction, author,"
                  " body) select gen_random_uuid(), conversation_id, customer_id, unit_id, channel, direction,"
                  f" author, body from messages where unit_id = {ANSWERED} and direction = 'outbound'"],
    "one_sending": [f"delete from outbox where id = {ANSWERED}"],
    "one_escalation": ["alter table escalations drop constraint escalations_pkey cascade",
                       "alter table escalations alter column conversation_id drop expression",
                       "insert into escalations select * from escalations limit 1"],
    "dead_letter_noted": [DEAD],
    "no_reply_after_escalation": [
        "insert into messages (id, conversation_id, customer_id, unit_id, channel, direction, author, body,"
        " created_at) select gen_random_uuid(), conversation_id, customer_id, gen_random_uuid(), 'webform',"
        " 'outbound', 'fte', 'after all', created_at + interval '1 second' from escalations limit 1"],
    "order": [
        "create temporary table two on commit drop as select unit_id, row_number() over (order by seq) as n"
        " from messages m where direction = 'outbound' and conversation_id in (select conversation_id from"
        " messages where direction = 'outbound' group by 1 having count(*) > 1 limit 1)",
        "alter table messages alter column seq drop identity",
        "update messages set seq = seq + 1000000 where direction = 'outbound' and unit_id ="
        " (select unit_id from two where n = 1)"],
    "one_customer": [
        "drop index customer_identifiers_resolve",
        "insert into customers (id) values ('11111111-1111-1111-1111-111111111111')",
        "insert into customer_identifiers (customer_id, kind, value, assurance, resolves)"
        " select '11111111-1111-1111-1111-111111111111', kind, value, assurance, true"
        " from customer_identifiers where resolves limit 1"],
    "evidence": [f"delete from agent_runs where unit_id = {ANSWERED} and tool = 'get_customer_history'"],
    "handed_over": ["update conversations set state = 'automatic' where id ="
                    " (select conversation_id from escalations limit 1)"],
}


@pytest.fixture(scope="module")
def history(system):
    """A customer who asks twice, another who wants a refund."""
    mail = f"checker.{uuid.uuid4().hex[:8]}@example.org"
    accepted = []
    for sid, question in (("first-0001", "How do I write my own actor?"), ("second-0002", "Where is my data kept?")):
        link = system.submit(email=mail, message=question, submission_id=sid)
        assert system.wait_outcome(link)["status"] == "answered"
        accepted.append(message_id(mail, sid))
    assert system.wait_outcome(system.submit(message="I want a refund"))["status"] == "escalated"
    return accepted


@pytest.fixture
def sql(system, history):
    db = psycopg2.connect(system.database_url)

    def run(query):
        with db.cursor() as c:
            c.execute(query)
            return c.fetchall() if c.description else []

    yield run
    db.rollback()
    db.close()


def test_a_healthy_history_has_no_violation(sql, history):
    assert check(sql, history) == []


def test_a_message_that_was_accepted_and_is_nowhere_is_found(sql, history):
    nowhere = str(uuid.uuid4())
    assert check(sql, history + [nowhere]) == [("nothing_lost", nowhere), ("in_the_log", nowhere)]


@pytest.mark.parametrize("name, statement", [
    ("in_the_log", f"delete from log_records where topic = 'fte.tickets.incoming' and id = {ANSWERED}"),
    ("escalation_on_topic", "delete from log_records where topic = 'fte.escalations'"),
    ("dead_letter_on_topic", DEAD),
])
def test_a_record_that_is_missing_on_its_topic_is_found(sql, history, name, statement):
    sql(statement)
    assert name in {found for found, _ in check(sql, history)}


def test_each_invariant_has_a_check_and_each_check_a_doctored_history():
    assert set(INVARIANT_OF.values()) == set(INVARIANTS) and len(INVARIANTS) == 10
    assert set(DOCTORED) == {name for name, _, _ in CHECKS}


@pytest.mark.parametrize("name", [name for name, _, _ in CHECKS])
def test_a_doctored_history_is_found(sql, history, name):
    for statement in DOCTORED[name]:
        sql(statement)
    assert name in {found for found, _ in check(sql, history)}
