"""One stream, of queries or of documents, beside its reference: looks at the latest items again and again."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from tfchain.core.distributions import classifier_area, count_bins, find_edges, stability_index
from tfchain.core.errors import InputError
from tfchain.monitoring.drift.calibration import VECTORS, CumulativeShares
from tfchain.monitoring.drift.config import LEAST_WINDOW, DriftConfig
from tfchain.monitoring.drift.mean_discrepancy import make_kernel
from tfchain.monitoring.drift.newcomers import Newcomers, find_newcomers
from tfchain.monitoring.drift.reference import Sample
from tfchain.monitoring.drift.window import Window


@dataclass(frozen=True)
class Look:
    """What one look at a stream found.

    Args:
        position: How many items the stream had.
        values: Statistic → value: `vectors` is the squared maximum mean discrepancy, scalars have Kolmogorov-Smirnov
            distances. Statistics without enough values are not there.
        exceeded: The statistics above their thresholds.
    """

    position: int
    values: Mapping[str, float]
    exceeded: tuple[str, ...]

    @property
    def is_drift(self) -> bool:
        """Whether a statistic is above its threshold."""
        return bool(self.exceeded)


@dataclass(frozen=True)
class StreamReport:
    """A stream as it is now.

    Args:
        items: How many items it has had.
        window: How many of these are compared.
        origin: What its reference was made of, `queries` or `documents`.
        is_drifting: Whether the latest look was above a threshold.
        since: The number of items at the look that was the first of these; 0 if it is not drifting.
        values: The latest look's statistics.
        thresholds: What these stay below without drift.
        exceeded: The statistics above their thresholds.
        stability: Scalar → population stability index; below 0.1 is usually called no shift, from 0.25 a large one.
        classifier_area: How well a classifier tells the window from the reference: 0.5 is chance, 1 certainty; None
            unless it is drifting.
        newcomers: Which items are new; None unless it is drifting.
    """

    items: int
    window: int
    origin: str
    is_drifting: bool
    since: int
    values: Mapping[str, float]
    thresholds: Mapping[str, float]
    exceeded: tuple[str, ...]
    stability: Mapping[str, float] = field(default_factory=dict)
    classifier_area: float | None = None
    newcomers: Newcomers | None = None

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values."""
        return asdict(self)


class DriftStream:
    """Compares a stream's latest items with a reference, after every `stride` of them.

    Args:
        sample: The reference, calibrated for the configuration.
        config: The window and the stride.
    """

    def __init__(self, sample: Sample, config: DriftConfig) -> None:
        self._sample = sample
        self._config = config
        self._window = Window(config.window, sample.dim, tuple(sample.scalars))
        self._shares = {name: CumulativeShares(np.asarray(values)) for name, values in sample.scalars.items()}
        self._reference_mean = 0.0
        if sample.vectors is not None:
            size = len(sample.vectors)
            kernel = make_kernel(sample.vectors, sample.vectors, sample.bandwidth)
            self._reference_mean = (float(kernel.sum(dtype=np.float64)) - size) / (size * (size - 1))
        self._items = 0
        self._since = 0
        self.latest: Look | None = None

    @property
    def thresholds(self) -> Mapping[str, float]:
        """What each statistic stays below without drift."""
        return self._sample.thresholds

    def add(self, vector: np.ndarray | None, scalars: Mapping[str, float | None], text: str = "") -> Look | None:
        """Takes an item in.

        Args:
            vector: Its vector, `(dim,)`; None if the reference has no vectors.
            scalars: Its scalars by name; those that are missing or None are not compared.
            text: Its text, for examples; the beginning of the latest ones is kept. Default: none.

        Returns:
            What a look found, if it was time for one.

        Raises:
            InputError: if the vector has another width than the reference's, or is not finite.
        """
        if self._sample.vectors is not None and (
            vector is None or np.shape(vector) != (self._sample.dim,) or not np.isfinite(vector).all()
        ):
            shape = None if vector is None else np.shape(vector)
            raise InputError(
                f"An item's vector must be {self._sample.dim} finite numbers, as in the reference. Received: an array "
                f"of the shape {shape}. Make a reference with the model that serves."
            )
        self._window.add(vector, scalars, text)
        self._items += 1
        if not self._window.is_full or self._items % self._config.stride:
            return None
        self.latest = look = self._look()
        if not look.is_drift:
            self._since = 0
        elif not self._since:
            self._since = look.position
        return look

    def restart(self) -> None:
        """Forgets the latest items, whose vectors another model has made."""
        self._window.clear()
        self.latest, self._since = None, 0

    def report(self, *, explain: bool = True) -> StreamReport:
        """Returns the stream as it is now.

        Args:
            explain: Whether to say, if it is drifting, which items are new, and how clearly; takes some hundred
                milliseconds. Default: True.
        """
        look = self.latest
        is_drifting = look is not None and look.is_drift
        area, newcomers = None, None
        if explain and is_drifting and self._sample.vectors is not None:
            vectors = self._window.vectors
            area = classifier_area(self._sample.vectors, vectors, seed=self._config.seed)[0]
            newcomers = find_newcomers(vectors, self._window.texts, self._sample.vectors)
        return StreamReport(
            items=self._items,
            window=len(self._window),
            origin=self._sample.origin,
            is_drifting=is_drifting,
            since=self._since,
            values=dict(look.values) if look is not None else {},
            thresholds=dict(self._sample.thresholds),
            exceeded=look.exceeded if look is not None else (),
            stability=self._measure_stability() if explain else {},
            classifier_area=area,
            newcomers=newcomers,
        )

    def _look(self) -> Look:
        values: dict[str, float] = {}
        if self._sample.vectors is not None:
            values[VECTORS] = self._discrepancy(self._sample.vectors)
        for name, shares in self._shares.items():
            latest = self._window.scalar(name)
            if len(latest) == self._config.window:  # the threshold is for that many
                values[name] = shares.distance(latest)
        exceeded = tuple(name for name, value in values.items() if value > self._sample.thresholds[name])
        return Look(self._items, values, exceeded)

    def _discrepancy(self, reference: np.ndarray) -> float:
        vectors = self._window.vectors
        size = len(vectors)
        within = make_kernel(vectors, vectors, self._sample.bandwidth).sum(dtype=np.float64)
        between = make_kernel(vectors, reference, self._sample.bandwidth).mean(dtype=np.float64)
        return float((within - size) / (size * (size - 1)) + self._reference_mean - 2 * between)

    def _measure_stability(self) -> dict[str, float]:
        found = {}
        for name, reference in self._sample.scalars.items():
            latest = self._window.scalar(name)
            if len(latest) >= LEAST_WINDOW:
                edges = find_edges(np.asarray(reference), min(len(reference), len(latest)))
                found[name] = stability_index(count_bins(reference, edges), count_bins(latest, edges))[0]
        return found
