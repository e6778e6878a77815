"""What a person does with a ticket, by `fte ticket reply|release|close`, and what the customer sees of it."""
import json
import re
import uuid

import pytest
from system import wait_for

QUESTION = "How do I write my own actor?"


@pytest.fixture
def escalated(system):
    """A link whose conversation a person owns, and its ticket's reference."""
    link = system.submit(message="I want a refund")
    status = system.wait_outcome(link)
    assert status["status"] == "escalated"
    return link, status["ticket_id"]


def ticket(system, *arguments, stdin=None):
    done = system.fte("ticket", *arguments, "--json", stdin=stdin)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def outcome_of_reply(system, link, message):
    return system.wait_outcome(system.reply(link, message))


def test_until_it_is_given_back_nothing_is_answered_automatically_and_then_it_is(system, escalated):
    link, ref = escalated
    assert outcome_of_reply(system, link, QUESTION)["status"] == "escalated"
    given = ticket(system, "release", ref)
    assert given["changed"] and (given["ref"], given["owner"], given["status"]) == (ref, "automatic", "open")
    after = outcome_of_reply(system, link, QUESTION)
    assert after["status"] == "answered"
    assert "actor" in after["messages"][-1]["body"] and after["messages"][-1]["direction"] == "outbound"
    shown = ticket(system, "show", ref)
    assert {e["status"] for e in shown["escalations"]} == {"closed"} and len(shown["escalations"]) == 2
    assert [n["note"] for n in shown["notes"]] == ["A person gave the conversation back."]
    assert shown["status"] == "resolved" and shown["conversation"]["owner"] == "automatic"
    # What needs a person the next time goes to one again.
    assert outcome_of_reply(system, link, "I want a refund at last")["status"] == "escalated"
    assert ticket(system, "show", ref)["conversation"]["owner"] == "human"


def test_a_persons_answer_is_on_the_status_page_and_leaves_the_conversation_with_them(system, escalated):
    link, ref = escalated
    text = "Your money <b>is</b> on its way, \u202eAnn; \U0001f600"
    answered = ticket(system, "reply", ref, "--text", "-", stdin=text + "\n")
    assert answered["changed"] and answered["owner"] == "human" and answered["status"] == "escalated"
    status = system.status(link)
    assert status["status"] == "answered"
    assert status["messages"][-1]["body"] == text
    page = system.get(link, headers={"Accept": "text/html"}).text
    assert "is&lt;/b&gt; on its way" in page.replace("&#x2F;", "/").replace("&#47;", "/") and "<b>" not in page
    assert ticket(system, "show", ref)["escalations"][0]["status"] == "taken"
    assert outcome_of_reply(system, link, QUESTION)["status"] == "escalated"


def test_a_persons_answer_is_not_shown_over_another_link_of_the_same_customer(system):
    email = f"two.{uuid.uuid4().hex[:12]}@example.org"
    first = system.submit(message="I want a refund", email=email)
    ref = system.wait_outcome(first)["ticket_id"]
    second = system.submit(message="I want a refund for the other one, too", email=email)
    assert system.wait_outcome(second)["ticket_id"] == ref
    ticket(system, "reply", ref, "--text", "For your eyes only")
    assert "For your eyes only" in json.dumps(system.status(second)), "it answers the newest that is open"
    assert "For your eyes only" not in json.dumps(system.status(first))


def test_an_answer_that_is_sent_again_under_its_id_is_stored_once(system, escalated):
    _, ref = escalated
    key = "call " + uuid.uuid4().hex
    first = ticket(system, "reply", ref, "--text", "Done.", "--id", key)
    again = ticket(system, "reply", ref, "--text", "Done.", "--id", key)
    assert first["changed"] and not again["changed"] and first["message"] == again["message"]
    other = system.fte("ticket", "reply", ref, "--text", "Not done.", "--id", key)
    assert other.returncode == 1 and "another message" in other.stderr
    people = [m for m in ticket(system, "show", ref)["messages"] if m["author"] == "person"]
    assert len(people) == 1


def test_a_closed_ticket_is_opened_again_by_its_customer_and_answered_automatically(system, escalated):
    link, ref = escalated
    closed = ticket(system, "close", ref)
    assert closed["changed"] and (closed["status"], closed["owner"]) == ("closed", "automatic")
    assert not ticket(system, "close", ref)["changed"]
    assert ref in {t["ref"] for t in ticket(system, "list", "--status", "closed")}
    after = outcome_of_reply(system, link, QUESTION)
    assert after["status"] == "answered" and after["ticket_id"] == ref
    assert ticket(system, "show", ref)["status"] == "resolved"


def test_the_commands_are_said_in_words_and_may_be_repeated(system, escalated):
    _, ref = escalated
    low = ref.lower()
    assert re.fullmatch(rf"{ref}: answered; it stays with you until `fte ticket release {ref}` or close\n",
                        system.fte("ticket", "reply", low, "--text", "Hello").stdout)
    for words in ("given back", "nobody has it: fte answers it"):
        assert system.fte("ticket", "release", low).stdout == f"{ref}: {words}\n"
    for words in ("closed", "closed already"):
        assert system.fte("ticket", "close", low).stdout == f"{ref}: {words}\n"


@pytest.mark.parametrize("arguments, code, said", [
    (["release", "TKT-000000"], 1, "there is no such ticket"),
    (["close", str(uuid.uuid4())], 1, "there is no such ticket"),
    (["release", "nonsense"], 64, "not a reference"),
    (["release"], 64, "usage: "),
    (["reply", "TKT-000000"], 64, "usage: "),
    (["release", "TKT-000000", "--text", "x"], 64, "usage: "),
    (["reply", "TKT-000000", "--text", " \n"], 64, "--text: 1 to "),
    (["reply", "TKT-000000", "--text", "x" * 40001], 64, "--text: 1 to "),
    (["reply", "TKT-000000", "--text", b"\xff"], 64, "--text: 1 to "),
    (["reply", "TKT-000000", "--text", "x", "--id", ""], 64, "--id: 1 to "),
])
def test_what_cannot_be_done_is_one_line(system, arguments, code, said):
    done = system.fte("ticket", *arguments)
    assert done.returncode == code and said in done.stderr and done.stderr.count("\n") == 1, done.stderr


def test_released_while_messages_come_in_each_still_has_one_outcome(system, escalated):
    """Give it back again and again while the customer writes: whoever is first, nothing is lost or doubled."""
    link, ref = escalated
    links = []
    for i in range(12):
        links.append(system.reply(link, f"{QUESTION} Number {i}."))
        ticket(system, "release", ref)
    for each in links:
        system.wait_outcome(each)
    wait_for(lambda: system.sql(
        "select count(*) from messages m join tickets t on t.id = m.conversation_id where t.ref = %s"
        " and m.direction = 'inbound'", ref)[0][0] == 13, what="all messages stored")
    wrong = system.sql(
        "select u.unit_id, o.n, e.n from (select distinct m.unit_id from messages m"
        "  join tickets t on t.id = m.conversation_id where t.ref = %s and m.direction = 'inbound') u,"
        " lateral (select count(*) n from messages where unit_id = u.unit_id and author = 'fte') o,"
        " lateral (select count(*) n from escalations where id = u.unit_id) e where o.n + e.n <> 1", ref)
    assert wrong == []
    shown = ticket(system, "show", ref)
    opened = [e for e in shown["escalations"] if e["status"] != "closed"]
    assert (shown["conversation"]["owner"] == "human") == bool(opened)
