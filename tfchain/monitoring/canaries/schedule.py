"""Checks canary queries every so often, in a thread of its own."""

import logging
import threading
import time
from collections.abc import Callable
from functools import partial
from types import TracebackType

from tfchain.core.errors import InputError
from tfchain.core.observation import AddGauge
from tfchain.monitoring.canaries.check import CanaryReport

logger = logging.getLogger(__name__)


class CanarySchedule:
    """Runs a check again and again until it is closed. Use it in a `with` block.

    Times are measured by the monotonic clock, so a wall clock that goes back neither stops nor repeats a check. A check
    that takes longer than the pause is followed by the next one at once, never by two at a time.

    Args:
        check: Puts the canaries to the model, as `lambda: check_canaries(ask, canaries)`; its requests have timeouts.
        every_seconds: The time from the start of one check to that of the next. Default: 60.
        on_report: Takes each report. Default: nothing.
        add_gauge: Adds gauges to a server's metrics. Default: there are none.
        close_seconds: How long `close` waits for a check that is running. Default: 30.

    Attributes:
        latest: The latest report; None before the first.

    Raises:
        InputError: if `every_seconds` is not above 0.
    """

    def __init__(
        self,
        check: Callable[[], CanaryReport],
        *,
        every_seconds: float = 60.0,
        on_report: Callable[[CanaryReport], None] | None = None,
        add_gauge: AddGauge | None = None,
        close_seconds: float = 30.0,
    ) -> None:
        if not every_seconds > 0:
            raise InputError(f"`every_seconds` must be above 0. Received: every_seconds={every_seconds!r}.")
        self._check = check
        self._every_seconds = every_seconds
        self._on_report = on_report
        self._set_gauges = make_gauges(add_gauge) if add_gauge is not None else None
        self._close_seconds = close_seconds
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="canaries", daemon=True)
        self.latest: CanaryReport | None = None

    def start(self) -> "CanarySchedule":
        """Starts the thread; the first check is at once."""
        self._thread.start()
        return self

    def __enter__(self) -> "CanarySchedule":
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends the checks; waits for one that is running."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(self._close_seconds)

    def _run(self) -> None:
        due = time.monotonic()
        while not self._stopping.wait(max(due - time.monotonic(), 0)):
            due = time.monotonic() + self._every_seconds
            try:
                report = self._check()
            except Exception:  # the next check may do better, and whoever watches sees the log
                logger.exception("The canary queries could not be checked.")
                continue
            self.latest = report
            if self._set_gauges is not None:
                self._set_gauges(report)
            for finding in report.findings:
                logger.warning("%s", finding.message)
            if self._on_report is not None:
                self._on_report(report)


def make_gauges(add_gauge: AddGauge) -> Callable[[CanaryReport], None]:
    """Adds the gauges of canary queries, and returns a function that sets them by a report."""
    worst_low, worst_high = partial(add_gauge, over_workers="min"), partial(add_gauge, over_workers="max")
    set_good = worst_low("tfchain_canary_good", "1 if the canary queries found nothing wrong, else 0")
    set_recall = worst_low("tfchain_canary_recall", "The mean part of the expected answers that was found")
    set_latency = worst_high("tfchain_canary_latency_ms", "The median time of an answer to a canary query")
    set_distance = worst_high(
        "tfchain_canary_vector_distance", "The largest 1 - cosine of a vector and the expected one"
    )

    def set_gauges(report: CanaryReport) -> None:
        set_good(float(report.is_good))
        for set_gauge, value in (
            (set_recall, report.recall),
            (set_latency, report.latency_ms),
            (set_distance, report.vector_distance),
        ):
            if value is not None:
                set_gauge(value)

    return set_gauges
