"""The supervisor over real processes: small stand-ins instead of actors.

Every test has a tree of its own in a directory of its own. Waiting is for an event, with a deadline;
the processes of a test are ended by its fixture, whatever happens.
"""
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

BIN = Path(os.environ.get("FTE_BIN", Path(__file__).parents[2] / "build/bin"))
HEADING = "name | service | command | restart | shutdown | workers | environment\n"
DEADLINE = 20.0

# Says READY and ticks until SIGTERM; then exits 0. Writes its life into the file `journal`.
ACTOR = r"""
import os, signal, sys, time
name = os.environ.get("NAME", "?")
def journal(word):
    with open(os.path.join(os.environ["FTE_STATE_DIR"], "journal"), "a") as f:
        f.write(f"{name} {word} {os.getpid()}\n")
def term(*_):
    time.sleep(float(os.environ.get("SLOW", "0")))
    journal("end"); sys.exit(0)
signal.signal(signal.SIGTERM, term)
journal("begin")
os.write(3, b"READY\n")
n = 0
while True:
    n += 1
    os.write(3, b"T %d 1\n" % n)
    time.sleep(0.1)
"""


def alive(pid):
    """True if the process exists and is not a zombie."""
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def until(what, condition, deadline=DEADLINE):
    """Waits for the condition and returns its value."""
    end = time.monotonic() + deadline
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.005)
    raise AssertionError(f"not within {deadline} s: {what}")


class Tree:
    def __init__(self, directory):
        self.directory = directory
        self.state = directory / "state"
        self.state.mkdir(mode=0o700)
        self.log_path = directory / "log"
        (directory / "actor.py").write_text(ACTOR)
        self.process = None
        self.seen = set()

    @property
    def actor(self):
        return f'{sys.executable} "{self.directory}/actor.py"'

    def start(self, rows, settings="", env=None, stderr=None):
        table = self.directory / "table.conf"
        table.write_text(settings + HEADING + rows)
        environment = {"PATH": os.environ["PATH"], "FTE_STATE_DIR": str(self.state), **(env or {})}
        self.process = subprocess.Popen(
            [str(BIN / "fte-supervisor"), str(table)],
            stderr=stderr or open(self.log_path, "a"), env=environment, stdin=subprocess.DEVNULL)
        until("control socket", lambda: self.process.poll() is not None or self.try_ask("status"))
        return self

    def try_ask(self, request):
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(5)
            try:
                s.connect(str(self.state / "control"))
                s.sendall(request.encode() + b"\n")
                parts = []
                while part := s.recv(65536):
                    parts.append(part)
            except (FileNotFoundError, ConnectionError):
                return ""
            return b"".join(parts).decode()

    def status(self):
        keys = ["name", "service", "pid", "state", "restarts", "uptime", "settled", "in_flight", "why"]
        children = {}
        for line in self.try_ask("status").splitlines():
            words = line.split("\t")
            if words[0] == "child":
                child = dict(zip(keys, words[1:]))
                child["pid"], child["restarts"] = int(child["pid"]), int(child["restarts"])
                children[child["name"]] = child
                self.seen.add(child["pid"])
        return children

    def wait(self, name, state="ready", other_than=None, deadline=DEADLINE):
        def look():
            c = self.status().get(name)
            return c if c and c["state"] == state and c["pid"] != other_than else None
        return until(f"{name} {state}", look, deadline)

    def log(self):
        return self.log_path.read_text() if self.log_path.exists() else ""

    def wait_log(self, text):
        """The log is written in the supervisor's own time: what `status` tells may be a moment ahead."""
        until(f"the log has {text!r}", lambda: text in self.log())

    def wait_ready_file(self, text):
        until(f"the file `ready` has {text!r}", lambda: (self.state / "ready").read_text() == text)

    def journal(self):
        path = self.state / "journal"
        return [line.split() for line in path.read_text().splitlines()] if path.exists() else []

    def fte(self, *arguments):
        return subprocess.run([str(BIN / "fte"), *arguments], capture_output=True, text=True, timeout=60,
                              env={"PATH": os.environ["PATH"], "FTE_STATE_DIR": str(self.state)})

    def end(self):
        if self.process and self.process.poll() is None:
            self.status()
            self.process.kill()
            self.process.wait()
        for pid in self.seen - {0}:
            until(f"end of {pid}", lambda: not alive(pid), 5)


@pytest.fixture
def tree(tmp_path):
    t = Tree(tmp_path)
    yield t
    t.end()


def row(name, command, restart="permanent", shutdown="5s", workers=1, environment=""):
    return f"{name} | {name} | {command} | {restart} | {shutdown} | {workers} | NAME={name} {environment}\n"


def test_a_killed_child_is_back_at_once(tree):
    tree.start(row("a", tree.actor))
    first = tree.wait("a")
    begun = time.monotonic()
    os.kill(first["pid"], signal.SIGKILL)
    second = tree.wait("a", other_than=first["pid"])
    assert second["restarts"] == 1
    # The first restart doesn't wait; what is measured here is mostly Python's own start.
    assert time.monotonic() - begun < 2.0
    assert "wait" not in second["why"]


def test_a_hung_child_is_aborted_and_replaced(tree):
    tree.start(row("a", tree.actor))
    first = tree.wait("a")
    os.kill(first["pid"], signal.SIGSTOP)
    second = tree.wait("a", other_than=first["pid"], deadline=20)
    assert not alive(first["pid"])
    tree.wait_log("event=hung")
    tree.wait_log("event=killed")  # a stopped process doesn't take SIGABRT, so SIGKILL follows
    assert second["restarts"] == 1


def test_a_child_that_is_silent_from_the_beginning_is_hung_too(tree):
    tree.start(row("a", "sleep 1000"))
    pid = tree.wait("a", "starting")["pid"]
    tree.wait("a", "starting", other_than=pid, deadline=20)
    tree.wait_log('how="killed by signal 6 (hung)"')


def test_exit_78_is_shown_and_not_restarted_until_somebody_asks(tree):
    tree.start(row("bad", 'sh -c "echo FTE_X is wrong >&2; exit 78"') + row("good", tree.actor))
    bad = tree.wait("bad", "misconfigured")
    tree.wait("good")
    assert bad["restarts"] == 0 and bad["pid"] == 0
    tree.wait_log("bad: FTE_X is wrong")
    tree.wait_ready_file("misconfigured bad\n")
    status = json.loads(tree.fte("status", "--json").stdout)
    assert status["ready"] is False and status["degraded"] == ["bad"]
    tree.try_ask("restart\tbad")
    until("second try", lambda: tree.status()["bad"]["restarts"] == 1)
    tree.wait("bad", "misconfigured")


def test_a_program_that_is_not_there_is_a_fault_of_configuration(tree):
    tree.start(row("a", "fte-nonexistent"))
    tree.wait("a", "misconfigured")
    tree.wait_log("fte-nonexistent: No such file or directory")


@pytest.mark.parametrize("restart, command, state, restarts", [
    ("permanent", "true", "degraded", 5),
    ("permanent", "false", "degraded", 5),
    ("transient", "true", "ended", 0),
    ("transient", "false", "degraded", 5),
    ("temporary", "true", "ended", 0),
    ("temporary", "false", "ended", 0),
])
def test_restart_types(tree, restart, command, state, restarts):
    tree.start(row("a", command, restart), settings="backoff 1ms to 5ms, reset after 30s\n")
    assert tree.wait("a", state)["restarts"] == restarts


def test_too_many_crashes_make_it_degraded_and_it_is_tried_on(tree):
    rows = row("a", f'sh -c "test -e {tree.state}/healed && exec {sys.executable} {tree.directory}/actor.py; exit 1"')
    tree.start(rows, settings="intensity 3 in 60s\nbackoff 10ms to 50ms, reset after 300ms\nretry 300ms\n")
    a = tree.wait("a", "degraded")
    assert "4 crashes in 60 s" in a["why"]
    tree.wait_ready_file("waiting a\n")
    (tree.state / "healed").touch()
    tree.wait("a")
    tree.wait_ready_file("ready\n")


def test_a_child_that_had_worked_is_started_at_once_however_often_it_is_killed(tree):
    """Under limits that would call it degraded after two kills, and make it wait a minute after the first."""
    tree.start(row("a", tree.actor), settings="intensity 1 in 60s\nbackoff 1m to 1m, reset after 200ms\nretry 1m\n")
    for n in range(3):
        a = tree.wait("a")
        until("it has worked for a while", lambda: float(tree.status()["a"]["uptime"]) >= 1)
        os.kill(a["pid"], signal.SIGKILL)
        until("another one", lambda: tree.status()["a"]["pid"] not in (0, a["pid"]))
        assert tree.wait("a")["restarts"] == n + 1


def test_a_child_that_says_degraded_makes_the_tree_not_ready(tree):
    script = "echo READY >&3; echo DEGRADED database >&3; n=0; while :; do echo T 0 0 >&3; sleep 0.1; " \
             "test -e $FTE_STATE_DIR/ok && echo OK >&3; done"
    tree.start(row("a", f'sh -c "{script}"'))
    assert tree.wait("a", "degraded")["why"] == "database"
    assert json.loads(tree.fte("status", "--json").stdout)["degraded"] == ["a"]
    (tree.state / "ok").touch()
    assert tree.wait("a", "ready")["why"] == ""


def test_children_start_in_order_and_stop_in_reverse(tree):
    tree.start("".join(row(n, tree.actor) for n in "abc"))
    for n in "abc":
        tree.wait(n)
    tree.process.send_signal(signal.SIGTERM)
    assert tree.process.wait(DEADLINE) == 0
    assert [(w[0], w[1]) for w in tree.journal()] == [
        ("a", "begin"), ("b", "begin"), ("c", "begin"), ("c", "end"), ("b", "end"), ("a", "end")]


def test_a_child_that_does_not_get_ready_holds_up_the_others_for_a_short_time_only(tree):
    tree.start(row("a", 'sh -c "while :; do echo T 0 0 >&3; sleep 0.2; done"') + row("b", tree.actor))
    begun = time.monotonic()
    tree.wait("b")
    assert time.monotonic() - begun < 5
    assert tree.status()["a"]["state"] == "starting"


def test_a_child_that_ignores_sigterm_is_killed_after_its_shutdown_time(tree):
    script = "trap : TERM; echo READY >&3; while :; do echo T 0 0 >&3; sleep 0.1; done"
    tree.start(row("a", f'sh -c "{script}"', shutdown="300ms"))
    tree.wait("a")
    begun = time.monotonic()
    assert tree.fte("drain").returncode == 0
    assert 0.25 < time.monotonic() - begun < 5
    assert tree.process.wait(DEADLINE) == 0


def test_the_drain_budget_ends_everything(tree):
    rows = "".join(row(n, tree.actor, shutdown="20s", environment="SLOW=15") for n in "abc")
    tree.start(rows, env={"FTE_DRAIN_BUDGET": "1s"})
    pids = [tree.wait(n)["pid"] for n in "abc"]
    begun = time.monotonic()
    tree.process.send_signal(signal.SIGTERM)
    assert tree.process.wait(DEADLINE) == 0
    assert time.monotonic() - begun < 5
    assert not any(alive(p) for p in pids)


def test_the_drain_budget_ends_also_who_was_killed_and_started_again_before(tree):
    script = "trap : TERM; echo READY >&3; while :; do echo T 0 0 >&3; sleep 0.1; done"
    rows = row("a", f'sh -c "{script}"', shutdown="200ms") + row("b", tree.actor, shutdown="20s", environment="SLOW=15")
    tree.start(rows, env={"FTE_DRAIN_BUDGET": "1s"})
    first, _ = tree.wait("a")["pid"], tree.wait("b")
    assert tree.fte("restart", "a").returncode == 0
    tree.wait("a", other_than=first)
    tree.process.send_signal(signal.SIGTERM)  # the budget is over before it is a's turn
    assert tree.process.wait(DEADLINE) == 0


@pytest.mark.parametrize("strategy, same", [
    ("one_for_one", {"a": True, "c": True}),
    ("rest_for_one", {"a": True, "c": False}),
    ("one_for_all", {"a": False, "c": False}),
])
def test_strategies(tree, strategy, same):
    tree.start("".join(row(n, tree.actor) for n in "abc"), settings=f"strategy {strategy}\n")
    before = {n: tree.wait(n)["pid"] for n in "abc"}
    os.kill(before["b"], signal.SIGKILL)
    after = {n: tree.wait(n, other_than=None if same.get(n) else before[n])["pid"] for n in "abc"}
    assert {n: after[n] == before[n] for n in "ac"} == same
    begins = [w[0] for w in tree.journal() if w[1] == "begin"][3:]
    assert begins == sorted(begins), "the group starts in the order of the table"


def test_a_temporary_sibling_is_not_brought_back_by_a_strategy(tree):
    tree.start(row("a", tree.actor) + row("t", tree.actor, "temporary"), settings="strategy one_for_all\n")
    a, t = tree.wait("a"), tree.wait("t")
    os.kill(a["pid"], signal.SIGKILL)
    tree.wait("a", other_than=a["pid"])
    tree.wait("t", "ended")
    assert not alive(t["pid"])


def test_orphans_are_reaped(tree):
    # Three generations; the grandchild outlives its parent and then ends.
    script = "echo READY >&3; for i in 1 2 3 4 5; do (sleep 0.05 & ) ; done; while :; do echo T 0 0 >&3; sleep 0.1; done"
    tree.start(row("a", f'sh -c "{script}"'))
    tree.wait("a")
    until("orphans", lambda: json.loads(tree.fte("status", "--json").stdout)["supervisor"]["orphans_reaped"] >= 5)
    zombies = [p for p in os.listdir("/proc") if p.isdigit() and parent(p) == tree.process.pid and not alive(p)]
    assert zombies == []


def parent(pid):
    try:
        with open(f"/proc/{pid}/stat") as f:
            return int(f.read().rsplit(")", 1)[1].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return 0


def test_what_a_dead_child_left_in_its_group_goes_with_it(tree):
    script = "sleep 1000 & echo $! > $FTE_STATE_DIR/left; echo READY >&3; while :; do echo T 0 0 >&3; sleep 0.1; done"
    tree.start(row("a", f'sh -c "{script}"'))
    first = tree.wait("a")
    left = int(until("its child", lambda: (tree.state / "left").exists() and (tree.state / "left").read_text()))
    os.kill(first["pid"], signal.SIGKILL)
    tree.wait("a", other_than=first["pid"])
    until("end of what was left", lambda: not alive(left))


def test_what_has_left_its_group_ends_with_the_drain(tree):
    script = "setsid sleep 1000 & echo READY >&3; while :; do echo T 0 0 >&3; sleep 0.1; done"
    tree.start(row("a", f'sh -c "{script}"', shutdown="100ms"))
    tree.wait("a")

    def sleeping():
        return [p for p in os.listdir("/proc") if p.isdigit() and alive(p)
                and Path(f"/proc/{p}/cmdline").read_bytes() == b"sleep\0001000\0"
                and f"FTE_STATE_DIR={tree.state}".encode() in Path(f"/proc/{p}/environ").read_bytes()]
    until("it sleeps", sleeping)
    tree.process.terminate()
    assert tree.process.wait(DEADLINE) == 0
    until("nobody sleeps", lambda: not sleeping(), 2)


def test_a_child_that_forks_and_exits_is_restarted(tree):
    tree.start(row("a", 'sh -c "sleep 1000 & echo READY >&3; exit 0"'),
               settings="backoff 10ms to 50ms, reset after 30s\n")
    tree.wait("a", "degraded")
    sleeping = [p for p in os.listdir("/proc") if p.isdigit() and parent(p) == tree.process.pid and alive(p)]
    assert sleeping == []


def test_kill_9_of_the_supervisor_takes_the_whole_tree_and_it_can_start_again(tree):
    rows = "".join(row(n, tree.actor, workers=2) for n in "ab")
    tree.start(rows)
    pids = [tree.wait(n)["pid"] for n in ("a.1", "a.2", "b.1", "b.2")]
    tree.process.kill()
    tree.process.wait()
    until("end of the tree", lambda: not any(alive(p) for p in pids), 2)
    assert (tree.state / "control").exists(), "the stale socket is there and must not hinder"
    tree.start(rows)
    for n in ("a.1", "a.2", "b.1", "b.2"):
        tree.wait(n)


def test_a_second_supervisor_on_the_same_state_says_so_in_one_line(tree):
    tree.start(row("a", tree.actor))
    pid = tree.process.pid
    second = subprocess.run([str(BIN / "fte-supervisor"), str(tree.directory / "table.conf")],
                            env={"FTE_STATE_DIR": str(tree.state)}, capture_output=True, text=True, timeout=10)
    assert second.returncode == 78
    assert second.stderr.count("\n") == 1 and f"another supervisor (pid {pid}) runs on it" in second.stderr
    tree.wait("a")


def test_what_serves_nothing_is_not_scaled_and_says_so(tree):
    tree.start(row("a", tree.actor).replace("a | a", "a | -"))
    pid = tree.wait("a")["pid"]
    refused = tree.fte("scale", "a", "2")
    assert refused.returncode == 1 and refused.stderr.count("\n") == 1 and "at most 1 where the service is -" in refused.stderr
    assert tree.fte("scale", "a", "1").returncode == 0 and tree.status()["a"]["pid"] == pid
    assert tree.fte("scale", "a", "0").returncode == 0


def test_a_note_is_shown_and_changes_nothing(tree):
    tree.start(row("a", 'sh -c "(echo READY; echo NOTE three strangers) >&3; exec sleep 1000"'))
    until("shown", lambda: tree.status()["a"]["why"] == "three strangers")
    assert tree.status()["a"]["state"] == "ready"
    tree.wait_ready_file("ready\n")


def test_workers_are_scaled_up_and_down(tree):
    tree.start(row("a", tree.actor) + row("b", tree.actor))
    pid = tree.wait("a")["pid"]
    done = tree.fte("scale", "a", "3", "--json")
    assert done.returncode == 0, done.stderr
    assert [n for n in tree.status()] == ["a.1", "a.2", "a.3", "b"]
    assert tree.status()["a.1"]["pid"] == pid, "who was there stays"
    assert tree.fte("scale", "a", "1").returncode == 0
    until("down", lambda: list(tree.status()) == ["a", "b"])
    assert tree.status()["a"]["pid"] == pid
    assert tree.fte("scale", "a", "0").returncode == 0
    until("none", lambda: list(tree.status()) == ["b"])
    tree.wait_ready_file("ready\n")
    for bad in (["scale", "a", "65"], ["scale", "a", "-1"], ["scale", "nobody", "1"], ["restart", "nobody"]):
        refused = tree.fte(*bad)
        assert refused.returncode == 1 and refused.stderr.count("\n") == 1, bad


def test_restart_is_graceful_and_no_crash(tree):
    tree.start(row("a", tree.actor, workers=2))
    before = {n: tree.wait(n)["pid"] for n in ("a.1", "a.2")}
    assert tree.fte("restart", "a.2").returncode == 0
    after = tree.status()
    assert after["a.1"]["pid"] == before["a.1"] and after["a.2"]["pid"] != before["a.2"]
    assert ["a", "end", str(before["a.2"])] in tree.journal()
    assert "event=degraded" not in tree.log()


def test_a_child_gets_only_its_listed_environment(tree):
    tree.start(row("a", f'sh -c "env > {tree.state}/env; exit 0"', "temporary", environment='WANTED "B=x y" ABSENT LANG=fte'),
               env={"SECRET": "s", "WANTED": "w", "FTE_LOG_LEVEL": "debug", "LANG": "C", "DATABASE_URL": "postgresql:///x"})
    tree.wait("a", "ended")
    environment = dict(line.split("=", 1) for line in (tree.state / "env").read_text().splitlines())
    for shell in ("PWD", "SHLVL", "_", "OLDPWD"):
        environment.pop(shell, None)
    assert environment == {"PATH": os.environ["PATH"], "FTE_STATE_DIR": str(tree.state), "FTE_LOG_LEVEL": "debug",
                           "FTE_CHILD": "a.1", "NAME": "a", "WANTED": "w", "B": "x y", "LANG": "fte"}


def test_a_child_is_born_clean(tree):
    probe = tree.directory / "probe.py"
    probe.write_text("import json,os,resource,signal\n"
                     "status = dict(l.rstrip('\\n').split(':\\t',1) for l in open('/proc/self/status') if ':\\t' in l)\n"
                     "fds = sorted(int(f) for f in os.listdir('/proc/self/fd'))[:-1]\n"
                     "mask = os.umask(0)\n"
                     "json.dump(dict(fds=fds, blocked=status['SigBlk'], ignored=status['SigIgn'], umask=mask,\n"
                     "  core=resource.getrlimit(resource.RLIMIT_CORE)[0], group=os.getpgid(0)==os.getpid(),\n"
                     "  stdin=os.readlink('/proc/self/fd/0')), open(os.environ['FTE_STATE_DIR']+'/born','w'))\n")
    # The supervisor itself is started with a stray descriptor, ignored signals and a blocked one.
    table = tree.directory / "table.conf"
    table.write_text(HEADING + row("a", f'{sys.executable} -I "{probe}"', "temporary"))
    stray = os.open("/etc/passwd", os.O_RDONLY)

    def soil():
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])
    tree.process = subprocess.Popen([str(BIN / "fte-supervisor"), str(table)], pass_fds=[stray], preexec_fn=soil,
                                    env={"PATH": os.environ["PATH"], "FTE_STATE_DIR": str(tree.state)},
                                    stderr=open(tree.log_path, "a"), stdin=subprocess.DEVNULL)
    os.close(stray)
    tree.wait("a", "ended")
    born = json.loads((tree.state / "born").read_text())
    # Python itself ignores SIGPIPE and SIGXFSZ.
    python = sum(1 << (n - 1) for n in (signal.SIGPIPE, signal.SIGXFSZ, 32, 33))
    assert int(born.pop("ignored"), 16) & ~python == 0
    assert int(born.pop("blocked"), 16) == 0
    assert born == {"fds": [0, 1, 2, 3], "umask": 0o077, "core": 0, "group": True, "stdin": "/dev/null"}


def test_a_flood_of_log_lines_blocks_nobody(tree):
    """Nobody reads our stderr at all, one child floods it: others work, and the supervisor answers."""
    read_end, write_end = os.pipe()
    flood = tree.directory / "flood.py"
    flood.write_text("import os\nos.write(3, b'READY\\n')\nline = b'x' * 200 + b'\\n'\n"
                     "while True:\n    os.write(2, line * 100)\n    os.write(3, b'T 1 0\\n')\n")
    tree.start(row("flood", f'{sys.executable} "{flood}"') + row("a", tree.actor), stderr=write_end)
    os.close(write_end)
    tree.wait("flood")
    a = tree.wait("a")
    end = time.monotonic() + 3
    slowest = 0.0
    while time.monotonic() < end:
        begun = time.monotonic()
        assert tree.status()["flood"]["state"] == "ready"
        slowest = max(slowest, time.monotonic() - begun)
        time.sleep(0.05)
    assert slowest < 1.0
    os.kill(a["pid"], signal.SIGKILL)
    tree.wait("a", other_than=a["pid"])
    # A reader comes at last: whole lines, and the count of those that are gone.
    os.set_blocking(read_end, False)
    text = b""

    def read():
        nonlocal text
        try:
            text += os.read(read_end, 1 << 20)
        except BlockingIOError:
            pass
        return b"event=log_dropped" in text
    until("count of dropped lines", read)
    assert b"flood: " + b"x" * 200 + b"\n" in text
    os.close(read_end)


def test_a_hundred_restarts_leak_no_descriptor_and_no_memory(tree):
    tree.start(row("a", 'sh -c "echo READY >&3; echo hello; read x </dev/null; exit 1"'),
               settings="intensity 100000 in 60s\nbackoff 1ms to 1ms, reset after 30s\n")

    def usage():
        kb = [int(l.split()[1]) for l in open(f"/proc/{tree.process.pid}/status") if l.startswith("VmRSS")][0]
        return len(os.listdir(f"/proc/{tree.process.pid}/fd")), kb
    until("warm", lambda: tree.status()["a"]["restarts"] >= 10)
    fds, kb = usage()
    until("100 more", lambda: tree.status()["a"]["restarts"] >= 110, 30)
    fds_after, kb_after = usage()
    assert abs(fds_after - fds) <= 4, "the child's own three and a client come and go"
    assert kb_after - kb < 1024


def test_clients_that_say_nothing_or_nonsense_do_no_harm(tree):
    tree.start(row("a", tree.actor))
    tree.wait("a")
    idle = []
    for _ in range(20):
        s = socket.socket(socket.AF_UNIX)
        s.connect(str(tree.state / "control"))
        idle.append(s)
    for request in (b"\n", b"\x00\xff\n", b"status\textra\n", b"restart\n", b"scale\ta\n", b"x" * 5000):
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(str(tree.state / "control"))
            try:
                s.sendall(request)
            except ConnectionError:
                pass
    until("an answer again when the idle ones have lost their places", lambda: tree.status().get("a"), 15)
    for s in idle:
        s.close()
    assert tree.status()["a"]["state"] == "ready"
    assert stat.S_IMODE(os.stat(tree.state / "control").st_mode) & 0o077 == 0


def test_a_supervisor_that_was_stopped_does_not_take_its_children_for_hung(tree):
    tree.start(row("a", tree.actor))
    pid = tree.wait("a")["pid"]
    tree.process.send_signal(signal.SIGSTOP)
    time.sleep(11)  # the point is that time passes
    tree.process.send_signal(signal.SIGCONT)
    assert tree.wait("a")["pid"] == pid
    assert "event=hung" not in tree.log()


@pytest.mark.parametrize("table, env, said", [
    ("nonsense\n", {}, "table.conf:1: "),
    (HEADING + "a | - | x | permanent | 1 | 1 |\n", {}, "table.conf:2: shutdown \"1\""),
    (None, {}, "No such file or directory"),
    (HEADING + "a | - | x | permanent | 1s | 2 |\n", {}, "table.conf:2: workers \"2\": at most 1 where the service is -"),
    (HEADING + "a | - | true | permanent | 1s | 1 |\n", {"FTE_DRAIN_BUDGET": "soon"}, "FTE_DRAIN_BUDGET=\"soon\""),
    (HEADING + "a | - | true | permanent | 1s | 1 |\n", {"FTE_STATE_DIR": "/proc/fte"}, "FTE_STATE_DIR=\"/proc/fte\""),
    (HEADING + "a | - | true | permanent | 1s | 1 |\n", {"FTE_STATE_DIR": "/etc/passwd"}, "Not a directory"),
])
def test_a_wrong_configuration_is_one_clear_line_and_exit_78(tmp_path, table, env, said):
    path = tmp_path / "table.conf"
    if table is not None:
        path.write_text(table)
    done = subprocess.run([str(BIN / "fte-supervisor"), str(path)], capture_output=True, text=True, timeout=10,
                          env={"FTE_STATE_DIR": str(tmp_path / "state"), **env})
    assert done.returncode == 78
    assert done.stderr.count("\n") == 1 and said in done.stderr


def test_a_state_directory_with_a_very_long_path_works(tmp_path):
    t = Tree(tmp_path)
    t.state = tmp_path / ("very long " * 20)
    t.state.mkdir()
    table = tmp_path / "table.conf"
    table.write_text(HEADING + row("a", t.actor))
    t.process = subprocess.Popen([str(BIN / "fte-supervisor"), str(table)], stderr=open(t.log_path, "a"),
                                 env={"PATH": os.environ["PATH"], "FTE_STATE_DIR": str(t.state)})
    try:
        until("status", lambda: t.fte("status", "--json").returncode == 0)
        until("ready", lambda: json.loads(t.fte("status", "--json").stdout)["ready"])
        done = t.fte("drain", "--json")
        assert json.loads(done.stdout)["drained"] is True
        assert t.process.wait(DEADLINE) == 0
        gone = t.fte("status")
        assert gone.returncode == 69 and "no supervisor runs on" in gone.stderr
    finally:
        if t.process.poll() is None:
            t.process.kill()
            t.process.wait()


def test_status_json_has_the_promised_fields(tree):
    tree.start(row("a", tree.actor))
    tree.wait("a")
    until("a tick", lambda: json.loads(tree.fte("status", "--json").stdout)["actors"][0]["settled"] > 0)
    status = json.loads(tree.fte("status", "--json").stdout)
    actor = status["actors"][0]
    assert set(actor) >= {"name", "service", "pid", "state", "restarts", "uptime_s", "settled", "in_flight"}
    assert actor["name"] == "a" and actor["state"] == "ready" and actor["in_flight"] == 1
    assert status["ready"] is True and status["degraded"] == []
    once = tree.fte("top", "--json")
    assert once.returncode == 0 and json.loads(once.stdout)["ready"] is True
    assert "ready; supervisor" in tree.fte("status").stdout
