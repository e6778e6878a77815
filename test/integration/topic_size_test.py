"""A topic that is set to take less than it should: what was accepted waits, and what isn't accepted is told so."""

import uuid

from system import System, wait_for

INCOMING, ESCALATIONS = "fte.tickets.incoming", "fte.escalations"


def take(system, topic, most):
    system.broker("configs", "--entity-type", "topics", "--entity-name", topic, "--alter", "--add-config", f"max.message.bytes={most}")


def refused(system, topic):
    return f"event=produce_failed topic={topic} " in system.logs()


def test_messages_too_large_for_a_topic_are_not_lost_to_it():
    with System(kafka=1) as system:
        take(system, ESCALATIONS, 200)
        link = system.submit(message="I want a refund")
        wait_for(lambda: refused(system, ESCALATIONS), what="a record that the topic refuses")
        assert system.topics().ids(ESCALATIONS) == []
        take(system, ESCALATIONS, 1048588)
        assert system.wait_outcome(link)["status"] == "escalated"
        wait_for(lambda: len(system.topics().ids(ESCALATIONS)) == 1, what="the escalation on its topic")

        take(system, INCOMING, 200)
        body = {"name": "Ann", "email": "ann@example.org", "message": "Hello", "submission_id": uuid.uuid4().hex}
        assert system.post("/support/submit", json=body).status_code == 503
        assert refused(system, INCOMING)
        take(system, INCOMING, 1048588)
        assert system.post("/support/submit", json=body).status_code == 202
