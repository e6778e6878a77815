"""The edge and a Kafka that asks who one is: real TLS, SASL and access rights, what each refusal looks like to an operator,
and brokers that are too old."""
import os, pathlib, re, signal, subprocess, tempfile, time

import pytest
import edge_test
from edge_test import BIN, BUSY, FAIL, ROOT, System, append, record, texts, until
from old_broker import OldBroker
from secure_broker import RIGHTS, SecureBroker
from system import free_port

state = edge_test.state  # its fixture
USERS = ("fte", "nowrite", "noread", "nogroup", "nocreate", "nothing")


def rights(without):
    return [right for right in RIGHTS if right != without]


@pytest.fixture(scope="module")
def broker():
    with SecureBroker(USERS) as b:
        b.allow("fte")
        b.allow("nowrite", rights("WRITE"))
        b.allow("noread", rights("READ"))
        b.allow("nogroup", group=())
        b.allow("nocreate", rights("CREATE"))
        yield b


class SecureLog:
    settings = {"FTE_LOG_BACKEND": "kafka", "FTE_HTTP_PORT": str(free_port())}  # `fte check` looks at it, too

    def __init__(self, system):
        system.sql("delete from log_records; delete from kafka_records; update log_backend set name = 'kafka', relay_after = 0")


@pytest.fixture
def system(state):
    s = System(state, SecureLog)
    yield s
    s.stop()


@pytest.mark.parametrize("mechanism, tls, in_file", [("SCRAM-SHA-512", True, True), ("SCRAM-SHA-256", False, False), ("PLAIN", True, False)])
def test_with_the_right_key_and_password_it_works(system, broker, mechanism, tls, in_file):
    properties = broker.properties("fte", mechanism, tls)
    given = broker.file(properties) if in_file else ";".join(f"{name}={value}" for name, value in properties.items())
    system.state.update(FTE_KAFKA_BROKERS=broker.address("secure" if tls else "sasl"), FTE_KAFKA_PROPERTIES=given,
                        FTE_KAFKA_GROUP="fte." + mechanism)
    system.start("edge")
    client, stage = system.peer(), system.peer("identity")
    append(client, record("by " + mechanism, key="k:" + mechanism))
    works = []
    until(lambda: (work := stage.work(1)) and (works.append(texts(work)), stage.done(work)) and works[-1] == ["by " + mechanism])
    checked = system.fte("check")
    assert (checked.returncode, checked.stderr) == (0, "")


class Edge:
    """One whose log and lifeline (proto/README.md, section 14: a pipe, in a file it says nothing) are kept."""

    def __init__(self, environment):
        self.dir, self.heard = tempfile.TemporaryDirectory(prefix="fte-edge-log."), ""
        self.log, line = pathlib.Path(self.dir.name, "log"), pathlib.Path(self.dir.name, "lifeline")
        os.mkfifo(line)
        self.line = open(os.open(line, os.O_RDONLY | os.O_NONBLOCK), "rb", buffering=0)
        self.process = subprocess.Popen(["sh", "-c", 'exec "$0" 2>>"$1" 3>>"$2"', BIN / "fte-edge", self.log, line], env=environment)
        until(self.log.exists)

    def said(self):
        return self.log.read_text()

    def told(self):
        """Its lifeline so far."""
        self.heard += (self.line.read(1 << 16) or b"").decode()
        return self.heard

    def is_ready(self):
        states = re.findall("^(READY|OK|DEGRADED)", self.told(), re.M)
        return bool(states) and states[-1] != "DEGRADED"


def test_who_may_not_make_topics_may_use_those_that_are_there(system, broker):
    system.state.update(FTE_KAFKA_BROKERS=broker.address("sasl"), FTE_KAFKA_GROUP="fte.nocreate",
                        FTE_KAFKA_PROPERTIES=broker.file(broker.properties("nocreate", "PLAIN", False)))
    edge = Edge(system.state)
    system.processes["edge"] = edge.process
    append(system.peer(), record())
    assert system.fte("check").returncode == 0
    system.kill("edge", signal.SIGTERM)
    assert "event=kafka" not in edge.said()


def test_a_property_that_a_promise_rests_on_is_refused_by_its_name():
    source = (ROOT / "actors/edge/kafka_client.c").read_text()
    fixed = re.findall('"([a-z.]+)"', re.search(r"fixed\[\] = {(.*?)};", source, re.S)[1])
    assert {"acks", "enable.idempotence", "enable.auto.commit", "partition.assignment.strategy", "group.id"} <= set(fixed)
    cases = {f"{name}=1": f'the property "{name}" is set by fte itself' for name in fixed}
    cases["client.id=x;no.such.thing=hush"] = 'librdkafka knows no property "no.such.thing"'
    cases["linger.ms=hush"] = 'librdkafka refuses the value of the property "linger.ms"'
    cases["sasl.username=me;hush"] = "a part is not key=value"
    cases["/no/such/file"] = "/no/such/file: No such file or directory"
    for given, why in cases.items():
        refused = subprocess.run([BIN / "fte-edge"], capture_output=True, text=True, timeout=10,
                                 env={"FTE_STATE_DIR": "/tmp", "DATABASE_URL": "postgresql:///", "FTE_KAFKA_PROPERTIES": given})
        assert refused.returncode == 78 and why in refused.stderr and "FTE_KAFKA_PROPERTIES" in refused.stderr, (given, refused.stderr)
        assert len(refused.stderr.splitlines()) == 1 and "hush" not in refused.stderr


AUTH, DENIED = "SASL authentication error: Authentication failed", "Topic authorization failed"
TROUBLES = {  # name: (listener, user and mechanism, other properties, what the edge's line says, what `fte check` says)
    "wrong password, SCRAM": ("secure", ("fte", "SCRAM-SHA-512"), {"sasl_password": "hush-nobody"}, AUTH + ".*SCRAM-SHA-512", None),
    "wrong password, PLAIN": ("sasl", ("fte", "PLAIN", False), {"sasl_password": "hush-nobody"}, AUTH + ".*password", None),
    "unknown user": ("sasl", ("nobody", "SCRAM-SHA-256", False), {}, AUTH, None),
    "unknown CA": ("secure", ("fte", "PLAIN"), {"ssl_ca_location": "{dir}/stranger.pem"},
                   "its certificate is not accepted: unable to get local issuer certificate", None),
    "certificate of another host": ("other", ("fte", "PLAIN"), {}, "its certificate is not accepted: IP address mismatch", None),
    "no TLS where it is wanted": ("secure", ("fte", "PLAIN", False), {}, "no broker answers: .* it hangs up at the first word", None),
    "may not write": ("sasl", ("nowrite", "PLAIN", False), {}, "topic fte.[a-z.]* may not be written to: .*" + DENIED, None),
    "may not read": ("sasl", ("noread", "PLAIN", False), {}, "topic fte.tickets.incoming may not be read: .*" + DENIED, None),
    "may not join": ("sasl", ("nogroup", "PLAIN", False), {}, "group fte.* may not be joined: .*Group authorization failed",
                     "the group may not be joined: .*Group authorization failed"),
    "may nothing": ("sasl", ("nothing", "PLAIN", False), {}, DENIED + "|Group authorization failed", None),
    "too old to say who it is": ("first", None, {}, "it hangs up at the first word: it wants another security.protocol, or is too old", None),
    "too old to have a controller": ("0.10.0", None, {}, "too old", None),
    "too old for headers": ("0.10.2", None, {}, "the broker is too old: Kafka 0.11 or newer is needed", None),
}


@pytest.fixture(scope="module")
def troubles(state, broker):
    """All of them at once, each with an edge and a `fte check` of its own: {name: (the edge's lines, check)}."""
    subprocess.run(["psql", "-Xqd", state["DATABASE_URL"], "-c", "update log_backend set name = 'kafka'"], check=True)
    system, old, edges, checks = System(state, SecureLog), [], {}, {}
    for n, (name, (listener, who, more, _, _)) in enumerate(TROUBLES.items()):
        if who:
            address = broker.address(listener)
            properties = broker.file(broker.properties(*who, **{k: v.format(dir=broker.dir) for k, v in more.items()}))
        else:
            old.append(OldBroker(listener))
            address, properties = "127.0.0.1:%d" % old[-1].port, ""
        environment = {**system.state, "FTE_KAFKA_BROKERS": address, "FTE_KAFKA_PROPERTIES": properties, "FTE_KAFKA_GROUP": f"fte.{n}"}
        edges[name] = Edge(environment)
        checks[name] = subprocess.Popen([BIN / "fte", "check"], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    until(lambda: all("event=kafka" in edge.said() and edge.told() and not edge.is_ready() for edge in edges.values()), 40)
    checked = {name: subprocess.CompletedProcess(check.args, check.wait(30), *check.communicate()) for name, check in checks.items()}
    assert not any(edge.is_ready() for edge in edges.values())
    for edge in edges.values():
        edge.process.terminate()
    for edge in edges.values():
        try:
            edge.process.wait(20)
        finally:
            edge.process.kill()
    system.stop()
    for one in old:
        one.close()
    return {name: (edge.said(), checked[name]) for name, edge in edges.items()}


@pytest.mark.parametrize("name", TROUBLES)
def test_each_refusal_is_one_clear_line_without_readiness_and_without_a_password(troubles, name):
    said, check = troubles[name]
    _, _, _, why, why_check = TROUBLES[name]
    # Beside it only the change of its own state is told, and that the others of this test take its partitions.
    trouble = [line for line in said.splitlines() if not re.search('event=degraded why="kafka"|event=fenced', line)]
    assert len(trouble) == 1 and "event=kafka" in trouble[0] and 'brokers="127.0.0.1:' in trouble[0], said
    assert re.search(why, trouble[0]), trouble
    assert check.returncode == 78 and check.stdout == ""
    assert re.search('^fte check: FTE_KAFKA_BROKERS="127.0.0.1:[0-9]+": .*(%s)' % (why_check or why), check.stderr, re.M), check.stderr
    assert len(check.stderr.splitlines()) <= 2
    assert "hush" not in said + check.stderr


def test_a_right_that_is_given_later_is_found_without_a_restart(system, broker):
    system.state.update(FTE_KAFKA_BROKERS=broker.address("sasl"), FTE_KAFKA_GROUP="fte.later",
                        FTE_KAFKA_PROPERTIES=broker.file(broker.properties("nowrite", "PLAIN", False)))
    edge = Edge(dict(system.state, FTE_LOG_LEVEL="info"))
    system.processes["edge"] = edge.process
    client = system.peer()
    until(lambda: "may not be written to" in edge.said() and edge.told() and not edge.is_ready())
    began = time.monotonic()
    assert client.call({"verb": "append", "records": [record()]}).head["type"] in (BUSY, FAIL)
    assert time.monotonic() - began < 2.5
    broker.allow("nowrite", ["WRITE"])
    until(edge.is_ready, 30)
    append(client, record())
    assert "is there again" in edge.said()
