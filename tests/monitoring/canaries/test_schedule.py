"""Canaries are checked again and again, and gauges show what came out."""

import threading

import pytest

from tfchain.core.errors import InputError
from tfchain.monitoring.canaries.check import CanaryReport, Finding
from tfchain.monitoring.canaries.schedule import CanarySchedule

GOOD = CanaryReport(3, 1.0, 2.0, 3.0, 0.0, ())
BAD = CanaryReport(3, 0.5, None, None, 0.25, (Finding("recall", "Expected answers are missing.", 1),))


def test_checks_go_on_after_one_that_fails_and_end_with_close() -> None:
    answers = iter([GOOD, OSError("no route"), BAD])
    reports: list[CanaryReport] = []
    done = threading.Event()
    shown: dict[str, float] = {}

    def check() -> CanaryReport:
        answer = next(answers, BAD)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def take(report: CanaryReport) -> None:
        reports.append(report)
        if len(reports) == 2:
            done.set()

    def add_gauge(name: str, help: str, labels: tuple[str, ...] = (), *, over_workers: str = "sum") -> object:
        assert over_workers == ("min" if name in ("tfchain_canary_good", "tfchain_canary_recall") else "max")
        return lambda value: shown.__setitem__(name.removeprefix("tfchain_canary_"), value)

    with CanarySchedule(check, every_seconds=0.001, on_report=take, add_gauge=add_gauge) as schedule:
        assert done.wait(30)

    assert reports[:2] == [GOOD, BAD]
    assert schedule.latest == BAD
    assert shown == {"good": 0, "recall": 0.5, "latency_ms": 2.0, "vector_distance": 0.25}
    assert not any(thread.name == "canaries" for thread in threading.enumerate())


def test_closing_does_not_wait_for_the_next_check() -> None:
    schedule = CanarySchedule(lambda: GOOD, every_seconds=3600)
    with schedule:
        pass
    schedule.close()  # twice does no harm


def test_a_pause_must_be_one() -> None:
    with pytest.raises(InputError, match="`every_seconds` must be above 0. Received: every_seconds=0"):
        CanarySchedule(lambda: GOOD, every_seconds=0)
