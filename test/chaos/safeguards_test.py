"""A live system with one safeguard taken away: a commit that doesn't happen, a unique key that isn't one. The checker
says which promise is broken, and for which message, and nothing else.

Needs the build with fault points (make FAULTS=1); FTE_FAULTS_BIN names its programs.
"""

import glob
import os
import uuid

import pytest

import system as system_module
from checker import check, derived, message_id
from system import System, wait_for

BIN = os.environ.get("FTE_FAULTS_BIN")
QUESTION, REFUND = "How do I write my own actor?", "I want a refund"

# A key that finds nothing equal: `on conflict` still names it, and it lets everything pass.
BLIND = """
    create function blind_order(uuid, uuid) returns integer language sql immutable as 'select -1';
    create function blind_equal(uuid, uuid) returns boolean language sql immutable as 'select false';
    create operator #= (leftarg = uuid, rightarg = uuid, function = blind_equal);
    create operator class blind for type uuid using btree as operator 3 #=, function 1 blind_order(uuid, uuid)"""

pytestmark = pytest.mark.skipif(not BIN, reason="FTE_FAULTS_BIN is not set")


class Customer:
    def __init__(self, system):
        self.system, self.accepted = system, []

    def ask(self, message):
        """Accepted; (its id, its status page)."""
        mail, sid = f"s.{uuid.uuid4().hex[:10]}@example.org", uuid.uuid4().hex
        link = self.system.submit(email=mail, message=message, submission_id=sid)
        self.accepted.append(message_id(mail, sid))
        return self.accepted[-1], link

    def answered(self, message):
        id, link = self.ask(message)
        self.system.wait_outcome(link)
        return id

    def struck_by(self, fault, message):
        """Sent; and the fault has struck."""
        id, _ = self.ask(message)
        wait_for(lambda: glob.glob(os.path.join(self.system.state, f"fault.{fault}.*")), what=f"the fault at {fault}")
        return id


def found(system, customer):
    return sorted((name, row[0] if isinstance(row, tuple) else row) for name, row in check(system.sql, customer.accepted))


def test_a_commit_that_does_not_happen_is_found(monkeypatch):
    monkeypatch.setattr(system_module, "BIN", BIN)
    lost = ["edge.uncommitted.appended:error@1", "agent.uncommitted.runs:error@1",
            "sender.webform.uncommitted.replies:error@2", "escalator.uncommitted.escalations:error@1"]
    with System(FTE_FAULT=",".join(lost)) as s:
        customer = Customer(s)
        unwritten = customer.struck_by("edge.uncommitted.appended", QUESTION)
        unproven = customer.answered(QUESTION)
        unsent = customer.struck_by("sender.webform.uncommitted.replies", QUESTION)
        unescalated = customer.struck_by("escalator.uncommitted.escalations", REFUND)
        customer.answered(QUESTION), customer.answered(REFUND)
        wait_for(lambda: s.actors()["edge"]["in_flight"] == 0, what="an edge that holds nothing")
        assert found(s, customer) == sorted([("nothing_lost", unwritten), ("in_the_log", unwritten), ("raw_in_the_log", unwritten), ("evidence", unproven),
                                             ("one_outcome", unsent), ("one_outcome", unescalated),
                                             ("told_only", derived("escalation", unescalated))])


@pytest.mark.parametrize("blind", [False, True], ids=["with its keys", "without them"])
def test_a_replay_is_found_where_the_unique_key_does_not_hold(blind, monkeypatch):
    monkeypatch.setattr(system_module, "BIN", BIN)
    deaths = ["agent.after_commit.runs:kill@1", "escalator.after_commit.escalations:kill@1"]
    with System(FTE_FAULT=",".join(deaths)) as s:
        if blind:
            s.sql(BLIND)
            s.sql("alter table agent_runs drop constraint agent_runs_pkey;"
                  "create unique index on agent_runs (unit_id blind, step);"
                  "alter table escalations drop constraint escalations_pkey;"
                  "create unique index on escalations (id blind)")
        customer = Customer(s)
        decided_twice = customer.answered(QUESTION)
        escalated_twice = customer.answered(REFUND)
        for fault in ("agent.after_commit.runs", "escalator.after_commit.escalations"):
            assert glob.glob(os.path.join(s.state, f"fault.{fault}.*"))
        wait_for(lambda: s.sql("select count(*) from log_records where topic = 'fte.escalations'")[0][0] == 1,
                 what="the escalation's second way")
        assert found(s, customer) == (sorted([("evidence", decided_twice), ("one_escalation", escalated_twice),
                                              ("one_outcome", escalated_twice)]) if blind else [])
