"""The fixtures of the integration tests, for the tests of chaos too."""

import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "integration")]

import pytest  # noqa: E402
from system import System  # noqa: E402


@pytest.fixture(scope="session")
def system():
    with System() as s:
        yield s
