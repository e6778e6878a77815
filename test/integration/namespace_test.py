"""A worker whose process the router can't see, or would see under another's number: it lives by its heartbeat, and its
death is noticed. As in containers that share the socket and nothing else."""
import os, shutil, signal, subprocess, tempfile, time, uuid
import msgpack, pytest
import edge_test
from edge_test import BIN, BUSY, CALL, LOST, RETURN, Peer, until

state = edge_test.state  # the fixture

UNSHARE = ["unshare", "--fork", "--pid", "--kill-child"]
SILENCE_S = 3  # the router's SILENCE_MS

pytestmark = pytest.mark.skipif(subprocess.run([*UNSHARE, "true"], capture_output=True).returncode != 0,
                                reason="may not make a PID namespace")


def ask(peer, service, question):
    """One question; the type of what comes back, and its body."""
    peer.send(CALL, msgpack.packb(question), service=service, id=uuid.uuid4().bytes)
    answer = until(lambda: peer.receive(5))
    return answer.head["type"], answer.body


def history(peer):
    return ask(peer, "get_customer_history", {"customer": uuid.uuid4().bytes, "unit": uuid.uuid4().bytes})[0]


def inner(pid):
    """The process that unshare has forked."""
    return int(until(lambda: subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True).stdout.split())[0])


@pytest.mark.parametrize("hidden, noticed_s", [("router", SILENCE_S + 2), ("history", 1)])
def test_a_c_worker_in_another_pid_namespace_is_not_taken_for_dead_and_its_death_is_noticed(state, hidden, noticed_s):
    """Router inside: the worker has no number that it could know. Worker inside: it calls itself 1, which is init here."""
    run = tempfile.mkdtemp(prefix="fte-ns.")
    env = dict(state, FTE_STATE_DIR=run)
    started, peer = {}, None
    try:
        for name in ("router", "history"):
            wrap = UNSHARE if name == hidden else []
            started[name] = subprocess.Popen([*wrap, BIN / ("fte-" + name)], env=env)
        peer = Peer(env)
        until(lambda: history(peer) == RETURN)
        end = time.monotonic() + SILENCE_S + 1.5
        while time.monotonic() < end:  # nobody asks it anything: all that is heard of it is its heartbeat
            assert ask(peer, "router", {})[1]["deaths"] == 0
            time.sleep(0.2)
        assert history(peer) == RETURN
        worker = started["history"].pid
        os.kill(inner(worker) if hidden == "history" else worker, signal.SIGKILL)
        until(lambda: ask(peer, "router", {})[1]["deaths"] == 1, noticed_s)
        assert history(peer) in (BUSY, LOST)
    finally:
        if peer:
            peer.close()
        for process in started.values():
            process.kill(), process.wait()
        shutil.rmtree(run, ignore_errors=True)


def test_a_worker_that_was_taken_for_dead_works_again_when_it_is_heard_again(state):
    """Stopped, or behind a link that was cut, for longer than the router waits."""
    run = tempfile.mkdtemp(prefix="fte-ns.")
    env = dict(state, FTE_STATE_DIR=run)
    started, peer = {}, None
    try:
        for name, wrap in (("router", UNSHARE), ("history", [])):
            started[name] = subprocess.Popen([*wrap, BIN / ("fte-" + name)], env=env)
        peer = Peer(env)
        until(lambda: history(peer) == RETURN)
        os.kill(started["history"].pid, signal.SIGSTOP)
        until(lambda: ask(peer, "router", {})[1]["deaths"] == 1, SILENCE_S + 2)
        os.kill(started["history"].pid, signal.SIGCONT)
        until(lambda: history(peer) == RETURN)
    finally:
        if peer:
            peer.close()
        for process in started.values():
            process.kill(), process.wait()
        shutil.rmtree(run, ignore_errors=True)
