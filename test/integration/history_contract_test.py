"""The same questions to the history actor in C and to the one in Python: the same answers."""
import os, sys, tempfile, uuid

import psycopg2
import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import subprocess

import sdk_test
from sdk_test import BIN, ROOT, fte

CUSTOMER, OTHER, NOBODY = uuid.UUID(int=1), uuid.UUID(int=2), uuid.UUID(int=3)
CONVERSATION = {CUSTOMER: uuid.UUID(int=11), OTHER: uuid.UUID(int=12)}


@pytest.fixture(scope="module")
def database():
    with tempfile.TemporaryDirectory(prefix="fte-hc-") as state:
        os.chmod(state, 0o755)
        cluster = os.path.join(ROOT, "db/cluster.sh")
        url = subprocess.run([cluster, "start", state], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
        try:
            subprocess.run([os.path.join(BIN, "fte"), "migrate"], check=True, stdout=subprocess.DEVNULL,
                           env=dict(os.environ, DATABASE_URL=url, FTE_STATE_DIR=state))
            fill(url)
            yield url
        finally:
            subprocess.run([cluster, "stop", state])


def fill(url):
    """25 messages of one customer, of both directions, some of them long, in other scripts, without a sentiment."""
    with psycopg2.connect(url) as db, db.cursor() as c:
        for customer, conversation in CONVERSATION.items():
            c.execute("insert into customers (id) values (%s)", (str(customer),))
            c.execute("insert into conversations (id, customer_id, channel) values (%s, %s, 'webform')",
                      (str(conversation), str(customer)))
        for n in range(25):
            text = ("text %d " % n) + {0: "short", 1: "ä€👩‍👩‍👧" * 300, 2: "x" * 1001, 3: "<b>'; drop"}[n % 4]
            inbound = n % 3 != 0
            c.execute("insert into messages (id, conversation_id, customer_id, unit_id, channel, direction, author, body, sentiment)"
                      " values (%s, %s, %s, %s, 'webform', %s, %s, %s, %s)",
                      (str(uuid.UUID(int=100 + n)), str(CONVERSATION[CUSTOMER]), str(CUSTOMER), str(uuid.UUID(int=200 + n)),
                       "inbound" if inbound else "outbound", "customer" if inbound else "fte", text,
                       -0.25 + n / 100 if inbound and n % 2 else None))
    db.close()


def answers(database, command):
    """What the actor says to each question, asked over a router of its own."""
    with tempfile.TemporaryDirectory(prefix="fte-hc-") as directory:
        system = sdk_test.System(directory)
        try:
            system.start(*command, env={"DATABASE_URL": database}, stderr=subprocess.DEVNULL)
            peer = system.peer()
            got = []
            for question in ({"customer": CUSTOMER.bytes}, {"customer": CUSTOMER.bytes, "unit": uuid.UUID(int=224).bytes},
                             {"customer": CUSTOMER.bytes, "unit": bytes(16)}, {"customer": CUSTOMER.bytes, "later": [1]},
                             {"customer": OTHER.bytes}, {"customer": NOBODY.bytes}, {}, {"customer": "text"},
                             {"customer": b"short"}, {"customer": CUSTOMER.bytes, "unit": "text"}):
                head, body = peer.ask("get_customer_history", question)
                got.append((question, head["type"], body))
            return got
        finally:
            system.stop()


def test_the_python_history_answers_as_the_one_in_c(database):
    c = answers(database, [os.path.join(BIN, "fte-history")])
    python = answers(database, ["/usr/bin/python3", os.path.join(ROOT, "proto/python/history.py")])
    assert [type_ for _, type_, _ in c] == [fte.RETURN] * 6 + [fte.FAIL] * 3 + [fte.RETURN]
    for ours, theirs in zip(c, python):
        assert ours == theirs
    messages = c[0][2]["messages"]
    assert len(messages) == 20 and messages[0]["text"].startswith("text 24 ")
    assert any(m["cut"] for m in messages) and any("sentiment" in m for m in messages)
    assert not any(m["text"].startswith("text 24 ") for m in c[1][2]["messages"])
    assert c[4][2] == {"messages": []} and c[5][2] == {"messages": []}


def test_the_python_history_says_in_one_line_what_is_missing():
    env = {k: v for k, v in os.environ.items() if k != "DATABASE_URL"}
    done = subprocess.run(["/usr/bin/python3", os.path.join(ROOT, "proto/python/history.py")], env=env, capture_output=True, text=True)
    assert done.returncode == 78 and "DATABASE_URL" in done.stderr and done.stderr.count("\n") == 1
