"""Fixtures over the real processes; what they give is described in system.py."""

import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from system import System  # noqa: E402


@pytest.fixture(scope="session")
def system():
    """One whole system for all tests that leave it as it is (they may kill actors: they come back)."""
    with System() as s:
        yield s


@pytest.fixture
def fresh_system():
    """A function that starts a system of its own: fresh_system(FTE_RATE_LIMIT="5")."""
    started = []

    def start(**settings):
        s = System(**settings)
        started.append(s)
        return s.start()

    yield start
    for s in started:
        s.stop()
