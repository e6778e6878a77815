"""The contract of the log once more (actors/edge/log.h; its first part is edge_test.py): each part of it with a kill -9 of the
edge in its middle, on both logs, and of the broker where the log is in Kafka. And what is left of work that was in flight when
the partitions moved, and of letters that are too big for others."""
import base64, collections, json, os, subprocess, uuid

import kafka, pytest
import edge_test
import msgpack
from edge_test import BROKER, CALL, FAIL, INCOMING, OUTSIDE, RETURN, PostgresLog, append, held, on_kafka, record, texts, until
from system import free_port

state, system = edge_test.state, edge_test.system  # its fixtures


def again(system, name="edge"):
    system.kill(name)
    system.start(name, "edge")


def broker_again(system):
    subprocess.run([BROKER, "kill", system.state["FTE_STATE_DIR"], "1"], check=True)
    subprocess.run([BROKER, "start", system.state["FTE_STATE_DIR"]], check=True, stdout=subprocess.DEVNULL)


def work_off(system, stage, wanted, seconds=40):
    """Does everything until all that is wanted was seen and nothing is unsettled; what was seen, in order."""
    seen = []

    def turn():
        system.supervise()
        if work := stage.work(0.1):
            seen.extend(texts(work))
            stage.done(work)
            return False
        return wanted <= set(seen) and system.log.unsettled() == 0
    until(turn, seconds)
    return seen


def keep_asking(system, client, records, seconds=30):
    """As a client does that got no answer: with the same ids, until all of it is accepted."""
    for one in records:
        def accepted():
            system.supervise()
            answer = client.call({"verb": "append", "records": [one]})
            return answer and answer.head["type"] == RETURN
        until(accepted, seconds)


@pytest.mark.parametrize("killed", [again, broker_again])
def test_append_is_all_or_unknown_and_a_repeat_is_absorbed(system, killed):
    if killed is broker_again and isinstance(system.log, PostgresLog):
        pytest.skip("there is no broker")
    system.start("edge")
    client, stage = system.peer(), system.peer("identity")
    keep_asking(system, client, [record("first", key="first")])
    records = [record(str(i), key="k%d" % (i % 20)) for i in range(60)]
    for one in records:  # all at once, and nobody waits for the answers
        client.send(CALL, msgpack.packb({"verb": "append", "records": [one]}), service="edge", id=uuid.uuid4().bytes)
    killed(system)
    keep_asking(system, client, records)
    seen = collections.Counter(work_off(system, stage, {str(i) for i in range(60)}))
    if isinstance(system.log, PostgresLog):
        assert system.log.count() == 61
    else:
        # Kafka may hold one twice: it is one in what is remembered, and delivered under one id.
        assert system.log.count() >= 61 and system.sql("select count(*) from kafka_records") == [["61"]]
    assert set(seen) == {"first"} | {str(i) for i in range(60)}


@pytest.mark.parametrize("killed", [again, broker_again])
def test_one_that_is_stuck_holds_back_a_window_and_order_survives(system, killed):
    if killed is broker_again and isinstance(system.log, PostgresLog):
        pytest.skip("there is no broker")
    system.start("edge")
    client, stage = system.peer(), system.peer("identity")
    link = uuid.uuid4().bytes
    records = [record(str(i), link=link) for i in range(1100)]
    append(client, records[0])
    stuck = stage.work()
    for at in range(1, 1100, 50):
        append(client, *records[at:at + 50])
    held(client, 1024)  # what is behind it waits in the log
    assert system.log.unsettled() == 1100 and stage.work(0.3) is None
    stage.done(stuck)
    seen = ["0"]

    def turn():
        system.supervise()
        if work := stage.work(0.1):
            seen.extend(texts(work))
            stage.done(work)
        return len(set(seen))
    until(lambda: turn() >= 500, 30)
    killed(system)
    until(lambda: turn() >= 650, 40)
    # Nothing is passed over, and nothing comes before it has been the turn of all that were before it.
    assert [int(text) for text in dict.fromkeys(seen)] == list(range(len(set(seen))))


def test_positions_are_those_of_the_settled_prefix(system):
    system.start("edge")
    client, stage = system.peer(), system.peer("identity")
    append(client, record("first", key="first"))
    stage.done(stage.work())
    until(lambda: system.log.unsettled() == 0)
    append(client, *[record(str(i), key="k%d" % i) for i in range(50)])
    works = {texts(work)[0]: work for work in (stage.work() for _ in range(50))}
    place = {text: (work.body["source"]["partition"], work.body["source"]["offset"]) for text, work in works.items()}
    first = {partition: min(offset for p, offset in place.values() if p == partition) for partition, _ in place.values()}
    for text, work in works.items():
        if place[text] != (place[text][0], first[place[text][0]]):
            stage.done(work)  # all but the oldest of each partition
    again(system)
    came = [stage.work() for _ in range(50)]
    assert {texts(work)[0] for work in came} == set(works)  # nothing behind the oldest was passed
    for work in came:
        stage.done(work)
    until(lambda: stage.done(work) if (work := stage.work(0.1)) else system.log.unsettled() == 0)


def test_a_letter_and_its_replay_survive_the_death_of_the_edge(system):
    system.start("edge")
    client, stage = system.peer(), system.peer("identity")
    bad, other = record("bad"), record("other", key="k2")
    append(client, bad, other)

    def fail_all():
        while work := stage.work(0.2):
            stage.fail(work, FAIL, "malformed")
        return system.sql("select count(*) from dead_letters where state = 'dead'") == [["2"]]
    stage.fail(stage.work(), FAIL, "malformed")
    again(system)  # it had the word, and may or may not have stored the letter
    until(fail_all)
    until(lambda: system.log.unsettled() == 0 and system.log.count("fte.dlq") >= 2)
    unit = str(uuid.UUID(bytes=bad["id"]))
    replayed = system.fte("dlq", "replay", unit)
    again(system)
    assert (replayed.returncode, replayed.stdout) == (0, "1 replayed\n")
    assert work_off(system, stage, {"bad"}) in (["bad"], ["bad", "bad"])  # the same unit, however often
    for command in ("replay", "drop"):
        refused = system.fte("dlq", command, unit)
        assert refused.returncode == 1
        assert refused.stderr == f"fte dlq: {unit}: nothing to {command}: no dead letter has this id, or it is closed\n"
    dropped = system.fte("dlq", "drop", str(uuid.UUID(bytes=other["id"])))
    assert (dropped.returncode, dropped.stdout) == (0, "1 dropped\n")
    assert system.fte("dlq", "list").stdout == "no dead letters\n"
    again(system)
    assert stage.work(1) is None
    assert sorted(system.sql("select state, deaths from dead_letters")) == [["dropped", "1"], ["replayed", "1"]]


@pytest.mark.parametrize("arguments, code, said", [
    (("show", "00000000-0000-4000-8000-000000000000"), 1, "there is no dead letter with this id"),
    (("replay", "00000000-0000-4000-8000-000000000000"), 1, "nothing to replay: no dead letter has this id, or it is closed"),
    (("drop", "00000000-0000-4000-8000-000000000000"), 1, "nothing to drop: no dead letter has this id, or it is closed"),
    (("replay", "TKT-7F3K9Q"), 64, "TKT-7F3K9Q: not the id of a unit (36 characters)"),
    (("drop",), 64, "usage:"), (("sing",), 64, "usage:"),
], ids=lambda v: " ".join(v) if isinstance(v, tuple) else "")
def test_an_unknown_letter_is_said_to_be_unknown(system, arguments, code, said):
    refused = system.fte("dlq", *arguments)
    assert refused.returncode == code and said in refused.stderr and refused.stdout == ""
    assert len(refused.stderr.splitlines()) == 1


def test_old_records_go_and_unsettled_ones_stay_whatever_dies(system):
    table, time = ("log_records", "received_at") if isinstance(system.log, PostgresLog) else ("kafka_records", "seen_at")
    system.start("edge", FTE_LOG_RETENTION="1m")
    client, stage = system.peer(), system.peer("identity")
    append(client, record("kept", key="k1"))
    stage.work()  # never settled
    append(client, *[record(str(i), key="k2") for i in range(10)])
    for _ in range(10):
        stage.done(stage.work())
    system.sql("update %s set %s = now() - interval '1 hour'" % (table, time))
    system.kill("edge")
    system.start("edge", FTE_LOG_RETENTION="1m")
    append(client, record("young", key="k2"))  # what is behind a settled one is known to be settled

    def turn():
        if (work := stage.work(0.2)) and texts(work) != ["kept"]:
            stage.done(work)
        return system.sql("select count(*) from %s" % table) == [["2"]]
    until(turn, 30)


# --- Kafka alone ------------------------------------------------------------------------------------------------------------


@on_kafka
def test_work_that_was_in_flight_when_the_partitions_moved_commits_nothing(system):
    system.start("edge 1", "edge")
    client, stage = system.peer(), system.peer("identity")
    append(client, record("first", key="first"))
    stage.done(stage.work())
    until(lambda: system.log.unsettled() == 0)
    append(client, *[record(str(i), key="k%d" % i) for i in range(60)])
    before = [stage.work() for _ in range(60)]
    [one] = {work.head["route"] for work in before}
    system.start("edge 2", "edge")
    after = {}

    def moved():
        if work := stage.work(0.1):
            after[texts(work)[0]] = work
        return len(after) == 60
    until(moved, 20)  # all of it is delivered again, by whom it is now
    others = {text for text, work in after.items() if work.head["route"] != one}
    assert 0 < len(others) < 60
    positions = system.log.positions()
    for work in before:
        stage.done(work)
    # The first edge may count what it has again itself: that is done. What is the other's, it can't.
    until(lambda: system.log.unsettled() <= len(others))
    assert stage.work(0.5) is None
    theirs = {after[text].body["source"]["partition"] for text in others}
    assert {p: at for p, at in system.log.positions().items() if p.partition in theirs} == {
        p: at for p, at in positions.items() if p.partition in theirs}
    for text in others:
        stage.done(after[text])
    until(lambda: system.log.unsettled() == 0)


@on_kafka
def test_a_restarted_edge_has_its_partitions_back_and_the_other_is_left_alone(system):
    system.start("edge 1", "edge"), system.start("edge 2", "edge")
    owners = "select owner, count(*) from log_partitions where owner is not null group by owner"
    until(lambda: sorted(row[1] for row in system.sql(owners)) == ["6", "6"], 20)
    fences = dict(system.sql("select partition, fence from log_partitions"))
    holder = dict(system.sql("select partition, owner from log_partitions"))
    system.kill("edge 1")
    system.start("edge 1", "edge")
    until(lambda: len(set(dict(system.sql("select partition, owner from log_partitions")).values()) - set(holder.values())) == 1, 20)
    now = dict(system.sql("select partition, fence from log_partitions"))
    assert sum(now[p] == fences[p] for p in now) == 6  # the other's, never claimed anew


@on_kafka
@pytest.mark.parametrize("value, code, why", [
    (None, "malformed", "the value must be a JSON object"),
    (json.dumps(dict(OUTSIDE, messages=[{"text": "x" * 300_000}])).encode(), "too_big", "the message is too long"),
    (os.urandom(1_000_000), "malformed", "the value must be a JSON object"),
    ("\u20ac\"\\".encode() * 190_000, "malformed", "the value must be a JSON object"),
], ids=["tombstone", "300 KB", "1 MB of noise", "0.95 MB that JSON makes longer"])
def test_a_record_of_any_size_is_a_letter_with_its_bytes(system, value, code, why):
    system.start("edge")
    client = system.peer()
    append(client, record("first", key="first"))
    producer = kafka.KafkaProducer(bootstrap_servers=system.log.brokers, acks="all", max_request_size=2_000_000)
    headers = {"ce_specversion": "1.0", "ce_id": uuid.uuid4().hex, "ce_source": "/x", "content-type": "application/json"}
    sent = producer.send(INCOMING, value, b"webform:big", headers=[(k, v.encode()) for k, v in headers.items()]).get(10)
    producer.close()
    until(lambda: system.sql("select error, why, partition, record_offset, octet_length(bodies[1]) from dead_letters") == [
        [code, why, str(sent.partition), str(sent.offset), str(len(value or b""))]], 20)
    until(lambda: system.log.count("fte.dlq") == 1, 20)
    [(_, _, letter)] = system.log.records("fte.dlq")
    [body] = letter["records"]
    assert (base64.b64decode(body["base64"]) if isinstance(body, dict) else body.encode()) == (value or b"")


@on_kafka
@pytest.mark.parametrize("version", ["0.3", "2.0", ""])
def test_another_version_of_cloudevents_is_a_letter(system, version):
    system.start("edge")
    append(system.peer(), record("first", key="first"))
    system.log.produce(OUTSIDE, ce_specversion=version)
    until(lambda: system.sql("select error, why from dead_letters") == [["version", "header ce_specversion must be 1.0"]])


@on_kafka
def test_a_key_that_is_no_text_is_a_letter(system):
    system.start("edge")
    append(system.peer(), record("first", key="first"))
    producer = kafka.KafkaProducer(bootstrap_servers=system.log.brokers, acks="all")
    headers = {"ce_specversion": "1.0", "ce_id": "1", "ce_source": "/x", "content-type": "application/json"}
    producer.send(INCOMING, json.dumps(OUTSIDE).encode(), b"\xff\x00", headers=[(k, v.encode()) for k, v in headers.items()]).get(10)
    producer.close()
    until(lambda: [row[0] for row in system.sql("select why from dead_letters")] == [
        "the key must be a text of 1 to 256 bytes: the conversation's address"])


@on_kafka
def test_a_topic_with_other_settings_is_told_by_name_and_value(system):
    from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient, NewPartitions
    system.state["FTE_HTTP_PORT"] = str(free_port())  # `fte check` looks at it, too
    system.start("edge")
    append(system.peer(), record("first", key="first"))
    assert system.fte("check").returncode == 0
    admin = KafkaAdminClient(bootstrap_servers=system.log.brokers)

    def configure(topic, **settings):
        admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, {k.replace("_", "."): v for k, v in settings.items()})])
    right = dict(min_insync_replicas="1", retention_ms="604800000", max_message_bytes="1048588")
    try:
        configure("fte.metrics", **dict(right, retention_ms="1000", min_insync_replicas="2"))
        configure("fte.escalations", retention_ms="2592000000", min_insync_replicas="1", max_message_bytes="5000")
        admin.create_partitions({"fte.metrics": NewPartitions(13)})
        checked = system.fte("check")
        lines = sorted(line.split(": ", 2)[2] for line in checked.stderr.splitlines())
        assert checked.returncode == 78 and lines == [
            "topic fte.escalations: max.message.bytes is 5000, and should be 1048588",
            "topic fte.metrics: it has 13 partitions, and should have 12",
            "topic fte.metrics: min.insync.replicas is 2, and should be 1",
            "topic fte.metrics: retention.ms is 1000, and should be 604800000"]
    finally:
        admin.delete_topics(["fte.metrics", "fte.escalations"])
        admin.close()
    # The next start makes them again, as they should be, and leaves the others alone.
    again(system)
    until(lambda: {"fte.metrics", "fte.escalations"} <= system.log.client.topics() and system.fte("check").returncode == 0, 20)
