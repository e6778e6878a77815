"""Every actor is killed at every named fault point, fails there, is late there, is stopped there: what was accepted
still happens once.

Needs the build with fault points (make FAULTS=1); FTE_FAULTS_BIN names its programs. points.py reads the
points from the source: before and after each commit and each send, and after each kind of message that is
received. A point strikes once per state directory and leaves a marker there; the rounds of customers go
on until all have struck, and a point that no round reaches fails the test. Stops take minutes: they are walked
where FTE_WALK_STOP says how many seconds one lasts (`make walk`).
"""

import glob
import os
import re
import signal
import subprocess
import threading
import time
import uuid

import pytest

import points
import system as system_module
from checker import check, message_id
from system import ROOT, System, wait_for

BIN = os.environ.get("FTE_FAULTS_BIN")
QUESTIONS = ["How do I write my own actor?", "I want a refund", "Where is my data kept?", "How do I replay a dead letter?"]
POISON = "poison!"
TAKEN = "What does the supervisor do?"
WALK_S = 75
LATE_MS = 400
STOP_S = float(os.environ.get("FTE_WALK_STOP") or 0)

# A message that the database refuses: it becomes a dead letter. One whose conversation a person takes while the agent is
# at work on it: the sender may not reply. And a minute whose figures are to be published.
PREPARE = """
    create function refuse() returns trigger language plpgsql as $$ begin
        if new.body like 'poison!%' then raise exception 'refused' using errcode = '22000'; end if; return new; end $$;
    create trigger refuse before insert on messages for each row execute function refuse();
    create function take() returns trigger language plpgsql as $$ begin
        update conversations c set state = 'human' from messages m
            where m.id = new.unit_id and m.body = 'What does the supervisor do?' and c.id = m.conversation_id;
        return new; end $$;
    create trigger take after insert on agent_runs for each row execute function take();
    insert into agent_metrics values (date_trunc('minute', now() - interval '3 minutes', 'UTC'), 'webform', 'received', 1)"""

pytestmark = pytest.mark.skipif(not BIN, reason="FTE_FAULTS_BIN is not set")


@pytest.fixture
def patient_table(tmp_path):
    """Dozens of kills of one actor within seconds are no crash loop here."""
    with open(os.path.join(ROOT, "supervisor/supervisor.conf")) as f:
        text = re.sub(r"(?m)^intensity .*$", "intensity 100000 in 60s", f.read())
    path = tmp_path / "supervisor.conf"
    path.write_text(re.sub(r"(?m)^backoff .*$", "backoff 10ms to 10ms, reset after 1s", text))
    return str(path)


class Customers:
    """Rounds of everything that a customer can do, until it has worked."""

    def __init__(self, system, patience_s):
        self.system, self.patience_s, self.accepted, self.poisoned = system, patience_s, [], []

    def until_202(self, path, body):
        def posted():
            try:
                answer = self.system.post(path, json=body, timeout=5)
                return answer.json() if answer.status_code == 202 else None
            except OSError:
                return None

        return wait_for(posted, self.patience_s, f"a 202 of {path}", 0.02)

    def look(self, path):
        try:
            self.system.get(path, timeout=5)
        except OSError:
            pass

    def submit(self, mail, message, times=1):
        sid = uuid.uuid4().hex
        body = dict(name="F", email=mail, subject="Q", message=message, submission_id=sid)
        for _ in range(times):
            link = self.until_202("/support/submit", body)["status_url"]
        (self.poisoned if message == POISON else self.accepted).append(message_id(mail, sid))
        return link

    def round(self, n):
        tag = uuid.uuid4().hex[:10]
        links = [self.submit(f"f{i}.{tag}@example.org", q, times=2 if i == 0 else 1) for i, q in enumerate(QUESTIONS)]
        for words in ("And then?", "And there?", "And how?"):  # a burst: two of them wait, and go on together
            self.until_202(links[2].split("?")[0] + "/reply", {"message": words})
        self.submit(f"f1.{tag}@example.org", QUESTIONS[0])  # where a person has the conversation
        self.submit(f"t.{tag}@example.org", TAKEN)
        if n == 0:
            self.submit(f"p.{tag}@example.org", POISON)
        self.look(links[0])
        self.look("/metrics")

    def settled(self, or_dead=False):
        """Everything has its outcome: what is accepted, and the replies that are in the log."""
        open_units = self.system.sql(
            "select count(*) from (select unnest(%s::uuid[]) as id"
            "                      union select coalesce(unit, id) from log_records where topic = 'fte.tickets.incoming'"
            "                      union select coalesce(unit, id) from kafka_records) a"
            " where not exists (select from outbox o where o.id = a.id)"
            " and not exists (select from escalations e where e.id = a.id)"
            " and not (%s and exists (select from dead_letters d where d.unit_id = a.id and d.state = 'dead'))",
            self.accepted + self.poisoned * or_dead, or_dead)
        return open_units == [(0,)]


def struck(system):
    """The points that have left their markers."""
    return {os.path.basename(p)[len("fault."):].rsplit(".", 2)[0] for p in glob.glob(os.path.join(system.state, "fault.*"))}


def replay(system):
    """The person's part, killed before and after each commit, too."""
    system.sql("drop trigger refuse on messages")
    for place in ("before", "after"):
        system.env["FTE_FAULT"] = f"fte.{place}_commit.on_reply:kill@2"  # the first reads the list
        assert system.fte("dlq", "replay", "--all").returncode == -signal.SIGKILL
    system.env["FTE_FAULT"] = ""
    assert system.fte("dlq", "replay", "--all").returncode == 0
    wait_for(lambda: system.sql("select count(*) from dead_letters where state = 'dead'") == [(0,)], what="no dead letter")


def walk(system, wanted, seconds=WALK_S, patience_s=60):
    customers = Customers(system, patience_s)
    system.sql(PREPARE)
    end, n = time.monotonic() + seconds, 0
    while (missing := wanted - struck(system)):
        assert time.monotonic() < end, f"not passed: {sorted(missing)}"
        customers.round(n)
        if any(".released" in point for point in missing):
            system.fte("restart", "edge")
        n += 1
    wait_for(lambda: customers.settled(or_dead=True), 60, "an outcome or a dead letter for every message", 0.1)
    dead = {row[0] for row in system.sql("select unit_id::text from dead_letters where state = 'dead'")}
    assert set(customers.poisoned) <= dead, "a dead letter for what is refused"
    replay(system)
    customers.accepted += customers.poisoned
    wait_for(customers.settled, 60, "an outcome for every message", 0.1)
    return dead - set(customers.poisoned)
    assert check(system.sql, customers.accepted, system.topics()) == []


def failing_commits():
    """Those of the stages, and of who is asked: only where a commit fails they say RETRY, or FAIL."""
    names = sorted(c.rsplit(".", 1) for c in points.commits(None))
    return [f"{actor}.before_commit.{name}" for actor, name in names if actor not in ("edge", "kb", "metrics", "ingress")]


@pytest.mark.parametrize("backend", ["postgres", "kafka"])
@pytest.mark.parametrize("place", ["before", "after", "received"])
def test_killed_there_it_still_happens_once(place, backend, monkeypatch, patient_table):
    wanted = points.walk_receipts() if place == "received" else points.walk(place, backend)
    monkeypatch.setattr(system_module, "BIN", BIN)
    faults = [f"{point}:kill" for point in sorted(wanted)]
    faults += [f"{commit}:error@{hit}" for commit in failing_commits() for hit in (2, 5, 9, 14, 20, 27, 35)]
    with System(table=patient_table, kafka=int(backend == "kafka"), FTE_FAULT=",".join(faults), FTE_METRICS_INTERVAL="1s") as s:
        assert walk(s, wanted) == set()
        assert_whole(s)


def assert_whole(system):
    """What was struck works again: nobody who should work is without it for ever."""
    link = system.submit(message=QUESTIONS[0])
    assert system.wait_outcome(link)["status"] == "answered"


# Where a fault point can fail: a commit that isn't done, or is done and answered as failed; a message that is lost;
# a record that can't be produced, one whose delivery report says no, positions that can't be committed.
DEATHS = [f"ticketer.before_commit:kill@{hit}" for hit in (3, 6, 11)]  # of which the router tells
FAILING = re.compile(r"\.(before_commit|after_commit|before_send|before_produce|after_report|before_offsets)\b")


@pytest.mark.parametrize("backend", ["postgres", "kafka"])
def test_failing_there_it_still_happens_once(backend, monkeypatch, patient_table):
    """A unit that fails five times at such a place is a dead letter, rightly; after its replay it has its outcome."""
    wanted = {point for place in ("before", "after") for point in points.walk(place, backend) if FAILING.search(point)}
    monkeypatch.setattr(system_module, "BIN", BIN)
    faults = [f"{point}:error" for point in sorted(wanted)] + DEATHS
    with System(table=patient_table, kafka=int(backend == "kafka"), FTE_FAULT=",".join(faults), FTE_METRICS_INTERVAL="1s",
                FTE_EDGE_DEADLINE="2s", FTE_AGENT_CALL_TIMEOUT="1s") as s:
        walk(s, wanted)
        assert_whole(s)


@pytest.mark.parametrize("backend", ["postgres", "kafka"])
def test_late_there_it_still_happens_once(backend, monkeypatch, patient_table):
    wanted = points.walk("before", backend) | points.walk("after", backend)
    monkeypatch.setattr(system_module, "BIN", BIN)
    faults = [f"{point}:delay={LATE_MS}" for point in sorted(wanted)] + DEATHS
    faults += [f"{commit}:error@{hit}" for commit in failing_commits() for hit in (2, 5, 9, 14, 20, 27, 35)]
    with System(table=patient_table, kafka=int(backend == "kafka"), FTE_FAULT=",".join(faults), FTE_METRICS_INTERVAL="1s") as s:
        walk(s, wanted)
        assert_whole(s)


def continue_stopped(system, over):
    """Continues what has been stopped for STOP_S."""
    since = {}
    while not over.wait(0.1):
        for pid in descendants(system.supervisor.pid):
            if state_of(pid) != "T":
                since.pop(pid, None)
            elif time.monotonic() - since.setdefault(pid, time.monotonic()) >= STOP_S:
                os.kill(pid, signal.SIGCONT)


def descendants(pid):
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as f:
            below = [int(p) for p in f.read().split()]
    except OSError:
        return []
    return below + [p for one in below for p in descendants(one)]


def state_of(pid):
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rsplit(")", 1)[1].split()[0]
    except OSError:
        return None


@pytest.mark.skipif(not STOP_S, reason="takes minutes: make walk")
@pytest.mark.parametrize("backend", ["postgres", "kafka"])
def test_stopped_there_it_still_happens_once(backend, monkeypatch, patient_table):
    """Two edges: one that is stopped for longer than its lease wakes up as a zombie, beside the new holder. After ten
    seconds the supervisor takes a silent process for hung and replaces it."""
    wanted = points.walk("before", backend) | points.walk("after", backend)
    monkeypatch.setattr(system_module, "BIN", BIN)
    faults = [f"{point}:stop" for point in sorted(wanted)] + DEATHS
    faults += [f"{commit}:error@{hit}" for commit in failing_commits() for hit in (2, 5, 9, 14, 20, 27, 35)]
    over = threading.Event()
    with System(table=patient_table, kafka=int(backend == "kafka"), ready_s=60 + 10 * STOP_S, FTE_FAULT=",".join(faults),
                FTE_METRICS_INTERVAL="1s") as s:
        s.fte("scale", "edge", "2", check=True)
        waker = threading.Thread(target=continue_stopped, args=(s, over), daemon=True)
        waker.start()
        try:
            walk(s, wanted, seconds=60 + 60 * STOP_S, patience_s=60 + 20 * STOP_S)
            assert_whole(s)
        finally:
            over.set()
            waker.join()


def test_what_is_spared_is_in_the_source():
    assert set(points.SPARED) <= points.sends()


def test_every_batch_stage_has_a_name_of_its_own():
    for actor, text in points.folder_texts():
        assert len(set(points.STAGE.findall(text))) == len(re.findall(r"struct batch_stage \w+ = \{", text)), actor


def test_every_commit_and_every_send_goes_by_a_fault_point():
    """Nothing else talks to the database or to a peer than the functions that have the points."""
    def files_with(pattern):
        found = subprocess.run(["grep", "-rlE", pattern, "--include=*.c", "actors", "db", "proto", "supervisor"], cwd=ROOT,
                               capture_output=True, text=True).stdout.split()
        return set(found)

    assert files_with(r"\bPQ(pipelineSync|sendQuery\w*)\s*\(") == {"db/pg.c"}
    assert files_with(r"\bPQexec\w*\s*\(") == {"db/migrate.c"}
    # connection.c says hello, door.c answers ZeroMQ itself.
    assert files_with(r"\bzmq_(msg_)?send\s*\(") == {"actors/router/route.c", "actors/router/door.c", "proto/runtime/mailbox.c",
                                                     "proto/runtime/connection.c"}


def test_an_import_that_is_killed_is_done_whole_by_the_next(monkeypatch):
    monkeypatch.setattr(system_module, "BIN", BIN)
    with System(knowledge=()) as s:
        whole = int(s.fte("kb", "import", "docs/guide", check=True).stdout.split()[0])
        s.sql("delete from knowledge_base")
        for place, left in (("before", 0), ("after", whole)):
            s.env["FTE_FAULT"] = f"fte.{place}_commit.on_reply:kill@1"
            assert s.fte("kb", "import", "docs/guide").returncode == -signal.SIGKILL
            assert s.sql("select count(*) from knowledge_base") == [(left,)]
        s.env["FTE_FAULT"] = ""
        assert s.fte("kb", "import", "docs/guide", check=True).stdout.startswith(f"{whole} passages: 0 written")


def test_a_migration_that_is_killed_is_done_once_by_the_next(monkeypatch):
    monkeypatch.setattr(system_module, "BIN", BIN)
    s = System()
    try:
        s.database_url = s.env["DATABASE_URL"] = s._cluster("start")
        for fault, done in (("before_commit.migration:kill@2", 1), ("after_commit.migration:kill@1", 2)):
            s.env["FTE_FAULT"] = "fte." + fault
            assert s.fte("migrate").returncode == -signal.SIGKILL
            assert s.sql("select count(*) from schema_migrations") == [(done,)]
        s.env["FTE_FAULT"] = ""
        s.fte("migrate", check=True)
        versions = [row[0] for row in s.sql("select version from schema_migrations order by 1")]
        assert versions == list(range(1, len(glob.glob(os.path.join(ROOT, "db/migrations/*.sql"))) + 1))
    finally:
        s.stop()
