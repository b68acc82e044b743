"""The pauses before a worker is started again."""

import pytest

from tfchain.deployment.server.workers.pauses import Pauses


def test_pauses_double_up_to_the_longest() -> None:
    pauses = Pauses()
    assert [round(pauses.after(0.0), 1) for _ in range(9)] == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0]


@pytest.mark.parametrize(("ready_seconds", "expected"), [(0.0, 0.4), (10.0, 0.4), (10.5, 0.1)])
def test_a_worker_that_was_ready_for_long_begins_anew(ready_seconds: float, expected: float) -> None:
    pauses = Pauses()
    pauses.after(0.0)
    pauses.after(0.0)
    assert pauses.after(ready_seconds) == pytest.approx(expected)
