"""The end of the copies to a shadow; test_releases.py and the servers' tests have what they compare."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from tfchain.deployment.release_state import ReleaseState
from tfchain.deployment.server.metrics.registry import Registry
from tfchain.deployment.server.shadow import MOST_WAITING, LentVersion, ShadowCopies
from tfchain.deployment.server.status import Code, StatusError

STATE = ReleaseState(live=1, shadow=2, shadow_percent=100.0)


def test_a_server_ends_while_requests_still_come_and_the_shadow_hangs() -> None:
    asked, ends = threading.Event(), threading.Event()

    @contextmanager
    def lend(name: str, version: int) -> Iterator[LentVersion]:
        asked.set()
        ends.wait(60)
        raise StatusError(Code.NOT_FOUND, "gone")
        yield

    copies = ShadowCopies(lend, Registry())

    def offer(number: int) -> None:
        for _ in range(number):
            copies.offer("docs", STATE, "serving_default", {"x": np.zeros(1)}, {"y": np.zeros(1)}, 0.1)

    copies.start()
    offer(1)
    assert asked.wait(60)
    copies._thread.join = lambda timeout: offer(2 * MOST_WAITING)  # type: ignore[method-assign]
    copies.close()
    assert copies._waiting.qsize() == 1  # what ends the thread
    ends.set()
