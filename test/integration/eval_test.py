"""The decisions on small samples of public data (test/fixture/eval): none becomes worse unnoticed."""
import json, os, subprocess

import pytest
from system import BIN, ROOT

RUN = os.path.join(ROOT, "test/eval/run.py")


def run(data, *options):
    return subprocess.run(["/usr/bin/python3", RUN, str(data), "--json", *options], env=dict(os.environ, FTE_BIN=BIN),
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("part", ["triage", "sentiment", "identity", "kb"])
def test_the_decisions_are_as_good_as_they_were(part):
    done = run(os.path.join(ROOT, "test/fixture/eval"), "--only", part)
    assert done.returncode == 0, done.stderr
    names = {json.loads(line)["name"] for line in done.stdout.splitlines()}
    with open(os.path.join(ROOT, "test/fixture/eval/floors.json")) as f:
        assert {name for name in json.load(f) if name.split("/")[0] == part} <= names


def test_a_figure_under_its_floor_and_data_that_is_not_there_are_failures(tmp_path):
    (tmp_path / "intents.jsonl").write_text(
        json.dumps({"id": "a", "text": "I want a refund", "labels": ["refund_request"]}) + "\n" +
        json.dumps({"id": "b", "text": "Where is the log?", "labels": ["refund_request"]}) + "\n")
    (tmp_path / "floors.json").write_text(json.dumps({"triage/refund_request": {"recall": 0.9}}))
    done = run(tmp_path)
    assert done.returncode == 1 and "triage/refund_request: recall is 0.5, its floor is 0.9" in done.stderr
    (tmp_path / "floors.json").write_text(json.dumps({"triage/refund_request": {"recall": 0.5}}))
    assert run(tmp_path).returncode == 0
    empty = tmp_path / "empty"
    empty.mkdir()
    assert run(empty).returncode == 1
