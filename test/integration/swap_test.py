"""An actor is replaced by another program, in another language, by one line of the child table."""
import difflib, os, re

import pytest
from system import ROOT, System



@pytest.fixture(scope="module")
def swapped(tmp_path_factory):
    with open(os.path.join(ROOT, "supervisor/supervisor.conf")) as f:
        table = f.read()
    changed = re.sub(r"(?m)^(history\s*\|[^|]*\|)[^|]*\|", r"\1 /usr/bin/python3 proto/python/history.py |", table)
    lines = [l for l in difflib.ndiff(table.splitlines(), changed.splitlines()) if l[0] in "+-"]
    assert len(lines) == 2, lines  # one line out, one line in
    path = tmp_path_factory.mktemp("swap") / "supervisor.conf"
    path.write_text(changed)
    with System(table=str(path)) as system:
        yield system


def test_the_history_is_the_python_program(swapped):
    pid = swapped.pid("history")
    with open("/proc/%d/cmdline" % pid, "rb") as f:
        assert b"history.py" in f.read()


def test_a_question_is_answered_with_the_history_in_the_evidence(swapped):
    email = "swap@example.org"
    first = swapped.wait_outcome(swapped.submit(email=email, message="How do I write my own actor?"))
    assert first["status"] == "answered", first
    second = swapped.wait_outcome(swapped.submit(email=email, message="Where is my data kept?"))
    assert second["status"] == "answered", second
    steps = swapped.sql("select r.step, r.tool, r.result from agent_runs r join messages m on m.unit_id = r.unit_id"
                        " where m.body = 'Where is my data kept?' and m.direction = 'inbound' order by r.step")
    history = [result for _, tool, result in steps if tool == "get_customer_history"]
    assert history == [{"messages": 2}], steps  # the first question and its answer


def test_an_escalation_needs_no_history(swapped):
    assert swapped.wait_outcome(swapped.submit(message="I want a refund"))["status"] == "escalated"


def test_it_comes_back_when_it_is_killed(swapped):
    old = swapped.kill("history")
    swapped.wait_restarted("history", old)
    assert swapped.wait_outcome(swapped.submit(message="How do I start it?"))["status"] == "answered"


def test_it_serves_a_new_router_as_well(swapped):
    old = swapped.kill("router")
    swapped.wait_restarted("router", old)
    assert swapped.wait_outcome(swapped.submit(message="Where is my data kept?"))["status"] == "answered"
    assert swapped.actors()["history"]["restarts"] <= 1  # it was not it that had to come back
