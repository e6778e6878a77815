"""The guide as the demo's knowledge base: what a newcomer asks is found, and what it doesn't hold is not."""
import json, os, subprocess, tempfile

import pytest
import sdk_test
from system import BIN, ROOT, wait_for

with open(os.path.join(ROOT, "test/docs/questions.jsonl")) as f:
    QUESTIONS = [json.loads(line) for line in f]
# Asked by the page that `make run` prints, and by whoever tries the system first.
FIRST = ("How do I write my own actor?", "How do I start it?", "Where is my data kept?", "How do I change the escalation rules?",
         "What happens when PostgreSQL is down?", "How do I replay a dead letter?")


@pytest.fixture(scope="module")
def search():
    with tempfile.TemporaryDirectory(prefix="fte-guide-") as state:
        os.chmod(state, 0o755)
        cluster = os.path.join(ROOT, "db/cluster.sh")
        url = subprocess.run([cluster, "start", state], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
        env = dict(os.environ, DATABASE_URL=url, FTE_STATE_DIR=state)

        actors = sdk_test.System(state)
        try:
            for command in (["migrate"], ["kb", "import", "docs/guide"]):
                subprocess.run([os.path.join(BIN, "fte"), *command], cwd=ROOT, env=env, check=True, stdout=subprocess.DEVNULL)
            log = os.path.join(state, "kb.log")
            with open(log, "w") as f:
                actors.start(os.path.join(BIN, "fte-kb"), env={"DATABASE_URL": url}, stderr=f)
            # It serves at once, and better when it has learned its passages.
            wait_for(lambda: "event=indexed" in open(log).read(), what="the index that has learned")
            peer = actors.peer()
            yield lambda text: peer.ask("search_knowledge_base", {"query": text})[1]
        finally:
            actors.stop()
            subprocess.run([cluster, "stop", state])


def test_what_everybody_asks_first_is_answered_from_its_section(search):
    sections = {q["text"]: q["id"] for q in QUESTIONS}
    for text in FIRST:
        found = search(text)
        assert found["answerable"], text
        assert found["hits"][0]["id"] == sections[text], (text, [h["id"] for h in found["hits"]])


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
