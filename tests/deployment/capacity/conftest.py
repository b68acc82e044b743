"""Fixtures of the tests of capacity."""

from collections.abc import Iterator
from http.server import ThreadingHTTPServer

import pytest

from tests.deployment.capacity.fake_server import run_fake_server


@pytest.fixture
def fake_server() -> Iterator[ThreadingHTTPServer]:
    """A server that answers at once."""
    with run_fake_server() as server:
        yield server
