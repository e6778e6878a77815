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

TWO = ("create temporary table two on commit drop as select unit_id, row_number() over (order by seq) as n"
       " from messages m where direction = 'outbound' and conversation_id in (select conversation_id from"
       " messages where direction = 'outbound' group by 1 having count(*) > 1 limit 1)")
STRANGER = "insert into customers (id) values ('11111111-1111-1111-1111-111111111111')"
AFTER_ALL = ("insert into messages (id, conversation_id, customer_id, unit_id, channel, direction, author, body,"
             " created_at) select gen_random_uuid(), conversation_id, customer_id, gen_random_uuid(), 'webform',"
             " 'outbound', 'fte', 'after all', created_at + interval '1 second' from escalations limit 1")

DOCTORED = {
    "one_outcome": [f"delete from messages where unit_id = {ANSWERED} and direction = 'outbound'"],
    "stored_once": ["alter table messages drop constraint messages_pkey",
                    "insert into messages (id, conversation_id, customer_id, unit_id, channel, direction, author, body)"
                    " select id, conversation_id, customer_id, unit_id, channel, direction, author, body from messages"
                    f" where unit_id = {ANSWERED} and direction = 'inbound'"],
    "outcome_of_nothing": [f"delete from messages where unit_id = {ANSWERED} and direction = 'inbound'"],
    "one_conversation": ["drop index conversations_open",
                         "insert into conversations (id, customer_id, channel) select gen_random_uuid(), customer_id, channel"
                         " from conversations limit 1"],
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
    "no_reply_after_escalation": [AFTER_ALL],
    "no_reply_while_owned": [AFTER_ALL, "update escalations set status = 'closed'",
                             "insert into ticket_notes (ticket_id, unit_id, kind, note, created_at) select ticket_id, id,"
                             " 'released', '', created_at + interval '1 minute' from escalations limit 1"],
    "owned_by_somebody": ["update conversations set state = 'human' where id = (select conversation_id from messages"
                          f" where id = {ANSWERED})"],
    "order": [
        TWO, "alter table messages alter column seq drop identity",
        "update messages set seq = seq + 1000000 where direction = 'outbound' and unit_id ="
        " (select unit_id from two where n = 1)"],
    "one_customer": [
        "drop index customer_identifiers_resolve", STRANGER,
        "insert into customer_identifiers (customer_id, kind, value, assurance, resolves)"
        " select '11111111-1111-1111-1111-111111111111', kind, value, assurance, true"
        " from customer_identifiers where resolves limit 1"],
    "evidence": [f"delete from agent_runs where unit_id = {ANSWERED} and tool = 'get_customer_history'"],
    "evidence_of_escalation": ["insert into agent_runs (unit_id, step, tool) select id, 1, 'send_response' from escalations"
                               " limit 1"],
    "sentiment": [f"update messages set sentiment = null where unit_id = {ANSWERED} and direction = 'inbound'"],
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
    assert check(sql, history + [nowhere]) == [("nothing_lost", nowhere), ("in_the_log", nowhere), ("raw_in_the_log", nowhere)]


@pytest.mark.parametrize("doctor", [
    f"update agent_runs set step = step + 1 where unit_id = {ANSWERED} and tool = 'send_response'",
    f"update messages set body = body || '!' where unit_id = {ANSWERED} and direction = 'outbound'",
    f"insert into agent_runs (unit_id, step, tool) values ({ANSWERED}, 9, 'escalate_to_human')",
])
def test_evidence_of_something_else_is_found(sql, history, doctor):
    sql(doctor)
    assert "evidence" in {found for found, _ in check(sql, history)}


def test_a_reply_that_began_before_the_escalation_and_came_after_it_is_found(sql, history):
    """now() is when a transaction began; the order of the messages tells all the same."""
    sql("insert into messages (id, conversation_id, customer_id, unit_id, channel, direction, author, body, sentiment)"
        " select '22222222-2222-2222-2222-222222222222', conversation_id, customer_id, '22222222-2222-2222-2222-222222222222',"
        " 'webform', 'inbound', 'customer', 'and now?', 0 from escalations limit 1")
    sql(AFTER_ALL.replace("gen_random_uuid(), 'webform'", "'22222222-2222-2222-2222-222222222222', 'webform'").replace(
        "+ interval", "- interval"))
    assert "no_reply_after_escalation" in {found for found, _ in check(sql, history)}


def test_a_message_of_which_two_outcomes_tell_is_found(sql, history):
    """It was answered as a part of one unit, and a letter of another one tells of it, too."""
    sql(DEAD.replace(f"select {ANSWERED}, 'fte", "select gen_random_uuid(), 'fte"))
    assert "one_outcome" in {found for found, _ in check(sql, history)}


def test_a_letter_of_what_was_no_poison_is_found(sql, history):
    sql(DEAD)
    assert "died" not in {found for found, _ in check(sql, history)}
    assert "died" in {found for found, _ in check(sql, history, poison=())}


def test_a_message_that_is_stored_as_another_text_is_found(sql, history):
    said = dict(sql("select id::text, body from messages where direction = 'inbound'"))
    assert check(sql, history, texts=said) == []
    said[history[0]] = "What I really said"
    assert check(sql, history, texts=said) == [("as_it_was_said", history[0])]


@pytest.mark.parametrize("name, statements", [
    ("customer_of_address", [STRANGER, "alter table messages drop constraint messages_customer_id_conversation_id_fkey",
                             "update messages set customer_id = '11111111-1111-1111-1111-111111111111'"
                             " where id = (select unit_id from two where n = 1)"]),
    ("order_of_log", ["alter table messages alter column seq drop identity",
                      "update messages set seq = seq + 1000000 where direction = 'inbound' and unit_id ="
                      " (select unit_id from two where n = 1)"]),
])
def test_an_address_of_two_customers_and_an_order_that_is_not_the_log_s_is_found(sql, history, name, statements):
    for statement in [TWO] + statements:
        sql(statement)
    assert name in {found for found, _ in check(sql, history)}


@pytest.mark.parametrize("name, statement", [
    ("raw_in_the_log", f"delete from log_records where topic = 'fte.channels.webform.inbound' and id = {ANSWERED}"),
    ("told_only", "delete from escalations"),
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
