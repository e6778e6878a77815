"""Two hosts: one with PostgreSQL, router, edge, ingress and some stages, one with the other stages, connected by tcp with
keys. An actor there is killed, the cable is pulled, and every message still has exactly one outcome."""
import os
import shutil
import sys
import tempfile
import threading
import time
import uuid

import pytest
from hosts import Cable, First, Workers, keygen, table_without
from system import ROOT, System, free_port, wait_for

sys.path.insert(0, os.path.join(ROOT, "test/chaos"))
from checker import check, message_id  # noqa: E402

QUESTION, REFUND = "How do I write my own actor?", "I want a refund"
THERE = ("history", "kb", "agent")  # supervisor/workers.conf


class Hosts:
    """`a` and `b`, and what was accepted."""

    def __init__(self, cable, keys):
        self.cable, self.keys, self.accepted = cable, keys, []
        self.ip = cable.address["a"] if cable else "127.0.0.1"
        self.router = "tcp://%s:%d" % (self.ip, 7000 if cable else free_port())
        self.table = table_without(*THERE)

    def key(self, name):
        return os.path.join(self.keys, name)

    def at(self, host):
        return self.cable.at(host) if self.cable else open(os.devnull)

    def allow(self, *names):
        with open(self.key("clients"), "w") as f:
            f.write("".join(open(self.key(name + ".pub")).read() for name in names))

    def make(self):
        """`b` is there first, and not on the list yet."""
        for name in ("router", "host-b"):
            keygen(self.keys, name)
        self.allow()
        settings = dict(FTE_ROUTER_LISTEN=self.router, FTE_CURVE_SERVER_SECRET=self.key("router.key"),
                        FTE_CURVE_CLIENTS=self.key("clients"), FTE_EDGE_DEADLINE="10s")
        with self.at("a"):
            self.a = First(self.ip, table=self.table, **settings) if self.cable else System(table=self.table, **settings)
            self.a.start()
        with self.at("b"):
            self.b = Workers(FTE_ROUTER=self.router, FTE_CURVE_SERVER_KEY=self.key("router.pub"), FTE_CURVE_SECRET=self.key("host-b.key"),
                             DATABASE_URL=self.a.far_url() if self.cable else self.a.database_url)
            self.b.start()
        return self

    def stop(self):
        for host in ("b", "a"):
            with self.at(host):
                if hasattr(self, host):
                    getattr(self, host).stop()
        os.unlink(self.table)

    def submit(self, message):
        with self.at("a"):
            return self._submit(message)

    def _submit(self, message):
        email, sid = "h.%s@example.org" % uuid.uuid4().hex[:12], uuid.uuid4().hex
        link = self.a.submit(email=email, message=message, submission_id=sid)
        self.accepted.append(message_id(email, sid))
        return link

    def load(self):
        """Customers who write all the time, until the function that it gives is called."""
        stop = threading.Event()

        def write():
            while not stop.is_set():
                self.submit(QUESTION if len(self.accepted) % 4 else REFUND)
                stop.wait(0.02)

        thread = threading.Thread(target=write)
        thread.start()
        return lambda: (stop.set(), thread.join())

    def open_units(self):
        with self.at("a"):
            return self.a.sql("select count(*) from unnest(%s::uuid[]) as a(id)"
                              " where not exists (select from outbox o where o.id = a.id)"
                              " and not exists (select from escalations e where e.id = a.id)", self.accepted)[0][0]

    def replies(self):
        """What the other host has a part in; what a rule hands over hasn't."""
        with self.at("a"):
            return self.a.sql("select count(*) from outbox")[0][0]

    def lost(self):
        return self.a.logs().count("event=worker_lost")

    def verdict(self):
        wait_for(lambda: self.open_units() == 0, 40, "an outcome for every message", 0.1)
        with self.at("a"):
            assert check(self.a.sql, self.accepted, self.a.topics()) == []
            assert self.a.sql("select count(*) from dead_letters") == [(0,)]


@pytest.fixture(scope="module")
def hosts():
    keys = tempfile.mkdtemp(prefix="fte-hosts-keys.")
    with Cable.lay() as cable:
        h = Hosts(cable, keys)
        try:
            yield h.make()
        finally:
            h.stop()
            shutil.rmtree(keys)


def test_a_host_that_is_not_on_the_list_says_so_and_works_as_soon_as_it_is(hosts):
    why = "the router doesn't know the key of FTE_CURVE_SECRET"
    wait_for(lambda: all(row["why"] == why for row in hosts.b.actors().values()), what="every worker that says why")
    link = hosts.submit(QUESTION)
    wait_for(lambda: "connections refused, the last: its key is not on the list" in (hosts.a.actors()["router"]["why"] or ""),
             what="a router that says so")
    assert hosts.open_units() == 1
    hosts.allow("host-b")
    hosts.b.wait_ready()
    with hosts.at("a"):
        assert hosts.a.wait_outcome(link)["status"] == "answered"
    assert all(row["why"] is None for row in hosts.b.actors().values())


def test_messages_are_answered_by_the_workers_of_the_other_host(hosts):
    for _ in range(40):
        hosts.submit(QUESTION)
    hosts.verdict()
    assert not set(THERE) & set(hosts.a.actors())
    wait_for(lambda: all(row["settled"] > 0 for row in hosts.b.actors().values()), what="work for each worker, told by its tick")
    with hosts.at("a"):
        assert "fte_router{what=\"deaths\"} 0" in hosts.a.get("/metrics").text


def test_actors_of_the_other_host_are_killed_and_every_message_has_one_outcome(hosts):
    done = hosts.load()
    try:
        for name in ("agent.1", "kb", "history", "agent.2"):
            before = hosts.replies()
            old = hosts.b.kill(name)
            hosts.b.wait_restarted(name, old)
            wait_for(lambda: hosts.replies() > before + 5, what="messages that go on")
    finally:
        done()
    hosts.verdict()


@pytest.mark.parametrize("seconds", [2, 4, 9])
def test_the_cable_is_pulled_and_every_message_has_one_outcome(hosts, seconds):
    """Shorter than the router's patience; longer than that, but not than tcp's; and longer than both."""
    if not hosts.cable:
        pytest.skip("may not make a network namespace: there is no cable to pull")
    done = hosts.load()
    try:
        wait_for(lambda: hosts.open_units() > 0, what="work on its way", every=0.001)
        lost, gone, noticed = hosts.lost(), time.monotonic(), None
        hosts.cable.pull()
        while time.monotonic() < gone + seconds:
            if noticed is None and hosts.lost() == lost + 4:
                noticed = time.monotonic() - gone
            time.sleep(0.02)
        before = hosts.replies()
        hosts.cable.plug()
        back = time.monotonic()
        wait_for(lambda: hosts.replies() > before, 20, "messages that go on")
        print("cable out for %d s: all four workers given up after %s s, the next reply %.2f s after it was back" %
              (seconds, noticed and "%.1f" % noticed, time.monotonic() - back))
    finally:
        done()
    hosts.verdict()
    assert noticed is None if seconds < 3 else noticed < 4.5
    hosts.b.wait_ready()


def test_the_router_of_the_first_host_is_killed(hosts):
    done = hosts.load()
    try:
        for _ in range(2):
            with hosts.at("a"):
                old = hosts.a.kill("router")
                hosts.a.wait_restarted("router", old)
            before = hosts.replies()
            wait_for(lambda: hosts.replies() > before + 5, what="messages that go on")
    finally:
        done()
    hosts.verdict()
