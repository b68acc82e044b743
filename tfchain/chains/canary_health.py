"""The health of a canary version on a server: what the server counted, and how it answers canary queries.

Deployment watches a canary and monitoring asks canary queries; neither knows the other, so they are joined here.
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from tfchain.core.errors import InputError, ServerError
from tfchain.deployment.releases.watch import CanaryHealth, VersionHealth
from tfchain.monitoring.canaries.ask import Ask, CanaryAnswer, make_ask
from tfchain.monitoring.canaries.canary import CanaryQuery, find_canaries, read_canaries
from tfchain.monitoring.canaries.check import CanaryReport, check_canaries

logger = logging.getLogger(__name__)

OF_THE_WATCH = ("recall", "latency", "unanswered")  # findings that the watch judges by its own limits


def read_watched_canaries(version_path: Path | str, file: Path | str | None = None) -> list[CanaryQuery]:
    """Reads the canary queries for the watch over a version.

    A version's own canaries hold its vectors and scores, so that a version that is served otherwise than it was
    exported shows. Those of another file were mostly made with another version; only their `ids` are compared.

    Args:
        version_path: The version's folder.
        file: The file, or another version's folder. Default: the version's own `assets.extra/canaries.jsonl`.

    Returns:
        The canaries; none if no file is named and the version has none.

    Raises:
        InputError: if the file is not there, cannot be read, or no canary in it has `ids`.
    """
    own = find_canaries(version_path)
    if file is None or find_canaries(file).resolve() == own.resolve():
        return read_canaries(own) if file is not None or own.is_file() else []
    known = [replace(canary, scores=(), vector=None, plain_vector=None) for canary in read_canaries(file) if canary.ids]
    if not known:
        raise InputError(
            f'`canaries` must name answers, such as {{"text": "a question", "ids": ["a document"]}}. '
            f"Received: {find_canaries(file)}, where no line has `ids`."
        )
    return known


class CanaryHealthReader:
    """Reads the health of a canary for `watch_canary`, and asks it canary queries every so often.

    The requests of its own are not counted as users': what the server counts while they run is left out. Until the
    server has loaded the canary, nothing is asked.

    Args:
        rest_url: The embedded server's REST address.
        model: The model's name.
        live: The live version.
        canary: The canary.
        canaries: The canary queries. Default: none, only the server's metrics count.
        api_key: For servers that ask for one. Default: none.
        every_seconds: The least time between two checks. Default: 30.
        ready_seconds: How long the server may take to load the canary. Default: 120.
        check_seconds: How long a check may take; canaries left then are not answered. Default: 60.
        timeout_seconds: The time limit of a request. Default: 10.
        clock: Seconds of a clock that never goes back. Default: `time.monotonic`.

    Example:
        reader = CanaryHealthReader("http://127.0.0.1:8501", "docs", live=3, canary=4, canaries=canaries)
        watch_canary("saved_models/docs", reader.read)
    """

    def __init__(
        self,
        rest_url: str,
        model: str,
        *,
        live: int,
        canary: int,
        canaries: Sequence[CanaryQuery] = (),
        api_key: str | None = None,
        every_seconds: float = 30.0,
        ready_seconds: float = 120.0,
        check_seconds: float = 60.0,
        timeout_seconds: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rest_url, self._model, self._live, self._canary = rest_url, model, live, canary
        self._canaries = canaries
        self._api_key = api_key
        self._every_seconds, self._check_seconds = every_seconds, check_seconds
        self._timeout_seconds = timeout_seconds
        self._clock = clock
        self._ready_by = clock() + ready_seconds
        self._due = clock()
        self._report: CanaryReport | None = None
        self._own = VersionHealth(0, 0)  # what the server counted while it was asked canary queries
        self._last_requests = 0

    def read(self) -> CanaryHealth:
        """Reads the health now.

        Raises:
            ServerError: if the server does not answer, or has not loaded the canary in time.
        """
        health = self._count()
        if not self._canaries:
            return health
        if health.canary.requests < self._last_requests:  # the server started again, and counts from 0
            self._own = VersionHealth(0, 0)
        self._last_requests = health.canary.requests
        users = VersionHealth(
            max(0, health.canary.requests - self._own.requests),
            max(0, health.canary.errors - self._own.errors),
            health.canary.p95_ms,
        )
        if self._clock() >= self._due and self._is_ready():
            self._ask(health.canary)
        return CanaryHealth(health.live, users, self._find_recall(), self._find_fault())

    def _count(self) -> CanaryHealth:
        from tfchain.deployment.releases.server_health import read_server_health

        return read_server_health(
            self._rest_url, self._model, live=self._live, canary=self._canary, timeout_seconds=self._timeout_seconds
        )

    def _is_ready(self) -> bool:
        """Returns whether the canary can be asked; a server takes its time to load what it was just told of."""
        if self._report is not None:
            return True
        from tfchain.deployment.client.client import Client

        seconds, key = self._timeout_seconds, self._api_key
        with Client(rest_url=self._rest_url, timeout_seconds=seconds, api_key=key) as client:
            state = client.status(self._model).get(self._canary, "not known")
        if state != "AVAILABLE" and self._clock() >= self._ready_by:
            raise ServerError(
                f"The server must load version {self._canary} of {self._model} before it can be asked canary queries. "
                f"Received: {state}. Look at the server's log, and let it follow the base path."
            )
        return state == "AVAILABLE"

    def _ask(self, before: VersionHealth) -> None:
        """Puts the canary queries to the server, and leaves out what it counts meanwhile."""
        from tfchain.chains.monitored_version import connect

        seconds, key = self._timeout_seconds, self._api_key
        with connect(self._rest_url, self._model, version=self._canary, timeout_seconds=seconds, api_key=key) as served:
            report = check_canaries(ask_within(make_ask(served), self._check_seconds, self._clock), self._canaries)
        after = self._count().canary
        self._last_requests = after.requests
        self._own = VersionHealth(
            self._own.requests + max(0, after.requests - before.requests),
            self._own.errors + max(0, after.errors - before.errors),
        )
        for finding in report.findings:
            logger.warning("Canary %d of %s: %s", self._canary, self._model, finding.message)
        if count_unanswered(report) == report.canaries:
            raise ServerError(f"No canary query was answered. {report.findings[-1].message}")
        self._report = report
        self._due = self._clock() + self._every_seconds

    def _find_recall(self) -> float | None:
        """Returns the recall of the last check; a query that was not answered counts as one without the right one."""
        if self._report is None:
            return None
        answered = 1 - count_unanswered(self._report) / self._report.canaries
        return answered * (1.0 if self._report.recall is None else self._report.recall)

    def _find_fault(self) -> str:
        findings = () if self._report is None else self._report.findings
        return " ".join(finding.message for finding in findings if finding.kind not in OF_THE_WATCH)


def ask_within(ask: Ask, seconds: float, clock: Callable[[], float] = time.monotonic) -> Ask:
    """Makes a function that asks until the time is over, and then raises a ServerError at once."""
    deadline = clock() + seconds

    def ask_in_time(canary: CanaryQuery) -> CanaryAnswer:
        if clock() >= deadline:
            raise ServerError(f"The {seconds:g} s for a check were over.")
        return ask(canary)

    return ask_in_time


def count_unanswered(report: CanaryReport) -> int:
    """Returns how many canary queries were not answered."""
    return sum(finding.canaries for finding in report.findings if finding.kind == "unanswered")
