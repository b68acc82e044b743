"""`LiveDrift`: watches each version that a server answers with, if there is a reference in its folder."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tfchain.core.errors import InputError, TfchainError
from tfchain.core.observation import (
    AddGauge,
    AnsweringVersion,
    Feedback,
    FindVersion,
    Observation,
    OverWorkers,
    SetGauge,
)
from tfchain.monitoring.drift.monitor import DriftMonitor
from tfchain.monitoring.drift.reference import find_reference, read_reference

logger = logging.getLogger(__name__)
CHECK_SECONDS = 30.0  # between two looks for new references and for versions that are gone
Stamp = tuple[Path, int, int]  # of a file: where it is, when it was written, its size


class LiveDrift:
    """Watches a server's versions for drift, each beside its own reference. It is a `core.observation.Monitor`.

    A version without a reference is not watched; one that gets a reference is from then on, within half a minute. Its
    gauges are `tfchain_drift` and `tfchain_drift_ratio`, with the labels `model` and `version` before those of
    `DriftMonitor`; they go back to 0 when the version is gone. The beginning of a drift is a warning in the log.

    Vectors that answers do not hold are made by the version itself, on the thread that calls `observe`. Queries beyond
    the rate are left out, whatever they say, so those that are taken are a sample.

    Args:
        find_version: Finds a version that answers.
        add_gauge: Adds gauges to the server's metrics.
        texts_per_second: The most queries of which vectors are made, on average, of all versions together. Default: 10.
        clock: Returns seconds. Default: `time.monotonic`.

    Raises:
        InputError: if the rate is not positive.
    """

    def __init__(
        self,
        find_version: FindVersion,
        add_gauge: AddGauge,
        *,
        texts_per_second: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        check_rate("texts_per_second", texts_per_second)
        self._find_version = find_version
        self._add_gauge = add_gauge
        self._rate = texts_per_second
        self._clock = clock
        self._watched: dict[tuple[str, int], _Watched] = {}
        self._most_left = max(1.0, texts_per_second)  # after a pause, a second's worth at once
        self._left = self._most_left
        self._filled = self._checked = clock()

    def observe(self, observation: Observation) -> None:
        """Takes an answered text."""
        key = (observation.model, observation.version)
        watched = self._watched.get(key)
        if watched is None:
            version = self._find_version(*key)
            if version is None:
                return  # it has gone since it answered
            watched = self._watched[key] = self._open(*key, version)
        if watched.monitor is None:
            return
        if watched.monitor.wants_vector(observation) and not self._may_encode():
            return
        watched.monitor.observe(observation)

    def take_feedback(self, feedback: Feedback) -> None:
        """Does nothing: feedback says nothing of drift."""

    def tick(self) -> None:
        """Looks for versions that are gone, and for references that are new, every half a minute."""
        if self._clock() - self._checked < CHECK_SECONDS:
            return
        self._checked = self._clock()
        for key, watched in list(self._watched.items()):
            version = self._find_version(*key)
            if version is None or _find_stamp(version) != watched.stamp:
                watched.close()
                del self._watched[key]
                if version is not None:
                    self._watched[key] = self._open(*key, version)

    def close(self) -> None:
        """Lets the queries go that wait for their vectors."""
        for watched in self._watched.values():
            watched.close()
        self._watched.clear()

    def _may_encode(self) -> bool:
        """Returns whether the rate allows a vector now, and counts it."""
        now = self._clock()
        self._left = min(self._most_left, self._left + max(0.0, now - self._filled) * self._rate)
        self._filled = now
        if self._left < 1:
            return False
        self._left -= 1
        return True

    def _open(self, model: str, number: int, version: AnsweringVersion) -> "_Watched":
        stamp = _find_stamp(version)
        if stamp is None:
            return _Watched(None)
        gauges = _Gauges(self._add_gauge, (model, str(number)))
        try:
            monitor = DriftMonitor(
                read_reference(version.path),
                encode=version.embed,
                add_gauge=gauges,
                name=f"Version {number} of {model}",
            )
        except TfchainError as error:
            logger.warning("Version %d of %s is not watched for drift: %s", number, model, error)
            return _Watched(stamp)
        logger.info("Version %d of %s is watched for drift.", number, model)
        return _Watched(stamp, monitor, gauges)


@dataclass(frozen=True, slots=True)
class _Watched:
    """A version, with its monitor if it is watched, and the stamp of its reference if it has one."""

    stamp: Stamp | None
    monitor: DriftMonitor | None = None
    gauges: "_Gauges | None" = None

    def close(self) -> None:
        if self.monitor is not None:
            self.monitor.close()
        if self.gauges is not None:
            self.gauges.clear()


class _Gauges:
    """Adds gauges with a version's labels before their own, and sets them back when the version is gone."""

    def __init__(self, add_gauge: AddGauge, labels: tuple[str, str]) -> None:
        self._add_gauge = add_gauge
        self._labels = labels
        self._used: dict[tuple[str, ...], SetGauge] = {}

    def __call__(
        self, name: str, help: str, labels: tuple[str, ...] = (), *, over_workers: OverWorkers = "sum"
    ) -> SetGauge:
        set_gauge = self._add_gauge(name, help, ("model", "version", *labels), over_workers=over_workers)

        def set_value(value: float, *values: str) -> None:
            self._used[name, *values] = set_gauge
            set_gauge(value, *self._labels, *values)

        return set_value

    def clear(self) -> None:
        for (_, *values), set_gauge in self._used.items():
            set_gauge(0.0, *self._labels, *values)


def check_rate(name: str, rate: float) -> None:
    """Checks a number of texts a second.

    Raises:
        InputError: if it is not above 0.
    """
    if not rate > 0:
        raise InputError(f"`{name}` must be above 0. Received: {rate}. Use 1 for one query a second.")


def _find_stamp(version: AnsweringVersion) -> Stamp | None:
    """Returns the stamp of a version's reference; None if it has none."""
    file = find_reference(version.path)
    try:
        found = file.stat()
    except OSError:
        return None
    return file, found.st_mtime_ns, found.st_size
