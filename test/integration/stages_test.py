"""ticketer, sender and escalator against a real router and a real PostgreSQL, with stages of ours around them: what each
passes on, that a repeat gets what is stored, and that one bad message takes no other along."""
import json, uuid
import edge_test, msgpack, zmq
from edge_test import BUSY, CALL, DONE, FAIL, LOST, RETRY, RETURN, WORK, until

state, system = edge_test.state, edge_test.system  # fixtures


def customer(system):
    id = uuid.uuid4()
    system.sql("insert into customers (id, name) values ('%s', 'Ann')" % id)
    return id


def unit(person, text="How do I start it?", **sections):
    id = uuid.uuid4()
    body = {"incoming": {"channel": "webform", "link": uuid.uuid4().bytes, "customer": {"email": "ann@example.com"},
                         "messages": [{"id": id.bytes, "text": text, "at": 1750000000000000}]},
            "customer": {"id": person.bytes, "known": False}}
    for name, section in sections.items():
        body[name] = {**body.get(name, {}), **section}
    return {"v": 1, "id": id.bytes, "key": "webform:%s" % id.hex[:16], "seq": 1, "kind": "message",
            "source": {"topic": "fte.tickets.incoming", "partition": 0, "offset": 1}, "received": 1750000000000000,
            "deadline": 1750000060000000, "trace": "", "body": body, "errors": None}


def send(edge, service, envelope, attempt=1):
    """What the edge (or the stage before) does; outcomes come back to `edge`."""
    edge.send(WORK, msgpack.packb(envelope), service=service, id=envelope["id"], attempt=attempt, generation=1,
              route=edge.socket.getsockopt(zmq.ROUTING_ID))


def drain(edge):
    """Forgets what was said of earlier attempts."""
    while edge.socket.poll(0):
        edge.socket.recv_multipart()


def outcomes(edge, n):
    """{unit id: (type, code)} of n outcomes."""
    got = {}
    while len(got) < n:
        frames = until(lambda: edge.socket.poll(50) and edge.socket.recv_multipart())
        head = msgpack.unpackb(frames[0]) if frames[0] else [0, 0]
        if head[1] in (DONE, RETRY, FAIL, BUSY, LOST):
            got[head[3]] = (head[1], msgpack.unpackb(frames[1])["code"] if frames[1] else None)
    return got


def outcome(edge, service, envelope):
    """Of this one, sent again while nobody serves."""
    while True:
        drain(edge)
        send(edge, service, envelope)
        got = outcomes(edge, 1)[envelope["id"]]
        if got[0] not in (BUSY, LOST):
            return got


def served(system, *services):
    """The actors and, once each service has a worker, a peer that plays the edge."""
    for name in services:
        system.start(name)
    return system.peer()


def retried(edge, service, envelope, stage, seconds=10):
    """Sends until the service is up and the next stage has the unit."""
    def once():
        send(edge, service, envelope)
        return stage.work(1)
    return until(once, seconds)


def ticketed(system, edge, stage, envelope):
    """The envelope behind the ticketer, with a calm triage added."""
    work = retried(edge, "create_ticket", envelope, stage)
    assert work.head["id"] == envelope["id"]
    work.body["body"]["triage"] = {"sentiment": 0.0, "escalate": False, "reason": None, "evidence": []}
    return work.body


def count(system, table, id, column="id"):
    return int(system.sql("select count(*) from %s where %s = '%s'" % (table, column, uuid.UUID(bytes=id)))[0][0])


def test_a_ticket_is_the_same_after_the_ticketer_was_killed(system):
    edge, triage = served(system, "ticketer"), system.peer("triage")
    envelope = unit(customer(system))
    first = retried(edge, "create_ticket", envelope, triage).body["body"]["ticket"]
    assert first["ref"].startswith("TKT-") and first["conversation"] == envelope["id"]
    assert first["state"] == "automatic" and first["previous_sentiment"] is None
    assert first["messages"] == [{"id": envelope["id"], "at": 1750000000000000}]
    system.kill("ticketer")
    system.start("ticketer")
    assert retried(edge, "create_ticket", envelope, triage).body["body"]["ticket"] == first
    assert count(system, "messages", envelope["id"]) == count(system, "tickets", envelope["id"]) == 1


def test_one_message_that_the_database_refuses_takes_no_other_along(system):
    edge, triage = served(system, "ticketer"), system.peer("triage")
    retried(edge, "create_ticket", unit(customer(system)), triage)
    drain(edge)
    good = [unit(customer(system)) for _ in range(6)]
    bad = [unit(customer(system), incoming={"channel": "pigeon"}), unit(uuid.uuid4()), unit(customer(system), customer={"id": b""})]
    order = [good[0], bad[0], good[1], good[2], bad[1], good[3], bad[2], good[4], good[5]]
    for envelope in order:
        send(edge, "create_ticket", envelope)
    got = outcomes(edge, 3)
    assert got == {bad[0]["id"]: (FAIL, "conflict"), bad[1]["id"]: (FAIL, "conflict"), bad[2]["id"]: (FAIL, "malformed")}
    passed = {until(triage.work).head["id"] for _ in good}
    assert passed == {envelope["id"] for envelope in good}


def test_two_units_of_one_customer_in_one_batch_share_a_conversation(system):
    edge, triage = served(system, "ticketer"), system.peer("triage")
    person = customer(system)
    retried(edge, "create_ticket", unit(customer(system)), triage)
    units = [unit(person, str(n)) for n in range(20)]
    for envelope in units:
        send(edge, "create_ticket", envelope)
    tickets = [until(triage.work).body["body"]["ticket"] for _ in units]
    assert {t["ref"] for t in tickets} == {tickets[0]["ref"]}
    assert system.sql("select string_agg(body, ' ' order by seq) from messages where customer_id = '%s'" % person) == [
        [" ".join(str(n) for n in range(20))]]


def test_a_reply_is_sent_once_however_often_it_is_asked_for(system):
    edge, triage = served(system, "ticketer"), system.peer("triage")
    envelope = ticketed(system, edge, triage, unit(customer(system)))
    envelope["body"]["decision"] = {"action": "send", "text": "Like so.", "sources": [{"id": "a", "title": "A"}], "tried": []}
    system.start("sender")
    for run in range(4):
        assert outcome(edge, "send_response.webform", envelope) == (DONE, None)
        if run == 1:
            system.kill("sender")
            system.start("sender")
    assert count(system, "messages", envelope["id"], "unit_id") == 2 and count(system, "outbox", envelope["id"]) == 1
    assert system.sql("select status from tickets where id = '%s'" % uuid.UUID(bytes=envelope["id"])) == [["resolved"]]


def test_a_reply_that_is_late_goes_to_the_person_who_took_over(system):
    edge, triage, human = served(system, "ticketer", "sender"), system.peer("triage"), system.peer("escalate_to_human")
    envelope = ticketed(system, edge, triage, unit(customer(system)))
    envelope["body"]["decision"] = {"action": "send", "text": "Like so.", "tried": []}
    system.sql("update conversations set state = 'human' where id = '%s'" % uuid.UUID(bytes=envelope["id"]))
    work = retried(edge, "send_response.webform", envelope, human)
    assert work.body["body"]["decision"]["text"] == "Like so."
    assert count(system, "outbox", envelope["id"]) == 0


def test_what_cannot_be_sent_is_refused_with_the_reason(system):
    edge, triage = served(system, "ticketer", "sender"), system.peer("triage")
    envelope = ticketed(system, edge, triage, unit(customer(system)))
    for decision, code in (({"action": "send", "text": " "}, "invalid"), ({"action": "send"}, "malformed"),
                           ({"action": "send", "text": "x" * 20000}, "too_big"), ({"action": "wave", "text": "x"}, "invalid")):
        envelope["body"]["decision"] = decision
        assert outcome(edge, "send_response.webform", envelope) == (FAIL, code)


def test_an_escalation_is_stored_once_and_told_once_it_is_stored(system):
    edge, triage, log = served(system, "ticketer", "escalator"), system.peer("triage"), system.peer("edge")
    envelope = ticketed(system, edge, triage, unit(customer(system), "I want a refund"))
    envelope["body"]["triage"] = {"sentiment": -0.5, "escalate": True, "reason": "refund_request",
                                  "evidence": [{"rule": "refund", "words": ["refund"]}]}

    def asked():
        """What the escalator asks of the log."""
        send(edge, "escalate_to_human", envelope)
        question = log.receive(1)
        return question if question and question.head["type"] == CALL else None
    first = until(asked)
    drain(edge)
    record = first.body["records"][0]
    assert count(system, "escalations", envelope["id"]) == 1, "stored before it is told"
    assert first.body["verb"] == "append" and record["topic"] == "fte.escalations" and record["key"] == envelope["key"]
    told = json.loads(record["body"])
    assert told["reason"] == "refund_request" and told["ticket"].startswith("TKT-") and told["context"]["messages"]
    log.fail(first, FAIL, "unavailable")
    assert outcomes(edge, 1) == {envelope["id"]: (RETRY, "unavailable")}

    envelope["body"]["triage"]["reason"] = "legal_issue"
    system.kill("escalator")
    system.start("escalator")
    again = until(asked)
    drain(edge)
    assert again.body["records"][0]["id"] == record["id"] and again.body["records"][0]["body"] == record["body"]
    log.settle(again, RETURN, {"results": [{"offset": 1, "duplicate": False, "same": False}]})
    assert outcomes(edge, 1) == {envelope["id"]: (DONE, None)}
    assert count(system, "escalations", envelope["id"]) == 1
    assert system.sql("select t.status, c.state from tickets t join conversations c on c.id = t.id where t.id = '%s'"
                      % uuid.UUID(bytes=envelope["id"])) == [["escalated", "human"]]


def test_units_wait_while_the_database_is_away_and_are_not_counted(system):
    edge, triage = served(system, "ticketer"), system.peer("triage")
    retried(edge, "create_ticket", unit(customer(system)), triage)
    envelope = unit(customer(system))
    system.sql("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'fte'")
    seen = []

    def passed():
        send(edge, "create_ticket", envelope)
        work = triage.work(0.3)
        while edge.socket.poll(0):
            frames = edge.socket.recv_multipart()
            head = msgpack.unpackb(frames[0])
            if head[1] in (RETRY, FAIL):
                seen.append((head[1], msgpack.unpackb(frames[1])["code"]))
        return work
    assert until(passed).head["id"] == envelope["id"]
    assert set(seen) <= {(RETRY, "unavailable")}
