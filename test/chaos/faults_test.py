"""Every actor is killed at every named fault point, and it still happens once.

Needs the build with fault points (make FAULTS=1); FTE_FAULTS_BIN names its programs. A point strikes
once per state directory and leaves a marker there: a point that no run reaches fails the test.
"""

import glob
import os
import time
import uuid

import pytest

import system as system_module
from checker import check, message_id
from system import System, wait_for

BIN = os.environ.get("FTE_FAULTS_BIN")
ACTORS = ["router", "edge", "identity", "ticketer", "triage", "history", "kb", "agent", "escalator",
          "sender.webform", "ingress"]
NO_DATABASE = {"router"}
# kb and history answer from memory or only read; their commits are reads, and killing there is fair, too.
POINTS = ["after_receive", "before_send", "after_send", "before_commit", "after_commit"]
MESSAGES = ["How do I write my own actor?", "I want a refund", "Where is my data kept?",
            "How do I replay a dead letter?", "I will call my lawyer"]

pytestmark = pytest.mark.skipif(not BIN, reason="FTE_FAULTS_BIN is not set")


def reached(point, actor):
    if point.endswith("commit") and actor in NO_DATABASE:
        return False
    return not (point == "after_receive" and actor == "ingress")  # it only asks: nothing is given to it


@pytest.mark.parametrize("point", POINTS)
def test_killed_there_it_still_happens_once(point, monkeypatch):
    monkeypatch.setattr(system_module, "BIN", BIN)
    actors = [a for a in ACTORS if reached(point, a)]
    faults = ",".join(f"{a}.{point}:kill@{4 if a == 'ingress' else 3}" for a in actors)
    with System(FTE_FAULT=faults) as s:
        accepted = []

        def markers():
            return {os.path.basename(p)[len("fault."):].rsplit(".", 3)[0] for p in glob.glob(os.path.join(s.state, "fault.*"))}

        def ask():
            sid = uuid.uuid4().hex
            for n, message in enumerate(MESSAGES):
                mail = f"f{n % 4}.{sid[:10]}@example.org"  # the last one writes again where it was escalated
                body = dict(name="F", email=mail, subject="Q", message=message, submission_id=f"{sid}-{n}")

                def submitted():
                    try:
                        answer = s.post("/support/submit", json=body, timeout=5)
                        if answer.status_code != 202:
                            return False
                        s.get(answer.json()["status_url"], timeout=5)  # the ingress asks the database, too
                        return True
                    except OSError:
                        return False

                wait_for(submitted, what="a 202", every=0.05)
                accepted.append(message_id(mail, f"{sid}-{n}"))
            return markers() >= set(actors)

        end = time.monotonic() + 60
        while not ask():
            assert time.monotonic() < end, f"{point} was not passed by {set(actors) - markers()}"

        def settled():
            rows = s.sql("select count(*) from unnest(%s::uuid[]) as a (id)"
                         " where exists (select from outbox o where o.id = a.id)"
                         " or exists (select from escalations e where e.id = a.id)"
                         " or exists (select from dead_letters d where d.unit_id = a.id)", accepted)
            return rows[0][0] == len(accepted)

        wait_for(settled, 60, "an outcome for every message", 0.1)
        assert check(s.sql, accepted) == []
        assert s.sql("select count(*) from dead_letters") == [(0,)]
