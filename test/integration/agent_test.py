"""The agent on the real router with the real knowledge base: what it decides, in which order it asks, what it keeps."""
import json, os, subprocess, sys, tempfile, uuid

import msgpack
import psycopg2
import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import sdk_test
from sdk_test import BIN, ROOT, fte

TABLE = """\
{"id": "returns", "title": "How do I return an order?", "body": "You can return an order within 30 days. Print the label from the orders page and hand the parcel in at any post office.", "url": "https://example.org/returns"}
{"id": "invoice", "title": "Where do I find my invoice?", "body": "Each invoice is sent by e-mail on the day of the order. A copy is on the orders page under Documents."}
{"id": "password", "title": "I have forgotten my password", "body": "Choose Forgotten password on the sign-in page. A link to set a new one is mailed to you and holds for one hour."}
{"id": "opening", "title": "When is the shop open?", "body": "The shop is open from Monday to Saturday, from nine to six."}
"""


class Worker(sdk_test.Peer):
    """A service that the test plays: takes WORK, or answers each CALL with `answer`."""

    def __init__(self, endpoint, service, answer=None):
        super().__init__(endpoint)
        self.service, self.answer = service, answer
        self.hello()
        self.wait(lambda h, _: h["type"] == fte.READY)
        self.send(fte.READY, service, count=64, pid=0)

    def take(self, unit):
        head, body = self.of(unit, fte.WORK)
        self.send(fte.SETTLED, self.service, id=unit, attempt=head["attempt"], generation=head["generation"], route=head["route"])
        self.send(fte.CREDIT, self.service, count=1)
        return msgpack.unpackb(body)["body"]["decision"]

    def serve_one(self):
        head, body = self.wait(lambda h, _: h["type"] == fte.CALL)
        self.send(fte.RETURN, self.service, msgpack.packb(self.answer), id=head["id"], route=head["route"])
        self.send(fte.CREDIT, self.service, count=1)
        return msgpack.unpackb(body)


class Bench:
    def __init__(self, directory, knowledge=None):
        self.cluster, self.directory = os.path.join(ROOT, "db/cluster.sh"), directory
        os.chmod(directory, 0o755)
        self.url = subprocess.run([self.cluster, "start", directory], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
        self.env = dict(os.environ, DATABASE_URL=self.url, FTE_STATE_DIR=directory, FTE_AGENT_CALL_TIMEOUT="2s")
        self.fte("migrate")
        self.fte("kb", "import", knowledge) if knowledge else self.import_rows(TABLE)
        self.system = sdk_test.System(directory)
        self.system.env.update(self.env, FTE_ROUTER=self.system.endpoint)
        self.kb = self.actor("kb")
        self.agent = self.actor("agent")
        self.actor("history")
        self.sender, self.escalator = self.worker("send_response.webform"), self.worker("escalate_to_human")
        self.edge = self.system.peer()
        self.edge.ask("search_knowledge_base", {"query": "ready?"})
        self.edge.ask("get_customer_history", {"customer": bytes(16)})

    def fte(self, *arguments, **more):
        return subprocess.run([os.path.join(BIN, "fte"), *arguments], env=self.env, check=True, stdout=subprocess.PIPE, text=True, **more).stdout

    def import_rows(self, rows):
        path = os.path.join(self.directory, "rows.jsonl")
        with open(path, "w") as f:
            f.write(rows)
        return json.loads(self.fte("kb", "import", path, "--json"))

    def actor(self, name):
        return self.system.start(os.path.join(BIN, "fte-" + name), stderr=open(os.path.join(self.directory, name + ".log"), "ab"))

    def worker(self, service, answer=None):
        self.system.peers.append(Worker(self.system.endpoint, service, answer))
        return self.system.peers[-1]

    def send(self, *texts, unit=None, state="automatic", escalate=False, reason=None, name="Ada", subject=None, attempt=1,
             courtesy=None):
        unit = unit or uuid.uuid4().bytes
        sections = dict(
            incoming=dict(channel="webform", link=uuid.uuid4().bytes, customer=dict(name=name, email="ada@example.org"),
                          messages=[dict(id=unit, text=t, at=1) for t in texts], **({"subject": subject} if subject else {})),
            customer=dict(id=uuid.UUID(int=7).bytes, name="Another", known=True),
            ticket=dict(conversation=unit, ref="TKT-7F3K9Q", state=state, previous_sentiment=None),
            triage=dict(sentiment=0.0, escalate=escalate, reason=reason, courtesy=courtesy, evidence=[]))
        envelope = dict(v=1, id=unit, key="webform:0000000000000000", seq=1, kind="message", trace="",
                        source=dict(topic="fte.tickets.incoming", partition=0, offset=1), received=1, deadline=1 << 52,
                        body=sections, errors=None)
        for worker in (self.sender, self.escalator):  # so that the router takes none for dead meanwhile
            worker.send(fte.HB, worker.service)
        while True:  # the agent may not have said READY yet
            self.edge.send(fte.WORK, "agent", msgpack.packb(envelope), id=unit, attempt=attempt, generation=1, route=self.edge.id)
            try:
                self.edge.of(unit, fte.BUSY, seconds=0.2)
            except AssertionError:
                return unit

    def steps(self, unit):
        with psycopg2.connect(self.url) as db, db.cursor() as c:
            c.execute("select tool, arguments, result from agent_runs where unit_id = %s order by step", (str(uuid.UUID(bytes=unit)),))
            return c.fetchall()

    def stop(self):
        self.system.stop()
        subprocess.run([self.cluster, "stop", self.directory])


@pytest.fixture(scope="module")
def bench():
    with tempfile.TemporaryDirectory(prefix="fte-agent-") as directory:
        b = Bench(directory)
        yield b
        b.stop()


def tools(steps):
    return [tool for tool, _, _ in steps]


def test_a_question_is_answered_with_the_passage_its_source_and_the_evidence_in_order(bench):
    unit = bench.send("How can I return my order?")
    decision = bench.sender.take(unit)
    assert decision["action"] == "send"
    assert decision["text"].startswith("Hello Ada,\n") and "TKT-7F3K9Q" in decision["text"]
    assert "You can return an order within 30 days." in decision["text"]
    assert "Source: How do I return an order? https://example.org/returns" in decision["text"]
    assert decision["sources"][0] == {"id": "returns", "title": "How do I return an order?", "url": "https://example.org/returns"}
    steps = bench.steps(unit)
    assert tools(steps) == ["create_ticket", "get_customer_history", "search_knowledge_base", "send_response"]
    assert steps[0][2] == {"ref": "TKT-7F3K9Q"} and steps[2][1] == {"query": "How can I return my order?"}
    assert steps[2][2]["answerable"] and steps[2][2]["hits"][0][0] == "returns"
    assert steps[3][2]["text"] == decision["text"] and steps[3][1] == {"channel": "webform"}


def test_what_the_knowledge_base_does_not_hold_is_searched_twice_and_escalated(bench):
    unit = bench.send("Can you recommend a telescope for watching the rings of Saturn?", subject="Astronomy")
    decision = bench.escalator.take(unit)
    assert decision["action"] == "escalate" and decision["reason"] == "knowledge_gap"
    assert len(decision["tried"]) == 2 and decision["tried"][0]["query"] != decision["tried"][1]["query"]
    assert tools(bench.steps(unit)) == ["create_ticket", "get_customer_history", "search_knowledge_base", "search_knowledge_base",
                                        "escalate_to_human"]


@pytest.mark.parametrize("text", ["?", "how to how to", "x", "the", "\u202e\u2066 \U0001f600", "'; drop table agent_runs; --"])
def test_hardly_a_word_is_searched_twice_with_different_queries_too(bench, text):
    decision = bench.escalator.take(bench.send(text))
    assert decision["reason"] == "knowledge_gap" and len({t["query"] for t in decision["tried"]}) == 2


def test_a_burst_is_answered_once(bench):
    unit = bench.send("Hello", "where do I find my invoice?", "thanks")
    decision = bench.sender.take(unit)
    assert decision["sources"][0]["id"] == "invoice" and "your messages" in decision["text"]
    assert tools(bench.steps(unit)).count("send_response") == 1


def test_two_questions_are_answered_with_the_passages_of_both_and_one_with_its_own_alone(bench):
    both = bench.sender.take(bench.send("Where do I find my invoice? And when is the shop open?"))
    assert {s["id"] for s in both["sources"]} == {"invoice", "opening"}
    assert [s["id"] for s in bench.sender.take(bench.send("When is the shop open?"))["sources"]] == ["opening"]


@pytest.mark.parametrize("courtesy, text, says", [("thanks", "Thanks, that helped!", "anything else"),
                                                  ("greeting", "Hello", "What can we help you with?")])
def test_courtesy_gets_its_line_without_a_passage_and_the_evidence_says_why(bench, courtesy, text, says):
    unit = bench.send(text, courtesy=courtesy)
    decision = bench.sender.take(unit)
    assert decision["action"] == "send" and says in decision["text"] and "TKT-7F3K9Q" in decision["text"]
    assert decision["sources"] == [] and decision["asks"] == (courtesy == "greeting")
    steps = bench.steps(unit)
    assert tools(steps) == ["create_ticket", "get_customer_history", "search_knowledge_base", "send_response"]
    assert steps[3][2]["courtesy"] == courtesy and steps[3][2]["text"] == decision["text"]


def test_what_a_person_owns_gets_no_search_and_no_reply(bench):
    unit = bench.send("How can I return my order?", state="human")
    assert bench.escalator.take(unit)["reason"] == "human_owned"
    assert tools(bench.steps(unit)) == ["create_ticket", "escalate_to_human"]


def test_a_replay_passes_on_the_decision_that_stands(bench):
    unit = bench.send("When is the shop open?")
    first = bench.sender.take(unit)
    bench.import_rows(TABLE.replace("from nine to six", "from ten to four"))
    again = bench.send("When is the shop open?", unit=unit, attempt=2)
    assert bench.sender.take(again) == first and "from nine to six" in first["text"]
    assert len(bench.steps(unit)) == 4
    assert "from ten to four" in bench.sender.take(bench.send("When is the shop open?"))["text"]
    bench.import_rows(TABLE)


def test_a_name_that_is_an_advertisement_is_not_repeated(bench):
    decision = bench.sender.take(bench.send("How can I return my order?", name="Cheap pills at http://spam.example"))
    assert decision["text"].startswith("Hello,\n") and "spam" not in decision["text"]


def test_a_removed_row_is_not_found_when_the_import_returns(bench):
    assert bench.import_rows(TABLE.replace(TABLE.splitlines()[2] + "\n", ""))["removed"] == 1
    _, answer = bench.edge.ask("search_knowledge_base", {"query": "I forgot my password", "limit": 5})
    assert "password" not in [h["id"] for h in answer["hits"]]
    assert bench.import_rows(TABLE) == {"passages": 4, "written": 1, "removed": 0, "taken_over": 0}
    _, answer = bench.edge.ask("search_knowledge_base", {"query": "I forgot my password", "limit": 1})
    assert answer["answerable"] and [h["id"] for h in answer["hits"]] == ["password"]
    assert bench.import_rows(TABLE)["written"] == 0


def test_a_search_with_a_wrong_limit_is_refused(bench):
    for question in ({}, {"query": 1}, {"query": "x", "limit": 6}, {"query": "x", "limit": 0}):
        head, body = bench.edge.ask("search_knowledge_base", question)
        assert head["type"] == fte.FAIL and body["code"] == "invalid"


def test_without_a_knowledge_base_nothing_is_said_and_the_unit_comes_again(bench):
    bench.kb.kill()
    bench.kb.wait()
    unit = bench.send("How can I return my order?")
    head, body = bench.edge.of(unit, fte.RETRY)
    assert msgpack.unpackb(body)["code"] in ("busy", "lost", "timeout") and bench.steps(unit) == []
    bench.kb = bench.actor("kb")
    bench.edge.ask("search_knowledge_base", {"query": "ready?"})
    bench.send("How can I return my order?", unit=unit, attempt=2)
    assert bench.sender.take(unit)["sources"][0]["id"] == "returns"
