#!/usr/bin/python3
"""The golden vectors of the protocol, read by the Python SDK as they are by the C codecs (test/unit/proto/)."""
import glob, json, os, subprocess, sys
import msgpack

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
DIR = os.path.join(ROOT, "test/fixture/protocol")
sys.path.insert(0, os.path.join(ROOT, "proto/python"))
import fte

DECODE = {"head": fte.decode_head, "envelope": fte.decode_envelope, "body": fte.decode}


def tagged(v):
    if isinstance(v, bytes):
        return {"bin": v.hex()}
    if isinstance(v, list):
        return [tagged(x) for x in v]
    if isinstance(v, dict):
        return {k: tagged(x) for k, x in v.items()}
    return v


def vectors():
    for path in sorted(glob.glob(DIR + "/*.json")):
        with open(path) as about, open(path[:-5] + ".bin", "rb") as data:
            yield os.path.basename(path)[:-5], json.load(about), data.read()


def fault_of(about, data):
    """(code, why) of what the SDK says, ("ok", value) where it reads it."""
    try:
        return "ok", DECODE[about["frame"]](data)
    except fte.Fault as fault:
        return fault.code, fault.why


def test_files_are_what_their_generator_writes():
    subprocess.run(["/usr/bin/python3", DIR + "/make.py", "--check"], check=True)


def test_sdk_reads_and_refuses_as_the_vectors_say():
    count = 0
    for name, about, data in vectors():
        code, value = fault_of(about, data)
        assert code == about["decode"], (name, about["about"], code, value)
        if code == "ok" and about["frame"] == "head":
            assert {k: v.hex() if isinstance(v, bytes) else v for k, v in value.items()} == about["head"], name
        elif code == "ok":
            assert json.dumps(tagged(value), sort_keys=True) == json.dumps(about["document"], sort_keys=True), name
        count += 1
    assert count > 100


def test_sdk_writes_heads_byte_for_byte():
    for name, about, data in vectors():
        if about.get("canonical"):
            head = fte.decode_head(data)
            assert msgpack.packb([head[f] for f in fte.HEAD]) == data, name


def test_what_is_passed_on_is_the_same_with_the_section_added():
    sent = []
    actor = fte.Actor("test", "triage")
    actor.send = lambda type_, body=b"", **fields: sent.append((type_, body))
    head = dict(zip(fte.HEAD, (1, fte.WORK, "triage", b"i" * 16, 1, 1, b"r", 0, 0)))
    for name, about, data in vectors():
        if "add" in about:
            section = msgpack.unpackb(bytes.fromhex(about["add"]["section"]))
            actor.settle(fte.Unit(head, fte.decode_envelope(data)), fte.Pass("agent", about["add"]["name"], section))
            type_, body = sent[-2]
            assert type_ == fte.WORK and sent[-1][0] == fte.CREDIT
            assert tagged(msgpack.unpackb(body)) == about["add"]["document"], name
    assert sent


def test_sdk_has_little_more_than_100_lines():
    with open(ROOT + "/proto/python/fte.py") as f:
        assert len(f.readlines()) <= 120
