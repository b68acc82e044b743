"""The watch over a canary: rolls it back when errors, latency or canary queries pass a limit, else promotes it."""

import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tfchain.core.errors import InputError, TfchainError
from tfchain.deployment.release_state import read_state
from tfchain.deployment.releases.switch import end_canary

logger = logging.getLogger(__name__)

Decision = Literal["wait", "roll back", "promote"]


@dataclass(frozen=True)
class VersionHealth:
    """What a version did since its server started: totals that only grow.

    Args:
        requests: The requests.
        errors: Those that failed, wrong requests included.
        p95_ms: The 95th percentile of its time, in milliseconds; None if unknown.
    """

    requests: int
    errors: int
    p95_ms: float | None = None


@dataclass(frozen=True)
class CanaryHealth:
    """What is known of a canary and of the live version beside it.

    Args:
        live: The live version's requests.
        canary: The canary's.
        recall: The share of canary queries that the canary answers as expected, from 0 to 1. Default: unknown.
        fault: What else is wrong with its answers to canary queries, as a sentence. Default: nothing.
    """

    live: VersionHealth
    canary: VersionHealth
    recall: float | None = None
    fault: str = ""


@dataclass(frozen=True)
class CanaryLimits:
    """When a canary is rolled back, and when it is promoted.

    Args:
        max_error_rate: The share of failed requests that is accepted beyond the live version's own. Default: 0.01.
        max_latency_ratio: The canary's 95th percentile over the live version's. Default: 1.5.
        min_recall: The least recall of canary queries. Default: 0.95.
        min_requests: The requests that the canary must have answered before it is judged by them, or promoted.
            Default: 100.
        hold_seconds: How long it must keep to the limits before it is promoted. Default: 600.

    Raises:
        InputError: if a value is out of range.
    """

    max_error_rate: float = 0.01
    max_latency_ratio: float = 1.5
    min_recall: float = 0.95
    min_requests: int = 100
    hold_seconds: float = 600.0

    def __post_init__(self) -> None:
        for name, low, high in (
            *(("max_error_rate", 0, 1), ("max_latency_ratio", 1, math.inf), ("min_recall", 0, 1)),
            *(("min_requests", 1, math.inf), ("hold_seconds", 0, math.inf)),
        ):
            value = getattr(self, name)
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            if not is_number or not low <= value <= high or math.isnan(value):
                raise InputError(f"`{name}` must be from {low:g} to {high:g}. Received: {name}={value!r}.")


class CanaryWatch:
    """Decides about one canary, from its health at several moments.

    Args:
        limits: The limits.
        clock: Seconds of a clock that never goes back. Default: `time.monotonic`.
    """

    def __init__(self, limits: CanaryLimits, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.limits = limits
        self._clock = clock
        self._start = clock()
        self._first: CanaryHealth | None = None

    def decide(self, health: CanaryHealth) -> tuple[Decision, str]:
        """Decides by what has happened since the first call.

        Errors count when the canary's rate is above the limit even at the lower end of its 95 % interval (Wilson), so
        that one failed request among the first three does not end a canary.

        Returns:
            The decision, and why.
        """
        limits = self.limits
        if self._first is None or health.canary.requests < self._first.canary.requests:  # the server started again
            self._first = health
        canary = _since(self._first.canary, health.canary)
        live = _since(self._first.live, health.live)
        if health.recall is not None and health.recall < limits.min_recall:
            return "roll back", f"the canary queries' recall is {health.recall:.3f}, below {limits.min_recall:g}"
        if health.fault:
            return "roll back", f"canary queries are not answered as expected: {health.fault}"
        live_rate = live.errors / live.requests if live.requests else 0.0
        allowed = live_rate + limits.max_error_rate
        if canary.requests and find_lowest_rate(canary.errors, canary.requests) > allowed:
            return "roll back", (
                f"{canary.errors} of {canary.requests} requests failed; the live version's share is {live_rate:.2%}"
            )
        if canary.requests < limits.min_requests:
            return "wait", f"{canary.requests} of {limits.min_requests} requests"
        ratio = _find_ratio(canary.p95_ms, live.p95_ms)
        if ratio is not None and ratio > limits.max_latency_ratio:
            return "roll back", f"its 95th percentile is {ratio:.2f} times the live version's"
        held = self._clock() - self._start
        if held < limits.hold_seconds:
            return "wait", f"{held:.0f} of {limits.hold_seconds:g} s"
        return "promote", f"{canary.requests} requests, {canary.errors} errors in {held:.0f} s"


def find_lowest_rate(errors: int, requests: int, *, z: float = 1.6449) -> float:
    """Returns the lower end of a share's one-sided 95 % interval (Wilson 1927)."""
    share = errors / requests
    centre = share + z * z / (2 * requests)
    spread = z * math.sqrt(share * (1 - share) / requests + z * z / (4 * requests * requests))
    return max(0.0, (centre - spread) / (1 + z * z / requests))


def watch_canary(
    base_path: Path | str,
    read_health: Callable[[], CanaryHealth],
    *,
    limits: CanaryLimits | None = None,
    poll_seconds: float = 5.0,
    timeout_seconds: float = 3600.0,
    clock: Callable[[], float] = time.monotonic,
    wait: Callable[[float], object] = time.sleep,
) -> Decision:
    """Watches the canary of a base path until it is promoted, rolled back, or taken away by somebody else.

    Args:
        base_path: The folder of the version folders.
        read_health: Reads the health now; `read_server_health` does of a server's metrics.
        limits: The limits. Default: `CanaryLimits()`.
        poll_seconds: The wait between two readings. Default: 5.
        timeout_seconds: When the canary is rolled back because it was not asked often enough. Default: 3600.
        clock: Seconds of a clock that never goes back. Default: `time.monotonic`.
        wait: Waits so many seconds. Default: `time.sleep`.

    Returns:
        `promote` or `roll back`: what was done; `wait` if somebody else ended the canary.

    Raises:
        InputError: if there is no canary.
    """
    version = read_state(base_path).canary
    if version is None:
        raise InputError(f"There is no canary in {base_path} to watch. Start one with `tfchain promote --canary 10`.")
    watch, deadline, failures = CanaryWatch(limits or CanaryLimits(), clock=clock), clock() + timeout_seconds, 0
    while True:
        if read_state(base_path).canary != version:
            return "wait"
        try:
            decision, reason = watch.decide(read_health())
            failures = 0
        except TfchainError as error:  # a server that does not answer for a moment
            failures += 1
            decision, reason = ("roll back" if failures >= 5 else "wait"), f"its health cannot be read: {error}"
        if decision == "wait" and clock() > deadline:
            decision, reason = "roll back", f"it was not decided in {timeout_seconds:g} s: {reason}"
        if decision != "wait":
            if not end_canary(base_path, version, is_good=decision == "promote", reason=reason):
                return "wait"  # somebody else ended it while its health was read
            if decision == "roll back":
                logger.warning("Canary %d of %s is rolled back: %s.", version, base_path, reason)
            return decision
        wait(poll_seconds)


def _since(first: VersionHealth, now: VersionHealth) -> VersionHealth:
    requests = max(0, now.requests - first.requests)
    return VersionHealth(requests, min(requests, max(0, now.errors - first.errors)), now.p95_ms)


def _find_ratio(canary: float | None, live: float | None) -> float | None:
    return canary / live if canary is not None and live else None
