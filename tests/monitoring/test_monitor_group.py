"""Several monitors are told the same, and one that fails keeps nothing from the others."""

from typing import Any

import pytest

from tfchain.core.observation import Feedback, Observation
from tfchain.monitoring.monitor_group import MonitorGroup

OBSERVATION = Observation(0.0, "docs", 1, "search", "q", "cat")


class Recorder:
    """Remembers what it is told, and may fail at everything."""

    def __init__(self, *, fails: bool = False) -> None:
        self.told: list[Any] = []
        self.fails = fails

    def observe(self, observation: Observation) -> None:
        self._take(observation)

    def take_feedback(self, feedback: Feedback) -> None:
        self._take(feedback)

    def tick(self) -> None:
        self._take("tick")

    def close(self) -> None:
        self._take("close")

    def _take(self, what: Any) -> None:
        self.told.append(what)
        if self.fails:
            raise ValueError("a monitor's own fault")


def test_all_are_told_everything_and_the_first_error_is_raised_at_the_end() -> None:
    good, bad, last = Recorder(), Recorder(fails=True), Recorder()
    feedback = Feedback(0.0, "click")
    group = MonitorGroup([good, bad, last])
    for tell in (lambda: group.observe(OBSERVATION), lambda: group.take_feedback(feedback), group.tick, group.close):
        with pytest.raises(ValueError, match="own fault"):
            tell()
    assert good.told == bad.told == last.told == [OBSERVATION, feedback, "tick", "close"]
