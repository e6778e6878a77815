"""Each safeguard is taken away from a live system, and the checker names the promise that is broken and the message; with
the safeguard in its place the same provocation finds nothing. The table is safeguards.py.

Needs the build with fault points (make FAULTS=1); FTE_FAULTS_BIN names its programs. FTE_SAFEGUARDS=all also runs
those that take long.
"""

import glob
import os
import re

import pytest

import system as system_module
from lab import Lab
from safeguards import DOCUMENT, NOT_SHOWN, ROOT, TABLE, written

BIN = os.environ.get("FTE_FAULTS_BIN")
ALL = os.environ.get("FTE_SAFEGUARDS") == "all"

pytestmark = pytest.mark.skipif(not BIN, reason="FTE_FAULTS_BIN is not set")


@pytest.fixture(scope="module")
def programs():
    patch = pytest.MonkeyPatch()
    patch.setattr(system_module, "BIN", BIN)
    yield
    patch.undo()


@pytest.fixture(scope="module")
def postgres(programs, tmp_path_factory):
    with Lab(str(tmp_path_factory.mktemp("safeguards"))) as lab:
        yield lab


@pytest.fixture(scope="module")
def kafka(programs, tmp_path_factory):
    with Lab(str(tmp_path_factory.mktemp("safeguards")), kafka=1) as lab:
        yield lab


def rows(backend):
    return [pytest.param(row, id=row.slug, marks=pytest.mark.skipif(row.slow and not ALL, reason="make safeguards"))
            for row in TABLE if backend in row.backends]


def try_it(lab, row, without):
    lab.begin(row, without)
    try:
        expected = row.provoke(lab)
        found = lab.new_violations()
    except AssertionError:
        print(lab.system.logs()[-8000:])
        raise
    finally:
        lab.end()
    assert {check for check, _ in expected} == set(row.finds)
    assert found == (expected if without else set())


@pytest.mark.parametrize("row", rows("postgres"))
def test_without_it_the_checker_finds_what_it_was_for(postgres, row):
    try_it(postgres, row, without=False)
    try_it(postgres, row, without=True)


@pytest.mark.parametrize("row", rows("kafka"))
def test_without_it_the_checker_finds_what_it_was_for_in_kafka(kafka, row):
    try_it(kafka, row, without=False)
    try_it(kafka, row, without=True)


def marks():
    """{(file, mark)} of the source."""
    found = set()
    for folder in ("actors", "db", "proto"):
        for path in glob.glob(os.path.join(ROOT, folder, "**", "*.c"), recursive=True):
            with open(path) as f:
                found |= {(os.path.relpath(path, ROOT), mark) for mark in re.findall(r'SAFEGUARD\("(\w+)"', f.read())}
    return found


def test_each_mark_in_the_source_has_its_row_and_each_row_its_place():
    shown = {(row.where, place.split(":")[0].rsplit(".", 1)[1]) for row in TABLE for place in row.away[:1] if place.endswith(":off")
             and row.where.endswith(".c")}
    assert marks() == shown | {(where, mark) for _, mark, where, _ in NOT_SHOWN if mark}
    assert all(os.path.exists(os.path.join(ROOT, row.where)) for row in TABLE)


def test_the_document_has_the_table():
    with open(DOCUMENT) as f:
        text = f.read()
    assert text == written(text), "test/chaos/safeguards.py --write"
