"""A whole system on each of the two logs: how far it is behind, what a form is told while Kafka is away, and moving
from one log to the other."""
import json, os, re, signal, subprocess, sys, time, uuid

import pytest
from system import BIN, ROOT, System, wait_for
from topics import KafkaTopics, PostgresTopics

sys.path.insert(0, os.path.join(ROOT, "test/chaos"))
import checker  # noqa: E402

QUESTION = "How do I write my own actor?"


@pytest.fixture(scope="module")
def on_kafka():
    with System(kafka=1, FTE_METRICS_INTERVAL="1s") as s:
        yield s


def post(s, message=QUESTION, submission=None, email=None):
    """(answer, seconds, id of the message)."""
    email, submission = email or f"kim.{uuid.uuid4().hex[:12]}@example.org", submission or str(uuid.uuid4())
    began = time.monotonic()
    answer = s.post("/support/submit", json={"name": "Kim", "email": email, "message": message, "submission_id": submission})
    return answer, time.monotonic() - began, checker.message_id(email, submission)


def scale(s, name, n):
    s.fte("scale", name, str(n), check=True)


def top(s):
    return json.loads(s.fte("top", "--json", check=True).stdout)["log"]


def metrics(s):
    """{partition: records} of /metrics."""
    return {int(p): float(n) for p, n in
            re.findall(r'fte_log_lag\{partition="(\d+)",topic="fte.tickets.incoming"\} (\S+)', s.get("/metrics").text)}


def behind(s, n):
    """Both say that n records are not settled, and in the same partitions."""
    shown = top(s)
    if not shown or shown["lag"] != n:
        return False
    by_partition = {row["partition"]: row["lag"] for row in shown["partitions"]}
    return len(by_partition) == 12 and sum(by_partition.values()) == n and metrics(s) == by_partition and shown


def check_lag(s, backend):
    wait_for(lambda: behind(s, 0), what="a lag of 0")
    scale(s, "identity", 0)
    links = [s.submit(message=QUESTION) for _ in range(7)]
    shown = wait_for(lambda: behind(s, 7), what="a lag of 7")
    assert shown["backend"] == backend and 0 <= shown["measured_s_ago"] < 5
    # It is not the edge that tells it.
    scale(s, "edge", 0)
    assert wait_for(lambda: behind(s, 7), what="a lag of 7 without an edge")
    line = [line for line in s.fte("top", check=True).stdout.splitlines() if line.startswith("log in ")]
    assert len(line) == 1 and re.fullmatch(r"log in %s: 7 not settled( \d+:\d)+; \d s ago" % backend, line[0]), line
    scale(s, "edge", 1)
    scale(s, "identity", 1)
    for link in links:
        assert s.wait_outcome(link)["status"] == "answered"
    wait_for(lambda: behind(s, 0), what="a lag of 0 again")


def test_the_lag_of_each_partition_of_the_log_in_postgresql(fresh_system):
    check_lag(fresh_system(FTE_METRICS_INTERVAL="1s"), "postgres")


def test_the_lag_of_each_partition_of_the_log_in_kafka(on_kafka):
    check_lag(on_kafka, "kafka")


def seen_once(s, message):
    """One message, one reply, however often it stands in the log."""
    wait_for(lambda: s.sql("select count(*) from messages o join messages i using (unit_id) where i.id = %s and o.direction = 'outbound'",
                           message) == [(1,)], what="the reply")
    assert s.sql("select count(*) from messages where id = %s", message) == [(1,)]


@pytest.mark.parametrize("how", ["kill", "stop"])
def test_without_kafka_a_form_gets_503_and_its_repeat_is_processed_once(on_kafka, how):
    s, submission, email = on_kafka, str(uuid.uuid4()), f"lee.{uuid.uuid4().hex[:12]}@example.org"
    s.wait_outcome(s.submit(message=QUESTION))
    if how == "kill":
        s.broker("kill", "1")
    else:
        broker = int(s.broker("pid", "1"))
        os.kill(broker, signal.SIGSTOP)
    try:
        answer, seconds, message = post(s, submission=submission, email=email)
    finally:
        if how == "kill":
            s.broker("start", "1")
        else:
            os.kill(broker, signal.SIGCONT)
    assert answer.status_code == 503 and int(answer.headers["Retry-After"]) >= 1 and seconds < 5, (answer.text, seconds)
    if how == "stop":
        # What was on its way to the broker arrives after all, though the client was told that nobody knows.
        wait_for(lambda: message in s.topics().ids("fte.tickets.incoming"), what="the first record")
    again = wait_for(lambda: (a := post(s, submission=submission, email=email)[0]).status_code == 202 and a, 40, "the repeat")
    assert s.wait_outcome(again.json()["status_url"])["status"] == "answered"
    assert post(s, submission=submission, email=email)[0].status_code == 202
    seen_once(s, message)


def move(s, backend, wait=True):
    """Starts on the other log."""
    s.env["FTE_LOG_BACKEND"] = backend
    if wait:
        s.start_supervisor()
        s.wait_ready()


def drain(s):
    s.fte("drain", check=True)
    assert s.supervisor.wait(40) == 0


class BothLogs:
    def __init__(self, s):
        self.logs = KafkaTopics(s.env["FTE_KAFKA_BROKERS"]), PostgresTopics(s.sql)

    def ids(self, topic):
        return [id for log in self.logs for id in log.ids(topic)]

    def records(self, topic):
        return [record for log in self.logs for record in log.records(topic)]

    def dead_units(self):
        return [unit for log in self.logs for unit in log.dead_units()]


def test_moving_from_one_log_to_the_other_and_back_loses_nothing(on_kafka):
    s, accepted, links = on_kafka, [], []
    for old, new in (("kafka", "postgres"), ("postgres", "kafka")):
        wait_for(lambda: behind(s, 0), what="a lag of 0")
        scale(s, "identity", 0)
        for i in range(5):
            answer, _, message = post(s, "I want a refund" if i == 4 else QUESTION)
            assert answer.status_code == 202
            accepted.append(message)
            links.append(answer.json()["status_url"])
        drain(s)
        move(s, new, wait=False)
        for command in ("check", "up"):
            said = s.fte(command)
            assert said.returncode == 78, said.stdout
            assert f'FTE_LOG_BACKEND="{new}": the log of now is {old}, and 5 messages in it are not settled' in said.stderr
            assert f"start with FTE_LOG_BACKEND={old} and without the ingress" in said.stderr
        # As it says.
        move(s, old)
        scale(s, "ingress", 0)
        wanted = dict(s.env, FTE_LOG_BACKEND=new)
        wait_for(lambda: subprocess.run([os.path.join(BIN, "fte"), "check"], cwd=ROOT, env=wanted, capture_output=True).returncode == 0,
                 40, "a content `fte check`", 0.2)
        drain(s)
        move(s, new)
        assert s.sql("select name from log_backend") == [(new,)]
        answer, _, message = post(s)
        accepted.append(message)
        links.append(answer.json()["status_url"])
        for link in links:
            assert s.wait_outcome(link)["status"] in ("answered", "escalated")
    assert s.fte("dlq", "list").stdout == "no dead letters\n"
    violations = checker.check(s.sql, accepted, BothLogs(s))
    assert not violations, violations
