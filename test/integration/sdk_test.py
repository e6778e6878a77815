"""The Python SDK as a worker on the real router: calls, work, credit, deaths, restarts, drain, lifeline."""
import os, signal, subprocess, sys, tempfile, time, uuid

import msgpack
import pytest
import zmq

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BIN = os.environ.get("FTE_BIN", os.path.join(ROOT, "build/bin"))
sys.path.insert(0, os.path.join(ROOT, "proto/python"))
import fte

DEADLINE = 10


class Peer:
    """A bare DEALER: an edge, a caller, or a worker that a test plays itself."""

    def __init__(self, endpoint, more=()):
        self.socket = zmq.Context.instance().socket(zmq.DEALER)
        self.id = b"\x81" + os.urandom(7)
        for option, value in ((zmq.ROUTING_ID, self.id), (zmq.LINGER, 0), (zmq.RECONNECT_IVL, 20), (zmq.SNDHWM, 0),
                              (zmq.RCVHWM, 0), *more):
            self.socket.setsockopt(option, value)
        self.socket.connect(endpoint)
        self.got = []

    def close(self):
        self.socket.close()

    def hello(self):
        self.socket.send(b"")

    def send(self, type_, service="", body=b"", version=1, **fields):
        head = dict(zip(fte.HEAD, (version, type_, service, b"", 0, 0, b"", 0, 0)), **fields)
        self.socket.send_multipart([msgpack.packb([head[f] for f in fte.HEAD]), body])

    def wait(self, want, seconds=DEADLINE):
        """The first message for which want(head, body) is true; others are kept for later waits."""
        end = time.monotonic() + seconds
        while True:
            for i, (head, body) in enumerate(self.got):
                if want(head, body):
                    return self.got.pop(i)
            left = end - time.monotonic()
            if left <= 0 or not self.socket.poll(left * 1000):
                raise AssertionError("no such message in %g s; others: %r" % (seconds, [h["type"] for h, _ in self.got]))
            frames = self.socket.recv_multipart()
            self.got.append((fte.decode_head(frames[0]), frames[1]))

    def of(self, id_, *types, seconds=DEADLINE):
        return self.wait(lambda h, _: h["id"] == id_ and (not types or h["type"] in types), seconds)

    def call(self, service, question):
        id_ = uuid.uuid4().bytes
        self.send(fte.CALL, service, msgpack.packb(question), id=id_)
        return id_

    def ask(self, service, question):
        """Asks again while the answer is BUSY, as callers do."""
        end = time.monotonic() + DEADLINE
        while True:
            head, body = self.of(self.call(service, question))
            if head["type"] != fte.BUSY or time.monotonic() > end:
                return head, msgpack.unpackb(body) if body else None
            time.sleep(0.01)

    def work(self, service, what, generation=1, attempt=1):
        id_ = uuid.uuid4().bytes
        envelope = dict(v=1, id=id_, key="webform:0000000000000000", seq=1, kind="message", later="kept", trace="",
                        source=dict(topic="fte.tickets.incoming", partition=0, offset=1), received=1, deadline=2,
                        body={"incoming": what}, errors=None)
        self.send(fte.WORK, service, msgpack.packb(envelope), id=id_, attempt=attempt, generation=generation, route=self.id)
        return id_


class System:
    def __init__(self, directory, **settings):
        self.endpoint = "ipc://%s/r.sock" % directory
        self.env = dict(os.environ, FTE_ROUTER=self.endpoint, FTE_STATE_DIR=directory, **settings)
        self.env.pop("FTE_CONFIG", None)
        self.children, self.peers = [], []
        self.router = self.start_router()

    def start(self, *command, **more):
        child = subprocess.Popen(command, env=dict(self.env, **more.pop("env", {})), **more)
        self.children.append(child)
        return child

    def start_router(self):
        return self.start(os.path.join(BIN, "fte-router"), stderr=subprocess.DEVNULL)

    def worker(self, service="echo", slots=64, **more):
        echo = os.path.join(ROOT, "test/fake/echo_actor.py")
        return self.start("/usr/bin/python3", echo, service, env={"ECHO_SLOTS": str(slots)}, stderr=subprocess.DEVNULL, **more)

    def peer(self):
        self.peers.append(Peer(self.endpoint))
        return self.peers[-1]

    def stop(self):
        for peer in self.peers:
            peer.close()
        for child in self.children:
            child.kill()
            child.wait()


@pytest.fixture
def system():
    with tempfile.TemporaryDirectory(prefix="fte-sdk-") as directory:
        s = System(directory)
        yield s
        s.stop()


def test_a_question_gets_its_answer(system):
    system.worker()
    head, answer = system.peer().ask("echo", {"hello": "world"})
    assert head["type"] == fte.RETURN and answer["echo"] == {"hello": "world"}


def test_a_worker_that_was_taken_for_dead_by_its_silence_is_one_again_with_its_next_heartbeat(system):
    """As behind a link that was cut for some seconds: its connection stands, and it doesn't know that it was given up."""
    worker, caller = system.peer(), system.peer()
    worker.hello()
    worker.wait(lambda h, _: h["type"] == fte.READY)
    worker.send(fte.READY, "patient", count=1)  # pid 0: watched by its heartbeat
    lost = caller.call("patient", {})
    worker.of(lost, fte.CALL)
    caller.of(lost, fte.LOST)
    worker.send(fte.HB)
    worker.wait(lambda h, _: h["type"] == fte.READY and h["service"] == "")
    worker.send(fte.READY, "patient", count=1)
    worker.of(caller.call("patient", {}), fte.CALL)


def test_a_fault_is_the_answer_where_the_handler_says_so_or_breaks(system):
    system.worker()
    peer = system.peer()
    assert peer.ask("echo", {"fault": "unavailable"})[1] == {"code": "unavailable", "why": "asked for"}
    assert peer.ask("echo", {"bug": True})[1] == {"code": "internal", "why": "KeyError"}
    id_ = uuid.uuid4().bytes
    peer.send(fte.CALL, "echo", b"\xc1", id=id_)
    head, body = peer.of(id_)
    assert head["type"] == fte.FAIL and msgpack.unpackb(body)["code"] == "malformed"
    assert peer.ask("echo", {"still": "there"})[0]["type"] == fte.RETURN


def test_every_question_gets_exactly_one_answer_also_beyond_the_credit(system):
    system.worker(slots=4)
    peer = system.peer()
    peer.ask("echo", {})
    ids = [peer.call("echo", {"n": n}) for n in range(300)]
    types = [peer.of(id_)[0]["type"] for id_ in ids]
    assert set(types) <= {fte.RETURN, fte.BUSY} and fte.RETURN in types and fte.BUSY in types
    assert peer.got == [] or all(h["type"] == fte.READY for h, _ in peer.got)
    assert peer.ask("echo", {})[0]["type"] == fte.RETURN  # the credit came back


def test_work_is_passed_on_settled_retried_and_refused(system):
    system.worker("first"), system.worker("second")
    edge = system.peer()
    edge.ask("first", {}), edge.ask("second", {})
    head, _ = edge.of(edge.work("first", {"pass": "second"}, generation=7, attempt=2))
    assert (head["type"], head["service"], head["attempt"], head["generation"]) == (fte.SETTLED, "second", 2, 7)
    for fault, type_ in (("unavailable", fte.RETRY), ("internal", fte.RETRY), ("malformed", fte.FAIL), ("invalid", fte.FAIL)):
        head, body = edge.of(edge.work("first", {"fault": fault}))
        assert head["type"] == type_ and msgpack.unpackb(body)["code"] == fault
    id_ = uuid.uuid4().bytes
    edge.send(fte.WORK, "first", b"\x80", id=id_, attempt=1, generation=1, route=edge.id)
    head, body = edge.of(id_)
    assert head["type"] == fte.FAIL and msgpack.unpackb(body)["code"] == "malformed"


def test_the_next_stage_gets_the_envelope_whole(system):
    system.worker("first")
    edge, stage = system.peer(), system.peer()
    edge.ask("first", {})
    stage.send(fte.READY, "second", count=4)
    stage.ask("router", {})  # answered behind the READY: the router knows of it
    id_ = edge.work("first", {"pass": "second"})
    head, body = stage.of(id_)
    envelope = msgpack.unpackb(body)
    assert head["type"] == fte.WORK and head["route"] == edge.id
    assert envelope["later"] == "kept" and envelope["body"]["echo"] == {"batch": 1}


def test_work_that_is_queued_comes_as_a_batch(system):
    system.worker("first")
    edge, stage = system.peer(), system.peer()
    edge.ask("first", {})
    stage.send(fte.READY, "second", count=64)
    slow = edge.work("first", {"sleep": 0.5, "pass": "second"})
    rest = [edge.work("first", {"pass": "second"}) for _ in range(20)]
    batches = [msgpack.unpackb(stage.of(id_)[1])["body"]["echo"]["batch"] for id_ in [slow] + rest]
    assert max(batches) > 1, batches


def test_who_waits_hears_at_once_that_a_worker_died(system):
    system.worker()
    peer = system.peer()
    peer.ask("echo", {})
    begin = time.monotonic()
    assert peer.of(peer.call("echo", {"die": True}))[0]["type"] == fte.LOST
    assert peer.of(peer.call("echo", {}))[0]["type"] == fte.BUSY
    assert time.monotonic() - begin < 1


def test_a_new_router_is_answered_and_what_was_in_hand_is_settled_over_it(system):
    worker = system.worker()
    edge = system.peer()
    edge.ask("echo", {})
    edge.hello()
    before, _ = edge.wait(lambda h, _: h["type"] == fte.READY)
    id_ = edge.work("echo", {"sleep": 1})
    time.sleep(0.2)
    system.router.kill(), system.router.wait()
    system.start_router()
    edge.hello()
    after, _ = edge.wait(lambda h, _: h["type"] == fte.READY)
    assert after["generation"] != before["generation"]
    assert edge.of(id_)[0]["type"] == fte.SETTLED
    assert edge.ask("echo", {})[1]["pid"] == worker.pid


def test_a_worker_is_back_in_service_200_ms_after_the_router_was_killed(system):
    worker = system.worker()
    edge = system.peer()
    edge.ask("echo", {})
    for _ in range(3):
        system.router.kill(), system.router.wait()
        system.router = system.start_router()
        begin = time.monotonic()
        assert edge.ask("echo", {})[1]["pid"] == worker.pid
        assert time.monotonic() - begin < 1  # 40 ms where nothing else runs


def test_drain_settles_what_is_in_hand_and_loses_no_question(system):
    worker = system.worker(slots=32)
    peer = system.peer()
    peer.ask("echo", {})
    slow = [peer.call("echo", {"sleep": 0.02, "n": n}) for n in range(20)]
    time.sleep(0.1)
    worker.send_signal(signal.SIGTERM)
    more = []
    while worker.poll() is None and len(more) < 2000:
        more.append(peer.call("echo", {}))
        time.sleep(0.001)
    assert worker.wait(DEADLINE) == 0
    assert [peer.of(id_)[0]["type"] for id_ in slow] == [fte.RETURN] * 20
    for id_ in more:
        assert peer.of(id_, seconds=2)[0]["type"] in (fte.RETURN, fte.BUSY)


def test_the_supervisor_is_told_ready_and_ticks_and_its_death_ends_the_worker(system):
    read, write = os.pipe()

    def inherit():
        os.dup2(write, 3)

    worker = system.worker(pass_fds=(3, write), preexec_fn=inherit)
    os.close(write)
    text = b""
    while text.count(b"\nT ") < 1:
        text += os.read(read, 100)
    assert text.startswith(b"READY\nT 0 0\n"), text
    os.close(read)
    assert worker.wait(DEADLINE) == 75


def test_types_and_versions_of_the_future_are_answered_and_end_nobody(system):
    worker = system.worker()
    peer = system.peer()
    peer.ask("echo", {})
    id_ = uuid.uuid4().bytes
    peer.send(99, "echo", id=id_)
    assert msgpack.unpackb(peer.of(id_, fte.FAIL)[1])["code"] == "version"
    peer.send(fte.CALL, "echo", version=2)
    assert msgpack.unpackb(peer.wait(lambda h, _: h["type"] == fte.FAIL)[1])["code"] == "version"
    peer.socket.send(b"\xff\xff")
    peer.socket.send_multipart([b"\x93", b"", b""])
    counters = peer.ask("router", {})[1]
    assert counters["unknown_type"] == 1 and counters["version"] == 1 and counters["malformed"] >= 1
    assert peer.ask("echo", {})[1]["pid"] == worker.pid


def test_a_body_of_256_KiB_passes_and_one_over_1_MiB_is_refused_and_counted(system):
    system.worker()
    peer = system.peer()
    peer.ask("echo", {})
    assert peer.ask("echo", {"pad": "x" * (200 * 1024)})[0]["type"] == fte.RETURN
    id_ = uuid.uuid4().bytes
    peer.send(fte.CALL, "echo", b"x" * (256 * 1024), id=id_)
    assert peer.of(id_)[0]["type"] == fte.FAIL  # it came to the worker, that could not read it
    id_ = uuid.uuid4().bytes
    peer.send(fte.CALL, "echo", b"x" * (1024 * 1024 + 1), id=id_)
    head, body = peer.of(id_)
    assert head["type"] == fte.FAIL and msgpack.unpackb(body)["code"] == "too_big"
    assert peer.ask("router", {})[1]["too_big"] == 1
