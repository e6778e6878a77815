"""The way of a message through all processes: what goes in at the form, and what comes out of it."""

import concurrent.futures
import uuid

import pytest
from system import wait_for

QUESTION = "How do I write my own actor?"


def address():
    return f"flow.{uuid.uuid4().hex[:12]}@example.org"


def ticket_of(system, email):
    """The one ticket of the address: (id, ref, status)."""
    rows = system.sql("select t.id, t.ref, t.status from tickets t join customer_identifiers i using (customer_id)"
                      " where i.kind = 'email' and i.value = %s order by t.created_at", email)
    assert len(rows) == 1, f"tickets of {email}: {rows}"
    return rows[0]


def reason_of(system, ticket):
    rows = system.sql("select reason from escalations where ticket_id = %s order by created_at", ticket)
    return rows[0][0] if rows else None


# --- a question ----------------------------------------------------------------------------------


def test_a_question_becomes_a_ticket_and_a_reply_that_names_its_source(system):
    email = address()
    status = system.wait_outcome(system.submit(email=email, message=QUESTION))
    assert status["status"] == "answered" and status["ticket_id"].startswith("TKT-")
    question, reply = status["messages"]
    assert (question["direction"], question["body"]) == ("inbound", QUESTION)
    assert reply["direction"] == "outbound" and len(reply["body"].split()) <= 300
    titles = [source["title"] for source in reply["sources"]]
    assert any("actor" in title.lower() for title in titles)
    assert any(title in reply["body"] for title in titles), "the reply doesn't name its source"
    ticket, ref, state = ticket_of(system, email)
    assert ref == status["ticket_id"]
    assert state == "resolved"
    rows = system.sql("select channel, direction, author, sentiment is not null from messages"
                      " where conversation_id = %s order by seq", ticket)
    assert rows == [("webform", "inbound", "customer", True), ("webform", "outbound", "fte", False)]
    steps = system.sql("select r.tool from agent_runs r join messages m on m.unit_id = r.unit_id"
                       " where m.conversation_id = %s and m.direction = 'inbound' order by r.step", ticket)
    tools = [tool for tool, in steps]
    assert tools[:3] == ["create_ticket", "get_customer_history", "search_knowledge_base"]
    assert tools[-1] == "send_response" and tools.count("search_knowledge_base") <= 2


def test_every_sentence_of_a_reply_stands_in_the_knowledge_base(system):
    status = system.wait_outcome(system.submit(message="What happens when PostgreSQL is down?"))
    assert status["status"] == "answered"
    said = system.sql("select r.result from agent_runs r join messages m on m.unit_id = r.unit_id join tickets t on"
                      " t.id = m.conversation_id where t.ref = %s and m.direction = 'outbound'"
                      " and r.tool = 'send_response'", status["ticket_id"])
    assert said, "no evidence of the reply"
    for source in status["messages"][-1]["sources"]:
        assert system.sql("select 1 from knowledge_base where id = %s and title = %s", source["id"], source["title"])


# --- escalation ----------------------------------------------------------------------------------


@pytest.mark.parametrize("message, reason", [
    ("How much is the price of the enterprise plan?", "pricing_inquiry"),
    ("I want a refund", "refund_request"),
    ("My lawyer will write to you", "legal_issue"),
    ("Please cancel my subscription", "cancellation_request"),
    ("Let me talk to a human being", "customer_requested"),
    ("Which colour should the bicycle of my aunt have?", "knowledge_gap"),
])
def test_an_escalation_says_why_and_nothing_is_answered(system, message, reason):
    email = address()
    status = system.wait_outcome(system.submit(email=email, message=message))
    assert status["status"] == "escalated"
    assert [m["direction"] for m in status["messages"] if m.get("body") == message] == ["inbound"]
    ticket, _, state = ticket_of(system, email)
    assert state == "escalated" and reason_of(system, ticket) == reason
    assert system.sql("select count(*) from messages where conversation_id = %s and direction = 'outbound'",
                      ticket) == [(0,)]
    [(owner, summary, context)] = system.sql(
        "select c.state, e.summary, e.context from escalations e join conversations c on c.id = e.conversation_id"
        " where e.ticket_id = %s", ticket)
    assert owner == "human" and summary and context["customer"] and "history" in context


def test_two_angry_exchanges_running_are_escalated_and_one_is_not(system):
    email = address()
    angry = "This is terrible, I am very angry and disappointed! " + QUESTION
    link = system.submit(email=email, message=angry)
    assert system.wait_outcome(link)["status"] == "answered"
    second = system.reply(link, angry)
    status = system.wait_outcome(second)
    ticket, _, state = ticket_of(system, email)
    wait_for(lambda: reason_of(system, ticket) == "negative_sentiment", what="the escalation of the second")
    assert system.wait_outcome(second)["status"] == "escalated", status


@pytest.mark.parametrize("message", [
    "We think about the cost of waiting. " + QUESTION,
    "Sue wrote to me about it yesterday. " + QUESTION,
    QUESTION + "\n\n> I dispute this charge\n> and want a refund",
    QUESTION + "\n\nOn Monday, Ann wrote:\n> my lawyer will sue you",
    "We have a subscription. " + QUESTION,
    "I cancelled a meeting to read this. " + QUESTION,
])
def test_a_near_miss_is_answered(system, message):
    status = system.wait_outcome(system.submit(message=message))
    assert status["status"] == "answered", status


def test_thanks_and_greetings_get_a_line_and_no_person_is_called(system):
    email = address()
    link = system.submit(email=email, message=QUESTION)
    assert system.wait_outcome(link)["status"] == "answered"
    system.reply(link, "Thanks, that helped!")
    status = wait_for(lambda: (s := system.status(link))["status"] == "answered" and len(s["messages"]) == 4 and s,
                      what="the line for the thanks")
    assert "anything else we can help you with" in status["messages"][-1]["body"] and not status["messages"][-1].get("sources")
    assert ticket_of(system, email)[2] == "resolved"

    email = address()
    status = system.wait_outcome(system.submit(email=email, message="Hello"))
    assert status["status"] == "answered" and "What can we help you with?" in status["messages"][-1]["body"]
    ticket, _, state = ticket_of(system, email)
    assert state == "open" and reason_of(system, ticket) is None
    assert system.sql("select r.result->>'courtesy' from agent_runs r join messages m using (unit_id) where m.conversation_id = %s"
                      " and m.direction = 'inbound' and r.tool = 'send_response'", ticket) == [("greeting",)]


@pytest.mark.parametrize("message, reason", [("Thanks, but my bicycle still squeaks", "knowledge_gap"),
                                             ("hello, I want a refund", "refund_request")])
def test_one_word_more_than_courtesy_is_no_courtesy(system, message, reason):
    email = address()
    assert system.wait_outcome(system.submit(email=email, message=message))["status"] == "escalated"
    assert reason_of(system, ticket_of(system, email)[0]) == reason


def test_after_an_escalation_nothing_is_answered_until_a_person_gives_it_back(system):
    email = address()
    link = system.submit(email=email, message="I want a refund")
    assert system.wait_outcome(link)["status"] == "escalated"
    system.reply(link, QUESTION)
    ticket, _, _ = ticket_of(system, email)
    wait_for(lambda: system.sql("select count(*) from escalations where ticket_id = %s and reason = 'human_owned'",
                                ticket) == [(1,)], what="the second message with the person")
    assert system.sql("select count(*) from messages where conversation_id = %s and direction = 'outbound'",
                      ticket) == [(0,)]


# --- follow-ups ----------------------------------------------------------------------------------


def test_a_reply_over_the_link_and_a_second_form_are_one_ticket_but_two_pages(system):
    email = address()
    link = system.submit(email=email, message=QUESTION)
    first = system.wait_outcome(link)
    system.reply(link, "How do I replay a dead letter?")
    both = wait_for(lambda: (s := system.status(link))["status"] == "answered" and len(s["messages"]) == 4 and s,
                    what="both answers on the page")
    assert both["ticket_id"] == first["ticket_id"]
    stranger = system.wait_outcome(system.submit(email=email.upper(), message="How do I scale an actor?"))
    assert stranger["ticket_id"] == first["ticket_id"]
    assert [m["body"] for m in stranger["messages"] if m["direction"] == "inbound"] == ["How do I scale an actor?"]
    assert len(system.status(link)["messages"]) == 4, "the first page shows what came over another link"


def test_a_form_after_the_follow_up_window_opens_a_new_ticket(fresh_system):
    system = fresh_system(FTE_FOLLOWUP_WINDOW="1m")
    email = address()
    first = system.wait_outcome(system.submit(email=email, message=QUESTION))
    system.sql("update conversations set last_activity_at = last_activity_at - interval '2 minutes'")
    second = system.wait_outcome(system.submit(email=email, message=QUESTION))
    assert second["ticket_id"] != first["ticket_id"]


def test_a_burst_of_five_is_answered_in_order_or_together_and_once(system):
    email = address()
    link = system.submit(email=email, message=QUESTION)
    questions = [f"Part {n}: how do I replay a dead letter?" for n in range(4)]
    for question in questions:
        system.reply(link, question)
    ticket = wait_for(lambda: system.sql("select conversation_id from messages where body = %s", QUESTION) and
                      ticket_of(system, email)[0], what="the ticket")

    def done():
        rows = system.sql("select m.unit_id, m.body, m.seq, (select o.seq from messages o where o.unit_id = m.unit_id"
                          " and o.direction = 'outbound') from messages m where m.conversation_id = %s"
                          " and m.direction = 'inbound' order by m.seq", ticket)
        return rows if len(rows) == 5 and all(row[3] for row in rows) else None

    rows = wait_for(done, what="an answer to each of the five")
    assert [body for _, body, _, _ in rows] == [QUESTION, *questions]
    answers = [answer for _, _, _, answer in rows]
    assert answers == sorted(answers), "a later message was answered first"
    assert all(answer > seq for _, _, seq, answer in rows)
    assert system.sql("select count(*) from messages where conversation_id = %s and direction = 'outbound'",
                      ticket) == [(len(set(answers)),)]


# --- the death of any of them --------------------------------------------------------------------

ACTORS = ["router", "metrics", "history", "kb", "sender.webform", "escalator", "agent", "triage", "ticketer",
          "identity", "edge", "ingress"]


@pytest.mark.parametrize("actor", ACTORS)
def test_it_still_happens_once_when_an_actor_is_killed_under_way(system, actor):
    old = system.pid(actor)
    links = [system.submit(email=address(), message=message) for message in [QUESTION, "I want a refund"] * 4]
    assert system.kill(actor) == old
    system.wait_restarted(actor, old)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        outcomes = list(pool.map(system.wait_outcome, links))
    assert [o["status"] for o in outcomes] == ["answered", "escalated"] * 4
    for status in outcomes:
        [(replies, escalations)] = system.sql(
            "select (select count(*) from messages m where m.conversation_id = t.id and m.direction = 'outbound'),"
            " (select count(*) from escalations e where e.ticket_id = t.id) from tickets t where t.ref = %s",
            status["ticket_id"])
        assert (replies, escalations) == ((1, 0) if status["status"] == "answered" else (0, 1))


def test_the_table_of_this_test_names_every_actor(system):
    assert sorted(ACTORS) == sorted(system.actors())


# --- back at work --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["router", "ingress", "edge", "identity", "kb"])
def test_who_was_killed_says_when_it_has_settled_its_first_unit(system, name):
    killed = system.kill(name)
    system.wait_restarted(name, killed)
    system.wait_ready()
    assert system.wait_outcome(system.submit(message=QUESTION))["status"] == "answered"
    line = f" event=works name={name} child={system.pid(name)} "
    wait_for(lambda: line in system.logs(), what="the line that says so")
