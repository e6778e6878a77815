"""The fault points that there are, read from the source: a new commit or send is in the walk by itself.

A commit is named by its callback (pg_commit) or by its batch stage, a send by its type; see
proto/runtime/fault.h. SPARED names the sends that no run reaches, each with its reason: one
that is not in the source fails the test.
"""

import glob
import os
import re

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
ACTOR_OF = {"sender": "sender.webform"}  # folders whose process has another name
COMMIT = re.compile(r"\bpg_commit\((?:&\w+|\w+), (\w+), ")
STAGE = re.compile(r"struct batch_stage \w+ = \{\s*\.name = \"(\w+)\"")
PLAIN = re.compile(r"\bFAULT\(\"(\w+)\"\)")
FILES_OF = {"postgres": ["log_postgres.c", "log_append.c", "log_read.c"],
            "kafka": ["log_kafka.c", "log_kafka_append.c", "log_kafka_read.c", "log_kafka_relay.c"]}
SENDS = {"unit_done": "DONE", "unit_pass": "WORK", "unit_return": "RETURN", "unit_retry": "RETRY", "unit_reject": "FAIL",
         "actor_call": "CALL", "actor_dispatch": "WORK"}

SPARED = {
    # what a stage says when its input can't be right: the same lines of the runtime for all, walked in ticketer
    **{f"{actor}.FAIL": "only after a malformed unit" for actor in ("identity", "triage", "agent", "escalator",
                                                                  "sender.webform")},
    "edge.FAIL": "only after a malformed question",
    "kb.FAIL": "only after a malformed question",
    "edge.RETRY": "a question's: it is sent as FAIL",
    "history.RETRY": "a question's: it is sent as FAIL",
}


def folder_texts(backend=None):
    """(actor, all its C text) of each folder of actors/; but for the files of another log than `backend`."""
    others = {name for which, names in FILES_OF.items() if which != backend and backend for name in names}
    for folder in sorted(glob.glob(os.path.join(ROOT, "actors", "*/"))):
        name = os.path.basename(os.path.dirname(folder))
        text = "".join(open(path).read() for path in sorted(glob.glob(folder + "*.c")) if os.path.basename(path) not in others)
        yield ACTOR_OF.get(name, name), text


def commits(backend):
    """{"edge.appended", "sender.webform.replies", ...}"""
    found = set()
    for actor, text in folder_texts(backend):
        found |= {f"{actor}.{name}" for name in COMMIT.findall(text) + STAGE.findall(text)}
    return found


def sends():
    """{"edge.RETURN", "agent.CALL", ...}: what each actor says, other than by ending."""
    found = set()
    for actor, text in folder_texts():
        if actor == "router":  # it hands on what the others say, and says three things itself
            found |= {"router." + t for t in ("WORK", "DONE", "CALL", "RETURN", "RETRY", "FAIL", "READY", "BUSY", "LOST")}
            continue
        found |= {f"{actor}.{t}" for verb, t in SENDS.items() if re.search(rf"\b{verb}\(", text)}
        found |= {f"{actor}.READY", f"{actor}.HB"}
        if STAGE.search(text):
            found.add(f"{actor}.RETRY")  # batch says it where the database is away
        if re.search(r"\.service = \"", text):
            found.add(f"{actor}.CREDIT")
    return found


def receipts():
    """What each actor is told."""
    found = set()
    for actor, text in folder_texts():
        found.add(f"{actor}.READY")
        for hook, t in ((r"\.work = ", "WORK"), (r"\.call = ", "CALL"), (r"\bactor_call\(", "RETURN")):
            if actor != "router" and re.search(hook, text):
                found.add(f"{actor}.{t}")
    found |= {"router." + t for t in ("WORK", "DONE", "CALL", "RETURN", "RETRY", "FAIL", "CREDIT", "HB")}
    return found | {"edge.DONE", "edge.RETRY", "edge.FAIL", "edge.LOST", "edge.BUSY"}


def walk(place, backend):
    """The points of "before" or "after" that are to be passed: {"edge.before_commit.appended", ...}."""
    points = {f"edge.{name}" for actor, text in folder_texts(backend) for name in PLAIN.findall(text)
              if actor == "edge" and name.startswith(place)}
    for verb, names in (("commit", commits(backend)), ("send", sends())):
        for name in names - set(SPARED):
            actor, what = name.rsplit(".", 1)
            points.add(f"{actor}.{place}_{verb}.{what}")
    return points


def walk_receipts():
    points = set()
    for name in receipts():
        actor, what = name.rsplit(".", 1)
        points.add(f"{actor}.after_receive.{what}")
    return points
