"""Two whole nodes, each with a supervisor, a router and actors of its own, on one database and one log."""
import contextlib
import os
import sys
import threading
import time
import uuid

import pytest
import requests
from hosts import Cable, First, Second
from system import ROOT, System, wait_for

sys.path.insert(0, os.path.join(ROOT, "test/chaos"))
from checker import check, message_id  # noqa: E402

MOVED_S = 10.0  # from the death of a node until the other does its work
QUESTION, REFUND = "How do I write my own actor?", "I want a refund"


@pytest.fixture(params=[0, 1], ids=["postgres", "kafka"], scope="module")
def nodes(request):
    with System(kafka=request.param, FTE_LINK_SECRET=uuid.uuid4().hex) as one, System(beside=one) as two:
        wait_for(lambda: sorted(shares(one)) == [6, 6], 30, "half of the partitions for each")
        yield one, two


def shares(node):
    """How many partitions each edge holds."""
    return [row[0] for row in node.sql("select count(*) from log_partitions where owner is not null group by owner")]


def outcome(node, link):
    return node.wait_outcome(link)["status"]


def test_both_take_messages_and_share_the_work(nodes):
    links = [(nodes[i % 2], nodes[i % 2].submit(message=QUESTION)) for i in range(40)]
    for node, link in links:
        assert outcome(node, link) == "answered"
    # Whichever node took a message, its page is at the other, too.
    assert nodes[1].status(links[0][1])["status"] == "answered"
    wait_for(lambda: all(node.actors()["edge"]["settled"] > 0 for node in nodes), what="work for the edge of each node")


class Customers:
    """They write to `node` all the time, from several places at once."""

    def __init__(self, node, clients=3, where=contextlib.nullcontext):
        self.node, self.where, self.links, self.accepted, self.stopped = node, where, [], [], threading.Event()
        self.threads = [threading.Thread(target=self.write, args=(n,)) for n in range(clients)]
        for thread in self.threads:
            thread.start()

    def write(self, n):
        http = requests.Session()
        with self.where():
            while not self.stopped.is_set():
                email, sid = "n%d.%s@example.org" % (n, uuid.uuid4().hex), uuid.uuid4().hex
                body = dict(name="N", email=email, message=(QUESTION, REFUND)[len(self.links) % 2], submission_id=sid)
                while (answer := http.post(self.node.base + "/support/submit", json=body, timeout=20)).status_code == 503:
                    pass  # the log has just lost a reader, or a member: again, under the same submission_id
                assert answer.status_code == 202, answer.text
                self.links.append(answer.json()["status_url"])
                self.accepted.append(message_id(email, sid))
                self.stopped.wait(0.01)

    def stop(self):
        self.stopped.set()
        for thread in self.threads:
            thread.join()


def owners(node):
    return dict(node.sql("select partition, owner from log_partitions"))


def outcomes(node):
    return sum(node.sql("select (select count(*) from outbox), (select count(*) from escalations)")[0])


def next_outcome(node, partitions, at):
    """Seconds from `at` to the first outcome of a message in one of these partitions; None: none yet. What was committed in
    the moment of the kill is not meant."""
    records = "log_records" if node.kafka == 0 else "kafka_records"
    return node.sql(f"""select extract(epoch from min(o.at))::float8 - %s from {records} r join (
        select unit_id as id, created_at as at from messages where direction = 'outbound' and author = 'fte'
        union all select id, created_at from escalations) o on o.id = coalesce(r.unit, r.id)
        where r.topic = 'fte.tickets.incoming' and r.partition = any(%s) and o.at > to_timestamp(%s + 0.2)""",
                    at, partitions, at)[0][0]


def test_the_work_of_a_node_that_is_killed_is_done_by_the_other(nodes, capsys):
    one, two = nodes
    earlier = outcomes(two)
    # What `one` takes in itself, and what stands in its partitions when it dies.
    links = [node.submit(message=question) for _ in range(10) for node in nodes for question in (QUESTION, REFUND)]
    customers = Customers(two)
    try:
        wait_for(lambda: len(customers.links) > 60, what="customers at work")
        before = owners(two)
        killed = time.time()
        one.supervisor.kill()
        one.supervisor.wait()
        wait_for(lambda: shares(two) == [12], MOVED_S, "all partitions for the one that lives", 0.05)
        moved = time.time() - killed
        theirs = [partition for partition, owner in owners(two).items() if owner != before[partition]]
        assert len(theirs) == 6
        first = wait_for(lambda: next_outcome(two, theirs, killed), MOVED_S, "an outcome from the partitions of the dead", 0.05)
    finally:
        customers.stop()
    with capsys.disabled():
        print(f"\nnode killed (log in {'Kafka' if two.kafka else 'PostgreSQL'}): its partitions moved after {moved:.2f} s, the first "
              f"outcome of its work came after {first:.2f} s")
    assert first <= MOVED_S
    links += customers.links
    for link in links:
        assert outcome(two, link) in ("answered", "escalated")
    assert outcomes(two) - earlier == len(links)
    one.start_supervisor()
    one.wait_ready()
    wait_for(lambda: sorted(shares(two)) == [6, 6], 30, "half of the partitions for each again")
    assert outcome(one, one.submit(message=QUESTION)) == "answered"


@pytest.fixture(params=[0, 1], ids=["postgres", "kafka"])
def apart(request, monkeypatch):
    """The same two on hosts of their own: PostgreSQL and Kafka are on the first one's, and there is a cable to pull."""
    with Cable.lay() as cable:
        if cable is None:
            pytest.skip("may not make a network namespace; nodes on loopback are tested above")
        monkeypatch.setenv("FTE_KAFKA_HOST", cable.address["a"])
        with contextlib.ExitStack() as stack:
            stack.enter_context(cable.at("a"))
            one = stack.enter_context(First(cable.address["a"], kafka=request.param, FTE_LINK_SECRET=uuid.uuid4().hex))
            with cable.at("b"):
                two = stack.enter_context(Second(beside=one))
            wait_for(lambda: sorted(shares(one)) == [6, 6], 30, "half of the partitions for each")
            yield cable, one, two


def test_a_node_whose_cable_is_pulled_loses_its_work_to_the_other_and_gets_it_back(apart, capsys):
    cable, one, two = apart
    customers = Customers(one, where=lambda: cable.at("a"))
    try:
        wait_for(lambda: len(customers.accepted) > 60, what="customers at work")
        before, pulled = owners(one), time.time()
        cable.pull()
        wait_for(lambda: shares(one) == [12], MOVED_S, "all partitions for the one that has the cable", 0.05)
        theirs = [partition for partition, owner in owners(one).items() if owner != before[partition]]
        first = wait_for(lambda: next_outcome(one, theirs, pulled), MOVED_S, "an outcome from the partitions of the other", 0.05)
        cable.plug()
        wait_for(lambda: sorted(shares(one)) == [6, 6], 60, "half of the partitions for each again")
        more = len(customers.accepted)
        wait_for(lambda: len(customers.accepted) > more + 20, what="customers who are served by both")
    finally:
        customers.stop()
    with capsys.disabled():
        print(f"\ncable of a node pulled (log in {'Kafka' if one.kafka else 'PostgreSQL'}): the first outcome of its work came after "
              f"{first:.2f} s")
    wait_for(lambda: one.sql("select count(*) from unnest(%s::uuid[]) a(id) where not exists (select from outbox o where o.id = a.id)"
                             " and not exists (select from escalations e where e.id = a.id)", customers.accepted)[0][0] == 0, 40,
             "an outcome for every message", 0.1)
    assert check(one.sql, customers.accepted, one.topics()) == []
    assert one.sql("select count(*) from dead_letters") == [(0,)]
