"""Every stage as three workers: the work is spread over them, some are killed under load, and every message has one outcome."""
import os
import random
import sys
import threading
import time
import uuid

import pytest
from system import ROOT, System, wait_for

sys.path.insert(0, os.path.join(ROOT, "test/chaos"))
from checker import check, message_id  # noqa: E402

QUESTION, REFUND = "How do I write my own actor?", "I want a refund"
STAGES = ("history", "kb", "sender.webform", "escalator", "agent", "triage", "ticketer", "identity", "edge")
N = 3


@pytest.fixture(params=[0, 1], ids=["postgres", "kafka"], scope="module")
def system(request):
    with System(kafka=request.param) as s:
        for stage in STAGES:
            done = s.fte("scale", stage, str(N), check=True)
            assert "has 3 workers, ready" in done.stdout
        wait_for(lambda: sorted(partitions(s)) == [4, 4, 4], 60, "a third of the partitions for each edge")
        s.accepted = []
        yield s


def partitions(system):
    """How many each edge holds."""
    return [row[0] for row in system.sql("select count(*) from log_partitions where owner is not null group by owner")]


def workers(system, stage):
    return {name: row for name, row in system.actors().items() if name == stage or name.rpartition(".")[0] == stage}


def submit(system, rng, http):
    """Until a 202, as a browser does it: an edge may be dead at this moment. Customers come back, as conversations."""
    email, sid = "s%d@example.org" % rng.randrange(60), uuid.uuid4().hex
    body = dict(name="S", email=email, message=REFUND if rng.random() < 0.3 else QUESTION, submission_id=sid)

    def posted():
        answer = http.post(system.base + "/support/submit", json=body, timeout=10)
        assert answer.status_code in (202, 503), answer.text
        return answer.status_code == 202

    wait_for(posted, 30, "a 202", 0.05)
    system.accepted.append(message_id(email, sid))


def load(system, clients=4):
    """Customers write until the function that it gives is called."""
    import requests

    stop = threading.Event()

    def write(seed):
        rng, http = random.Random(seed), requests.Session()
        while not stop.is_set():
            submit(system, rng, http)

    threads = [threading.Thread(target=write, args=(seed,)) for seed in range(clients)]
    for thread in threads:
        thread.start()
    return lambda: (stop.set(), [thread.join() for thread in threads])


def verdict(system):
    def open_units():
        return system.sql("select count(*) from unnest(%s::uuid[]) a(id) left join messages m on m.id = a.id"
                          " where not exists (select from outbox o where o.id = m.unit_id)"
                          " and not exists (select from escalations e where e.id = m.unit_id)", system.accepted)[0][0]

    wait_for(lambda: open_units() == 0, 60, "an outcome for every message", 0.1)
    assert check(system.sql, system.accepted, system.topics()) == []
    assert system.sql("select count(*) from dead_letters") == [(0,)]


def test_the_work_of_every_stage_is_spread_over_its_workers(system):
    done = load(system)

    def idle():
        return [name for stage in STAGES for name, row in workers(system, stage).items() if row["settled"] == 0]

    try:
        wait_for(lambda: not idle(), 30, "work for every worker", 0.2)
        wait_for(lambda: len(system.accepted) > 150, 30, "enough messages")
    finally:
        done()
    verdict(system)
    for stage in STAGES:
        rows = workers(system, stage)
        settled = sorted(row["settled"] for row in rows.values())
        print(stage, settled)
        assert len(rows) == N and settled[0] > 0
        # What serves by credit gets about the same; the edges' shares are those of their partitions.
        assert stage == "edge" or settled[-1] < 4 * settled[0] + 20, (stage, settled)


def test_workers_are_killed_under_load_and_every_message_has_one_outcome(system):
    rng, victims = random.Random(7), list(STAGES) * 2
    rng.shuffle(victims)
    done = load(system)
    try:
        for stage in victims:
            before = len(system.accepted)
            system.kill("%s.%d" % (stage, rng.randint(1, N)))
            wait_for(lambda: len(system.accepted) > before + 3, 30, "messages that go on")
    finally:
        done()
    verdict(system)
    wait_for(lambda: sorted(partitions(system)) == [4, 4, 4], 60, "a third of the partitions for each edge again")
    assert sum(row["restarts"] for row in system.actors().values()) >= len(victims) - 2


def test_what_can_not_be_shared_says_so_in_one_line(system):
    for name in ("router", "ingress"):
        refused = system.fte("scale", name, "2")
        assert refused.returncode == 1 and refused.stdout == ""
        assert refused.stderr == "fte scale: %s: at most 1 where the service is -: workers share the work of a service\n" % name


def test_it_is_scaled_back_under_load(system):
    done = load(system)
    try:
        for stage in STAGES:
            system.fte("scale", stage, "1", check=True)
        wait_for(lambda: all(len(workers(system, stage)) == 1 for stage in STAGES), 30, "one of each")
        wait_for(lambda: partitions(system) == [12], 30, "all partitions for the one")
        before, until = len(system.accepted), time.monotonic() + 30
        wait_for(lambda: len(system.accepted) > before + 10, until - time.monotonic(), "messages that go on")
    finally:
        done()
    verdict(system)
