"""The contract of the log (actors/edge/log.h), by the edge against a real router, a real PostgreSQL and a real Kafka, with
a stage of ours in place of `identity`: what it takes in, what it hands out and when, and what it holds on to when
something dies. Every test runs on both backends, but for those that say why not."""
import base64, collections, json, os, pathlib, re, shutil, signal, subprocess, sys, tempfile, time, uuid
import kafka, msgpack, pytest, zmq

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "test/docs"))
import asyncapi_test as asyncapi  # noqa: E402
import topics  # noqa: E402

BIN = pathlib.Path(os.environ.get("FTE_BIN", ROOT / "build" / "bin"))
READY, CREDIT, WORK, DONE, RETRY, FAIL, CALL, RETURN, BUSY, LOST = range(1, 11)
INCOMING = "fte.tickets.incoming"
Work = collections.namedtuple("Work", "head body")
BROKER = ROOT / "actors/edge/broker/broker.sh"


@pytest.fixture(scope="module")
def state():
    path = tempfile.mkdtemp(prefix="fte-edge.")
    url = subprocess.run([ROOT / "db/cluster.sh", "start", path], check=True, capture_output=True, text=True).stdout.strip()
    environment = dict(os.environ, FTE_STATE_DIR=path, DATABASE_URL=url, FTE_LOG_LEVEL="warn")
    subprocess.run([BIN / "fte", "migrate"], check=True, env=environment, stdout=subprocess.DEVNULL)
    os.makedirs(path + "/run", mode=0o700, exist_ok=True)
    yield environment
    subprocess.run([ROOT / "db/cluster.sh", "stop", path], check=True)
    subprocess.run([BROKER, "stop", path], check=True)
    shutil.rmtree(path, ignore_errors=True)


class PostgresLog:
    settings = {"FTE_LOG_BACKEND": "postgres"}

    def __init__(self, system):
        self.sql = system.sql
        self.sql("delete from log_records; update log_backend set name = 'postgres', relay_after = 0")

    def count(self, topic=INCOMING):
        return int(self.sql("select count(*) from log_records where topic = '%s'" % topic)[0][0])

    def unsettled(self):
        return int(self.sql("select count(*) from log_records r join log_partitions p using (topic, partition)"
                            " where r.record_offset > p.position")[0][0])

    def moved(self):
        """How many partitions have settled anything."""
        return int(self.sql("select count(*) from log_partitions where position > 0")[0][0])


class KafkaLog:
    """Looks into the topics with a client of its own, which has nothing in common with the edge's."""

    def __init__(self, system):
        self.brokers = subprocess.run([BROKER, "start", system.state["FTE_STATE_DIR"]], check=True, capture_output=True,
                                      text=True).stdout.strip()
        self.settings = {"FTE_LOG_BACKEND": "kafka", "FTE_KAFKA_BROKERS": self.brokers, "FTE_KAFKA_GROUP": uuid.uuid4().hex}
        # What earlier tests have left is settled for this one's group.
        self.client = kafka.KafkaConsumer(bootstrap_servers=self.brokers, group_id=self.settings["FTE_KAFKA_GROUP"],
                                          enable_auto_commit=False)
        self.begin = {p: end for topic in self.client.topics() for p, end in self.ends(topic).items()}
        self.client.assign([p for p in self.begin if p.topic == INCOMING])
        if any(p.topic == INCOMING for p in self.begin):
            self.client.commit({p: kafka.OffsetAndMetadata(end, "") for p, end in self.begin.items() if p.topic == INCOMING})
        self.client.unsubscribe()  # of what is assigned it would remember positions instead of asking
        system.sql("delete from log_records; delete from kafka_records;"
                   "update log_backend set name = 'kafka', relay_after = 0")

    def partitions(self, topic):
        return [kafka.TopicPartition(topic, n) for n in self.client.partitions_for_topic(topic) or ()]

    def ends(self, topic):
        return self.client.end_offsets(self.partitions(topic))

    def count(self, topic=INCOMING):
        self.client.topics()
        return sum(end - self.begin.get(p, 0) for p, end in self.ends(topic).items())

    def positions(self):
        return {p: self.client.committed(p) or 0 for p in self.partitions(INCOMING)}

    def unsettled(self):
        self.client.topics()
        positions = self.positions()
        return sum(end - max(positions[p], self.begin.get(p, 0)) for p, end in self.ends(INCOMING).items())

    def moved(self):
        return sum(at > self.begin.get(p, 0) for p, at in self.positions().items())

    def records(self, topic):
        """All that this test has put there: [(key, headers, value)]."""
        got = [(key, headers, json.loads(value)) for key, headers, value in topics.read(self.brokers, topic, self.begin)]
        for key, headers, value in got:
            # The document is one more reader.
            asyncapi.validator("key").validate(key)
            asyncapi.validator("headers").validate({name: value.decode() for name, value in headers.items()})
            asyncapi.validator(asyncapi.TYPES[headers.get("ce_type", b"fte.message.incoming").decode()]).validate(value)
        return got

    def produce(self, value, key="webform:0000000000000001", topic=INCOMING, **headers):
        """As somebody else's program would: {name: text} are headers, None leaves one out."""
        every = {"ce_specversion": "1.0", "ce_id": uuid.uuid4().hex, "ce_type": "shop.order", "ce_source": "/shop",
                 "content-type": "application/json", **headers}
        producer = kafka.KafkaProducer(bootstrap_servers=self.brokers, acks="all")
        sent = producer.send(topic, value if isinstance(value, bytes) else json.dumps(value).encode(), key and key.encode(),
                             headers=[(k, v.encode()) for k, v in every.items() if v is not None]).get(10)
        producer.close()
        return sent


class Peer:
    """A DEALER on the router: with a service it is a worker, without it asks."""

    def __init__(self, state, service="", slots=1000):
        self.service, self.slots, self.inbox = service, slots, []
        self.socket = zmq.Context.instance().socket(zmq.DEALER)
        self.socket.setsockopt(zmq.ROUTING_ID, b"\x80" + os.urandom(15))
        self.socket.setsockopt(zmq.LINGER, 0)
        self.monitor = self.socket.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED)
        self.socket.connect("ipc://%s/run/router.sock" % state["FTE_STATE_DIR"])
        self.known = False
        until(lambda: self.turn(0.05) or self.known)

    def send(self, type_, body=b"", head=None, **fields):
        fields = {"version": 1, "type": type_, "service": self.service, "id": b"", "attempt": 0, "generation": 0, "route": b"",
                  "count": 0, "pid": 0, **(head or {}), **fields, "type": type_}
        self.socket.send_multipart([msgpack.packb(list(fields.values())), body])

    def receive(self, seconds):
        """The next message that isn't part of being connected, or None."""
        end = time.monotonic() + seconds
        while not self.inbox and time.monotonic() < end:
            self.turn(max(0, end - time.monotonic()))
        return self.inbox.pop(0) if self.inbox else None

    def turn(self, seconds):
        zmq.select([self.socket, self.monitor], [], [], seconds)
        if self.monitor.poll(0):
            self.monitor.recv_multipart(), self.socket.send(b"")
        while self.socket.getsockopt(zmq.EVENTS) & zmq.POLLIN:
            frames = self.socket.recv_multipart()
            head = dict(zip(("version", "type", "service", "id", "attempt", "generation", "route", "count", "pid"),
                            msgpack.unpackb(frames[0])))
            if head["type"] == READY and not head["service"]:
                self.send(READY, count=self.slots, pid=os.getpid())
                self.known = True
            elif head["type"] in (WORK, CALL, RETURN, FAIL, BUSY, LOST):
                self.inbox.append(Work(head, msgpack.unpackb(frames[1], strict_map_key=False) if frames[1] else None))

    def work(self, seconds=5):
        got = self.receive(seconds)
        assert got is None or got.head["type"] == WORK
        return got

    def settle(self, work, type_, body=None):
        self.send(type_, msgpack.packb(body) if body else b"", head=work.head, service=self.service)
        self.send(CREDIT, count=1)

    def done(self, work):
        self.settle(work, DONE)

    def fail(self, work, type_, code):
        self.settle(work, type_, {"code": code, "why": "as the test says"})

    def call(self, body, seconds=5):
        self.send(CALL, msgpack.packb(body), service="edge", id=uuid.uuid4().bytes)
        return self.receive(seconds)

    def close(self):
        self.monitor.close(), self.socket.disable_monitor(), self.socket.close()


class System:
    def __init__(self, state, log):
        self.state, self.processes, self.peers = dict(state), {}, []
        self.sql("delete from dead_letters;"
                 "update log_partitions set position = 0, owner = null, lease_until = null; delete from log_members")
        self.log = log(self)
        self.state.update(self.log.settings)
        self.start("router")

    def start(self, name, program=None, **settings):
        """Under a supervisor each has a name of its own, and so here."""
        environment = {**self.state, "FTE_CHILD": name.replace(" ", "."), **settings}
        self.processes[name] = subprocess.Popen([BIN / ("fte-" + (program or name))], env=environment)
        return self.processes[name]

    def kill(self, name, how=signal.SIGKILL):
        process = self.processes.pop(name)
        process.send_signal(how)
        return process.wait(20)

    def supervise(self):
        """Starts again what asks for it: exit code 75. librdkafka may find itself fenced by its own return to the group
        after the broker was away, and that is for good."""
        for name, process in list(self.processes.items()):
            if process.poll() == 75:
                self.start(name)

    def peer(self, *arguments, **settings):
        self.peers.append(Peer(self.state, *arguments, **settings))
        return self.peers[-1]

    def sql(self, statement):
        got = subprocess.run(["psql", "-X", "-q", "-At", "-v", "ON_ERROR_STOP=1", "-d", self.state["DATABASE_URL"], "-c", statement],
                             check=True, capture_output=True, text=True).stdout
        return [line.split("|") for line in got.splitlines()]

    def fte(self, *arguments):
        return subprocess.run([BIN / "fte", *arguments], env=self.state, capture_output=True, text=True)

    def stop(self):
        for peer in self.peers:
            peer.close()
        for name in list(self.processes)[::-1]:
            self.kill(name)


@pytest.fixture(params=[PostgresLog, KafkaLog])
def system(state, request):
    system = System(state, request.param)
    yield system
    system.stop()


on_postgres = pytest.mark.parametrize("system", [PostgresLog], indirect=True, scope="function")
on_kafka = pytest.mark.parametrize("system", [KafkaLog], indirect=True, scope="function")


def until(condition, seconds=10):
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, "nothing within %d s" % seconds
        time.sleep(0.02)
    return value


def record(text="hello", key="webform:0000000000000001", link=None, id=None, topic=INCOMING):
    id = id or uuid.uuid4().bytes
    body = {"channel": "webform", "link": link or uuid.uuid4().bytes, "customer": {"email": "ann@example.com"},
            "messages": [{"id": id, "text": text, "at": 1}]}
    return {"topic": topic, "id": id, "key": key, "body": msgpack.packb(body)}


def append(peer, *records):
    """Until it is accepted: at the start nobody may serve `edge` yet."""
    def once():
        answer = peer.call({"verb": "append", "records": list(records)})
        return answer if answer and answer.head["type"] == RETURN else None
    return until(once).body["results"]


def held(peer, n):
    """Until the edge has read n records that are not settled: an append is answered before that."""
    until(lambda: peer.call({"verb": "stats"}).body["held"] == n)


def texts(work):
    return [message["text"] for message in work.body["body"]["incoming"]["messages"]]


def test_an_append_is_answered_after_its_commit_and_dispatched_once(system):
    system.start("edge")
    client, stage = system.peer(), system.peer("identity")
    one, raw = record("one"), dict(record(), topic="fte.channels.webform.inbound")
    results = append(client, raw, one)
    assert [(r["duplicate"], r["same"]) for r in results] == [(False, True), (False, True)]
    assert system.log.count() == 1 and system.log.count("fte.channels.webform.inbound") == 1
    work = stage.work()
    assert (work.head["id"], work.head["attempt"], work.head["generation"]) == (one["id"], 1, 1)
    assert work.body["key"] == one["key"] and work.body["kind"] == "message" and texts(work) == ["one"]
    assert work.body["source"]["offset"] == results[1]["offset"] and work.body["errors"] is None
    stage.done(work)
    until(lambda: system.log.moved() == 1 and system.log.unsettled() == 0)
    assert stage.work(0.3) is None


def test_a_repeat_is_told_and_not_dispatched_again(system):
    system.start("edge")
    client, stage = system.peer(), system.peer("identity")
    one = record("one")
    first = append(client, one)[0]
    stage.done(stage.work())
    assert append(client, one)[0] == {"offset": first["offset"], "duplicate": True, "same": True}
    other = dict(one, body=record("two", id=one["id"])["body"])
    assert append(client, other, record("three", key="k3"))[0] == {"offset": first["offset"], "duplicate": True, "same": False}
    assert texts(stage.work()) == ["three"]
    assert append(client, dict(other, digest=b"x"))[0]["same"] is False


def test_what_cannot_be_read_is_refused_at_the_door(system):
    system.start("edge")
    client = system.peer()
    good = record()
    append(client, good)
    for field, value in (("topic", "fte.nonsense"), ("id", b"short"), ("key", ""), ("key", "k" * 257), ("body", b"\xc1"),
                         ("body", msgpack.packb({"link": good["id"]})), ("body", b"x" * 210000), ("trace", 7 * "t" * 99)):
        answer = client.call({"verb": "append", "records": [dict(good, **{field: value})]})
        assert answer.head["type"] == FAIL and answer.body == {"code": "invalid", "why": field}
    assert client.call({"verb": "append", "records": []}).body["code"] == "invalid"
    assert client.call({"verb": "sing"}).body == {"code": "invalid", "why": "verb"}


def test_one_unit_of_a_key_at_a_time_and_a_burst_goes_together(system):
    system.start("edge")
    client, stage = system.peer(), system.peer("identity")
    link = uuid.uuid4().bytes
    append(client, record("1", link=link))
    first = stage.work()
    burst = [record(str(i), link=link) for i in (2, 3, 4)]
    for one in burst:
        append(client, one)
    append(client, record("5"))  # over another link
    held(client, 5)
    append(client, record("other", key="webform:0000000000000002"))
    assert texts(stage.work()) == ["other"]
    assert stage.work(0.2) is None
    stage.done(first)
    second = stage.work()
    assert texts(second) == ["2", "3", "4"] and second.head["id"] == burst[0]["id"]
    assert stage.work(0.2) is None
    stage.done(second)
    assert texts(stage.work()) == ["5"]


def test_a_composition_survives_the_death_of_the_edge(system):
    system.start("edge")
    client, stage = system.peer(), system.peer("identity")
    link = uuid.uuid4().bytes
    append(client, record("1", link=link))
    first = stage.work()
    append(client, record("2", link=link)), append(client, record("3", link=link))
    held(client, 3)
    stage.done(first)
    second = stage.work()
    assert texts(second) == ["2", "3"]
    append(client, record("4", link=link))
    held(client, 3)
    system.kill("edge")
    system.start("edge")
    seen = []
    while "4" not in sum(seen, []):
        work = stage.work()
        seen.append(texts(work))
        stage.done(work)
    assert seen[-2:] == [["2", "3"], ["4"]] and seen[:-2] in ([], [["1"]])


def test_what_was_sent_alone_is_not_composed_after_a_restart(system):
    system.start("edge")
    client, stage = system.peer(), system.peer("identity")
    link = uuid.uuid4().bytes
    append(client, record("1", link=link))
    first = stage.work()
    append(client, record("2", link=link))
    held(client, 2)
    stage.done(first)
    assert texts(stage.work()) == ["2"]
    append(client, record("3", link=link))
    held(client, 2)
    system.kill("edge")
    system.start("edge")
    seen = []
    while "3" not in sum(seen, []):
        work = stage.work()
        seen.append(texts(work))
        stage.done(work)
    assert seen[-2:] == [["2"], ["3"]]


def test_everything_unsettled_comes_again_after_kill_9_of_the_edge(system):
    system.start("edge")
    client, stage = system.peer(), system.peer("identity")
    records = [record(str(i), key="k%d" % i) for i in range(200)]
    for at in range(0, 200, 50):
        append(client, *records[at:at + 50])
    done = set()
    for _ in range(200):
        work = stage.work()
        if int(texts(work)[0]) % 3:
            stage.done(work)
            done.add(texts(work)[0])
    system.kill("edge")
    began = time.monotonic()
    system.start("edge")
    while len(done) < 200:
        work = stage.work()
        stage.done(work)
        done.add(texts(work)[0])
        if began:
            assert time.monotonic() - began < 1
            began = None
    until(lambda: stage.done(work) if (work := stage.work(0.1)) else system.log.unsettled() == 0)


def test_a_new_router_gets_everything_again_at_once(system):
    system.start("edge")
    client, stage = system.peer(), system.peer("identity")
    append(client, *[record(str(i), key="k%d" % i) for i in range(20)])
    assert len([stage.work() for _ in range(20)]) == 20
    system.kill("router")
    system.start("router")
    works = [stage.work() for _ in range(20)]
    assert {texts(w)[0] for w in works} == {str(i) for i in range(20)}
    assert all(w.head["attempt"] == 1 for w in works)


def test_waiting_is_not_counted_and_failing_is(system):
    system.start("edge")
    client, stage = system.peer(), system.peer("identity")
    append(client, record("one"))
    for _ in range(6):
        work = stage.work()
        assert work.head["attempt"] == 1
        stage.fail(work, RETRY, "unavailable")
    work = stage.work()
    stage.fail(work, RETRY, "internal")
    again = stage.work(0.5)
    assert again.head["attempt"] == 2 and again.body["errors"] == ["identity: internal: as the test says"]
    stage.settle(work, RETRY, {"code": "internal", "why": "late"})  # of an old delivery
    assert stage.work(0.3) is None
    stage.done(work)  # of an old delivery, and it counts
    assert stage.work(1.5) is None


def test_no_outcome_before_the_deadline_is_a_failure(system):
    system.start("edge", FTE_EDGE_DEADLINE="1s")
    client, stage = system.peer(), system.peer("identity")
    append(client, record("one"))
    assert stage.work().head["attempt"] == 1
    work = stage.work(3)
    assert work.head["attempt"] == 2 and work.body["errors"] == ["edge: timeout: no outcome in time"]
    stage.done(work)


def test_a_dead_letter_is_replayed_once(system):
    system.start("edge")
    client, stage = system.peer(), system.peer("identity")
    link = uuid.uuid4().bytes
    append(client, record("1", link=link))
    first = stage.work()
    burst = [record("2", link=link), record("3", link=link)]
    append(client, burst[0]), append(client, burst[1])
    held(client, 3)
    stage.done(first)
    work = stage.work()
    stage.fail(work, FAIL, "malformed")
    until(lambda: system.sql("select state from dead_letters") == [["dead"]])
    assert system.sql("select error, service, attempts, cardinality(message_ids), deaths from dead_letters") == [
        ["malformed", "identity", "1", "2", "1"]]
    until(lambda: system.log.count("fte.dlq") == 1)
    unit = str(uuid.UUID(bytes=burst[0]["id"]))
    assert unit in system.fte("dlq", "list").stdout
    assert system.fte("dlq", "replay", unit).returncode == 0
    again = stage.work()
    assert again.head["id"] == burst[0]["id"] and texts(again) == ["2", "3"]
    stage.done(again)
    assert system.fte("dlq", "replay", unit).returncode == 1
    assert stage.work(1.2) is None
    assert system.sql("select state from dead_letters") == [["replayed"]]


def test_the_fifth_failure_is_the_last(system):
    system.start("edge")
    client, stage = system.peer(), system.peer("identity")
    append(client, record("bad")), append(client, record("next"))
    began = time.monotonic()
    for attempt in range(1, 6):
        work = stage.work(10)
        assert (texts(work), work.head["attempt"]) == (["bad"], attempt)
        stage.fail(work, RETRY, "internal")
    assert 6.5 < time.monotonic() - began < 10  # 0, 1, 2, 4 s
    assert texts(stage.work()) == ["next"]
    assert system.sql("select error, attempts from dead_letters") == [["internal", "5"]]


def test_busy_waits_until_somebody_serves(system):
    system.start("edge")
    client = system.peer()
    append(client, *[record(str(i), key="k%d" % i) for i in range(50)])
    time.sleep(1.2)
    stage = system.peer("identity")
    began = time.monotonic()
    for _ in range(50):
        work = stage.work()
        assert work.head["attempt"] == 1
        stage.done(work)
    assert time.monotonic() - began < 1


def test_two_edges_share_the_partitions_and_each_record_goes_to_one(system):
    system.start("edge 1", "edge")
    client, stage = system.peer(), system.peer("identity")
    append(client, record())
    stage.done(stage.work())
    system.start("edge 2", "edge")
    until(lambda: sorted(system.sql("select count(*) from log_partitions where owner is not null group by owner")) == [["6"], ["6"]])
    append(client, *[record(str(i), key="k%d" % i) for i in range(60)])
    seen = []
    for _ in range(60):
        work = stage.work()
        seen.append(texts(work)[0])
        stage.done(work)
    assert sorted(seen) == sorted(str(i) for i in range(60)) and stage.work(0.7) is None
    system.kill("edge 1")
    began = time.monotonic()
    until(lambda: system.sql("select count(*) from log_partitions where owner is not null group by owner") == [["12"]], 20)
    if isinstance(system.log, PostgresLog):
        assert time.monotonic() - began < 3  # not the ten seconds of the lease: PostgreSQL knows the dead
    append(client, *[record(str(i), key="x%d" % i) for i in range(20)])
    assert len([stage.done(stage.work()) for _ in range(20)]) == 20


def test_a_hanging_edge_loses_its_partitions_and_moves_nothing_after(system):
    edge = system.start("edge 1", "edge", FTE_EDGE_LEASE="3s")
    client, stage = system.peer(), system.peer("identity")
    append(client, record("one"))
    held = stage.work()
    edge.send_signal(signal.SIGSTOP)
    system.start("edge 2", "edge", FTE_EDGE_LEASE="3s")
    again = stage.work(8)
    assert again.head["id"] == held.head["id"]
    edge.send_signal(signal.SIGCONT)
    stage.done(held)
    if isinstance(system.log, PostgresLog):
        assert stage.work(1.5) is None
        assert system.log.moved() == 0
    stage.done(again)
    # Kafka divides anew when the first edge is back, and who gets the partition delivers once more.
    until(lambda: system.log.moved() == 1 or (work := stage.work(0.1)) and stage.done(work))
    assert system.log.unsettled() == 0


def test_without_the_database_an_append_fails_within_two_seconds_and_nothing_is_half_done(system):
    system.start("edge")
    client, stage = system.peer(), system.peer("identity")
    append(client, record())
    stage.done(stage.work())
    subprocess.run([ROOT / "db/cluster.sh", "stop", system.state["FTE_STATE_DIR"]], check=True)
    began, one = time.monotonic(), record("one")
    answer = client.call({"verb": "append", "records": [one]})
    assert answer.head["type"] == FAIL and answer.body["code"] == "unavailable" and time.monotonic() - began < 2.5
    subprocess.run([ROOT / "db/cluster.sh", "start", system.state["FTE_STATE_DIR"]], check=True, stdout=subprocess.DEVNULL)
    append(client, one)
    assert "one" in [text for _ in range(2) if (w := stage.work(3)) and stage.done(w) is None for text in texts(w)]


def test_drain_leaves_at_once_and_gives_its_partitions_back(system):
    system.start("edge")
    client, stage = system.peer(), system.peer("identity")
    append(client, record("one"))
    held = stage.work()
    process = system.processes["edge"]
    process.send_signal(signal.SIGTERM)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.5)
    stage.done(held)
    assert process.wait(3) == 0
    if isinstance(system.log, PostgresLog):
        assert system.sql("select count(*) from log_partitions where owner is not null") == [["0"]]
    assert system.log.moved() == 1


@on_postgres
def test_settled_records_are_deleted_when_they_are_old(system):
    system.start("edge", FTE_LOG_RETENTION="1m")
    client, stage = system.peer(), system.peer("identity")
    append(client, record("kept", key="k1"))
    stage.work()  # never settled: stays whatever its age
    append(client, *[record(str(i), key="k2") for i in range(30)])
    system.sql("update log_records set received_at = now() - interval '1 hour'")
    for _ in range(30):
        work = stage.work()
        stage.done(work)
    until(lambda: system.log.count() == 1, 20)


# --- Kafka alone: what others see, and what others write ------------------------------------------------------------------


@on_kafka
def test_a_record_is_a_cloudevent_that_others_can_read(system):
    system.start("edge")
    client = system.peer()
    one = dict(record("hello \u00fc \U0001f600"), trace="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
    raw = {"topic": "fte.channels.webform.inbound", "id": one["id"], "key": one["key"],
           "body": msgpack.packb({"link": one["id"], "type": "application/json", "body": b'{"a": 1}'})}
    append(client, raw, one)
    id = str(uuid.UUID(bytes=one["id"]))
    [(key, headers, value)] = system.log.records(INCOMING)
    assert key == one["key"]
    assert headers["ce_specversion"] == b"1.0" and headers["ce_id"].decode() == id
    assert headers["ce_type"] == b"fte.message.incoming" and headers["ce_source"] == b"/fte.tickets.incoming"
    assert headers["content-type"] == b"application/json" and headers["traceparent"].decode() == one["trace"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", headers["ce_time"].decode())
    assert value["messages"] == [{"id": id, "text": "hello \u00fc \U0001f600", "at": "1970-01-01T00:00:00.000001Z"}]
    assert value["channel"] == "webform" and value["customer"] == {"email": "ann@example.com"}
    [(_, headers, value)] = system.log.records("fte.channels.webform.inbound")
    assert headers["ce_type"] == b"fte.channel.inbound" and value["body"] == '{"a": 1}'


OUTSIDE = {"channel": "webform", "customer": {"email": "bob@example.com"}, "messages": [{"text": "from outside"}], "order": 7}


@on_kafka
def test_what_another_program_writes_is_a_message_like_any_other(system):
    system.start("edge")
    client, stage = system.peer(), system.peer("identity")
    append(client, record("ours", key="webform:ours"))
    stage.done(stage.work())
    system.log.produce(OUTSIDE, key="webform:bob", ce_id="order 7", ce_time="2026-11-24T10:00:00+01:00")
    work = stage.work()
    incoming = work.body["body"]["incoming"]
    assert texts(work) == ["from outside"] and work.body["key"] == "webform:bob" and incoming["order"] == 7
    assert incoming["messages"][0]["id"] == work.head["id"] and len(incoming["link"]) == 16
    assert work.body["received"] == 1795510800000000
    stage.done(work)
    # The same event once more, as a producer does that was not told of its success.
    system.log.produce(OUTSIDE, key="webform:bob", ce_id="order 7", ce_time="2026-11-24T10:00:00+01:00")
    system.log.produce(OUTSIDE, key="webform:bob", ce_id="order 8")
    assert stage.work().head["id"] != work.head["id"]
    assert system.sql("select count(*) from dead_letters") == [["0"]]


@on_kafka
@pytest.mark.parametrize("change, code, why", [
    ({"value": b"{"}, "malformed", "the value must be a JSON object"),
    ({"value": b"[1]"}, "malformed", "the value must be a JSON object"),
    ({"value": b"\xff\xfe"}, "malformed", "the value must be a JSON object"),
    ({"value": dict(OUTSIDE, messages=[])}, "invalid", "data.messages must be an array of 1 to 32 messages"),
    ({"value": dict(OUTSIDE, messages=[{"text": ""}])}, "invalid", "data.messages[].text must be a text that is not empty"),
    ({"value": dict(OUTSIDE, messages=[{"text": "x", "at": "soon"}])}, "invalid", "data.messages[].at must be an RFC 3339 time"),
    ({"value": dict(OUTSIDE, customer="bob")}, "invalid", "data.customer must be an object"),
    ({"value": dict(OUTSIDE, link="L")}, "invalid", "data.link must be a UUID"),
    ({"value": dict(OUTSIDE, channel="")}, "invalid", "data.channel must be a text of 1 to 32 bytes"),
    ({"value": OUTSIDE, "key": None}, "invalid", "the key must be a text of 1 to 256 bytes: the conversation's address"),
    ({"value": OUTSIDE, "ce_specversion": None}, "version", "header ce_specversion must be 1.0"),
    ({"value": OUTSIDE, "ce_specversion": None, "content-type": "application/cloudevents+json"}, "version",
     "a CloudEvent in structured mode: only binary mode is read"),
    ({"value": OUTSIDE, "content-type": "text/plain"}, "invalid", "header content-type must be application/json"),
    ({"value": OUTSIDE, "ce_id": None}, "invalid", "headers ce_id and ce_source must be given, with 1 to 512 bytes"),
    ({"value": OUTSIDE, "ce_time": "yesterday"}, "invalid", "header ce_time must be an RFC 3339 time"),
], ids=lambda v: v if isinstance(v, str) else "")
def test_what_cannot_be_a_message_is_a_dead_letter_with_its_bytes_and_place(system, change, code, why):
    system.start("edge")
    client, stage = system.peer(), system.peer("identity")
    append(client, record("ours", key="webform:ours"))
    stage.done(stage.work())
    sent = system.log.produce(**change)
    until(lambda: system.sql("select error, service, why from dead_letters") == [[code, "edge", why]])
    original = change["value"] if isinstance(change["value"], bytes) else json.dumps(change["value"]).encode()
    assert system.sql("select encode(bodies[1], 'hex'), topic, partition, record_offset from dead_letters") == [
        [original.hex(), INCOMING, str(sent.partition), str(sent.offset)]]
    until(lambda: system.log.count("fte.dlq") == 1)
    [(_, headers, value)] = system.log.records("fte.dlq")
    assert headers["ce_type"] == b"fte.message.dead"
    assert (value["code"], value["why"], value["topic"], value["partition"], value["offset"]) == (
        code, why, INCOMING, sent.partition, sent.offset)
    assert value["records"] in ([{"base64": base64.b64encode(original).decode()}], [original.decode("utf-8", "replace")])
    # What comes behind it isn't held up, and it is settled itself.
    system.log.produce(OUTSIDE, key=change.get("key", "webform:0000000000000001"))
    if change.get("key", ""):
        stage.done(stage.work())
    append(client, record("next", key="webform:0000000000000001"))
    until(lambda: stage.done(work) if (work := stage.work(0.1)) else system.log.unsettled() == 0)


@on_kafka
def test_an_id_with_another_content_is_a_dead_letter_and_not_lost(system):
    system.start("edge")
    client, stage = system.peer(), system.peer("identity")
    append(client, record("ours", key="webform:ours"))
    stage.done(stage.work())
    system.log.produce(OUTSIDE, ce_id="7")
    stage.done(stage.work())
    system.log.produce(dict(OUTSIDE, messages=[{"text": "something else"}]), ce_id="7")
    until(lambda: system.sql("select error, why from dead_letters") == [["conflict", "another record with this id came before"]])
    assert stage.work(0.5) is None


@on_kafka
def test_one_key_in_two_partitions_is_answered_by_both(system):
    system.start("edge")
    client, stage = system.peer(), system.peer("identity")
    append(client, record("ours", key="webform:ours"))
    stage.done(stage.work())
    producer = kafka.KafkaProducer(bootstrap_servers=system.log.brokers, acks="all")
    for n in (3, 4):
        headers = {"ce_specversion": "1.0", "ce_id": str(n), "ce_source": "/x", "content-type": "application/json"}
        producer.send(INCOMING, json.dumps(dict(OUTSIDE, messages=[{"text": str(n)}])).encode(), b"webform:same", partition=n,
                      headers=[(k, v.encode()) for k, v in headers.items()]).get(10)
    producer.close()
    works = [stage.work(), stage.work()]
    assert sorted(texts(w)[0] for w in works) == ["3", "4"]
    for work in works:
        stage.done(work)
    until(lambda: system.log.unsettled() == 0)


@on_kafka
def test_without_kafka_an_append_fails_in_time_and_its_repeat_is_processed_once(system):
    system.start("edge")
    client, stage = system.peer(), system.peer("identity")
    append(client, record("first", key="webform:first"))
    stage.done(stage.work())
    directory = system.state["FTE_STATE_DIR"]
    subprocess.run([BROKER, "kill", directory, "1"], check=True)
    began, one = time.monotonic(), record("one")
    last = record("last", key=one["key"])
    answer = client.call({"verb": "append", "records": [one]})
    assert answer.head["type"] in (FAIL, BUSY) and time.monotonic() - began < 2.5
    subprocess.run([BROKER, "start", directory], check=True, stdout=subprocess.DEVNULL)

    def appended(record):
        system.supervise()
        answer = client.call({"verb": "append", "records": [record]})
        return answer and answer.head["type"] == RETURN
    until(lambda: appended(one), 20)
    until(lambda: appended(last), 20)
    seen = set()

    def work():
        system.supervise()
        if work := stage.work(0.5):
            seen.update(texts(work))
            stage.done(work)
        return {"one", "last"} <= seen
    until(work, 30)
    until(lambda: work() and system.log.unsettled() == 0, 30)
    assert seen <= {"first", "one", "last"}


@on_kafka
@pytest.mark.parametrize("settings, why", [
    ({"FTE_KAFKA_BROKERS": "127.0.0.1:1"}, "no broker answers"),
    ({"FTE_KAFKA_BROKERS": "kafka.invalid:9092"}, "Failed to resolve 'kafka.invalid:9092'"),
    ({"FTE_KAFKA_PROPERTIES": "security.protocol=SSL"}, "SSL handshake failed"),
    ({"FTE_KAFKA_PROPERTIES": "security.protocol=SASL_PLAINTEXT;sasl.mechanism=PLAIN;sasl.username=a;sasl.password=hush"},
     "no broker answers|SASL"),
], ids=["closed port", "wrong host", "TLS to a broker without", "SASL to a broker without"])
def test_a_broker_that_cannot_be_used_is_one_clear_line_and_no_readiness(system, settings, why):
    edge = subprocess.Popen([BIN / "fte-edge"], env={**system.state, **settings}, stderr=subprocess.PIPE, text=True)
    system.processes["edge"] = edge
    line = edge.stderr.readline()
    assert "event=kafka" in line and "brokers=" in line and re.search(why, line) and "hush" not in line
    client = system.peer()
    assert client.call({"verb": "stats"}).head["type"] == BUSY
    time.sleep(2.5)  # further tries are not said again
    edge.terminate()
    assert edge.wait(15) == 0
    assert "event=kafka" not in edge.stderr.read()
    del system.processes["edge"]


@on_kafka
def test_the_edge_of_the_other_log_refuses_to_start(system):
    for backend, other in (("kafka", "postgres"), ("postgres", "kafka")):
        system.sql("update log_backend set name = '%s'" % other)
        edge = subprocess.run([BIN / "fte-edge"], env={**system.state, "FTE_LOG_BACKEND": backend}, capture_output=True, text=True, timeout=20)
        assert edge.returncode == 78 and "FTE_LOG_BACKEND" in edge.stderr and "fte up" in edge.stderr


@on_kafka
def test_what_is_seen_of_settled_records_is_forgotten_when_it_is_old(system):
    system.start("edge", FTE_LOG_RETENTION="1m")
    client, stage = system.peer(), system.peer("identity")
    append(client, record("kept", key="k1"))
    stage.work()  # never settled
    append(client, *[record(str(i), key="k2") for i in range(10)])
    for _ in range(10):
        stage.done(stage.work())
    system.sql("update kafka_records set seen_at = now() - interval '1 hour'")
    until(lambda: system.sql("select count(*) from kafka_records") == [["1"]], 20)
