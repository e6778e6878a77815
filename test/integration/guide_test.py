"""The guide as the demo's knowledge base: what a newcomer asks is found, and what it doesn't hold is not."""
import json, os, sys, tempfile

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from agent_test import Bench
from system import ROOT, wait_for

with open(os.path.join(ROOT, "test/docs/questions.jsonl")) as f:
    QUESTIONS = [json.loads(line) for line in f]
# Asked by the page that `make run` prints, and by whoever tries the system first.
FIRST = ("How do I write my own actor?", "How do I start it?", "Where is my data kept?", "How do I change the escalation rules?",
         "What happens when PostgreSQL is down?", "How do I replay a dead letter?", "Can I use Kafka?", "How are answers made?",
         "How does it work?", "What is fte?", "What can you do?", "How do I delete a customer's data?")


@pytest.fixture(scope="module")
def bench():
    with tempfile.TemporaryDirectory(prefix="fte-guide-") as state:
        b = Bench(state, os.path.join(ROOT, "docs/guide"))
        try:
            # It serves at once, and better when it has learned its passages.
            wait_for(lambda: "event=indexed" in open(os.path.join(state, "kb.log")).read(), what="the index that has learned")
            yield b
        finally:
            b.stop()


@pytest.fixture(scope="module")
def search(bench):
    return lambda text: bench.edge.ask("search_knowledge_base", {"query": text})[1]


def test_what_everybody_asks_first_is_answered_from_its_section(search):
    sections = {q["text"]: q["id"] for q in QUESTIONS}
    for text in FIRST:
        found = search(text)
        assert found["answerable"], text
        assert found["hits"][0]["id"] == sections[text], (text, [h["id"] for h in found["hits"]])


def test_what_everybody_asks_first_gets_a_reply_from_that_section_alone_with_the_source_named(bench):
    sections = {q["text"]: q["id"] for q in QUESTIONS}
    for text in FIRST:
        decision = bench.sender.take(bench.send(text))
        assert [s["id"] for s in decision["sources"]] == [sections[text]], text
        assert "Source: " + decision["sources"][0]["title"] in decision["text"]


def test_what_the_guide_does_not_hold_goes_to_a_person(bench):
    for text in ("How do I connect it to Salesforce?", "Do you have an iPhone app?", "How do I get a certificate?",
                 "Which bank holidays does the support team have?"):
        assert bench.escalator.take(bench.send(text))["reason"] == "knowledge_gap", text


def test_nobody_is_told_of_a_command_that_erases_a_customer(bench):
    for text in ("How do I delete a customer's data?", "how do i erase a customer"):
        assert "has no command that deletes one customer" in bench.sender.take(bench.send(text))["text"]


def test_nine_of_ten_questions_find_their_section_first(search):
    wanted = [q for q in QUESTIONS if q["id"]]
    wrong = []
    for q in wanted:
        found = search(q["text"])
        if not found["answerable"] or found["hits"][0]["id"] != q["id"]:
            wrong.append((q["text"], found["answerable"], found["hits"][:1] and found["hits"][0]["id"]))
    assert len(wrong) <= len(wanted) / 10, wrong


def test_what_the_guide_does_not_hold_is_not_answered(search):
    for q in QUESTIONS:
        if q["id"] is None:
            assert not search(q["text"])["answerable"], q["text"]


def test_every_section_is_short_enough_to_be_one_reply():
    """Each section of the guide stays below the length of a reply, so that it is one passage."""
    for name in sorted(os.listdir(os.path.join(ROOT, "docs/guide"))):
        with open(os.path.join(ROOT, "docs/guide", name)) as f:
            for section in f.read().split("\n## ")[1:]:
                assert len(section.split()) < 250 or "\n### " in section, (name, section.split("\n")[0])
