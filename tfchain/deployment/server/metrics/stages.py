"""The times of the stages of runs, by model and version, from the marks of `core/stages.py`."""

import threading
from collections import Counter as Multiset
from collections.abc import Mapping, Sequence

import numpy as np

from tfchain.core.stages import Stage, StageRecord, find_record
from tfchain.deployment.server.metrics.registry import Distribution, Histogram, Registry, exponential_bounds
from tfchain.deployment.server.servables.servable import Servable, Signature, WrappedServable

_SECONDS = exponential_bounds(0.00001, 2, 23)  # to 42 s


class StageMetrics:
    """How long the stages of all versions' runs take, in a registry.

    Args:
        registry: The server's metrics.
    """

    def __init__(self, registry: Registry) -> None:
        self.seconds = registry.add(
            Histogram(
                "tfchain_stage_seconds",
                "How long a run tokenized, encoded and searched; `run` for a graph that does all of it.",
                ("model", "version", "stage"),
                bounds=_SECONDS,
            )
        )
        self._registry = registry
        self._loads: Multiset[tuple[str, str]] = Multiset()
        self._lock = threading.Lock()

    def measure(self, servable: Servable, model: str, version: int) -> "MeasuredServable":
        """Returns a version whose runs are measured from its `begin` to its `close`.

        Args:
            servable: The loaded version, without batching: a batch of several requests is then one run.
            model: The model's name.
            version: The version.
        """
        labels = (model, str(version))
        with self._lock:
            self._loads[labels] += 1
        return MeasuredServable(servable, self, labels)

    def forget(self, labels: tuple[str, str]) -> None:
        """Removes what was measured of a version, here and by other parts.

        It stays while another load of the version still runs, as from a new base path.
        """
        with self._lock:
            self._loads[labels] -= 1
            if self._loads[labels]:
                return
            del self._loads[labels]
        self._registry.forget(*labels)


class MeasuredServable(WrappedServable):
    """A version whose runs are measured by stages, if they succeed; see `Servable` for its methods.

    Args:
        servable: The version; `close` closes it.
        metrics: The metrics of all versions.
        labels: The model's name and the version.
    """

    def __init__(self, servable: Servable, metrics: StageMetrics, labels: tuple[str, str]) -> None:
        super().__init__(servable)
        self._metrics = metrics
        self._labels = labels
        self._is_measured = False
        self._cells: dict[str, Distribution] = {}  # by stage

    def begin(self) -> None:
        """Begins to measure; runs before it, those of warm-up, are not measured."""
        self._is_measured = True

    def run(
        self,
        signature: Signature,
        inputs: Mapping[str, np.ndarray],
        outputs: Sequence[str],
        timeout_ms: int | None = None,
    ) -> list[np.ndarray]:
        """Runs a signature, and measures its stages."""
        if not self._is_measured:
            return self._servable.run(signature, inputs, outputs, timeout_ms)
        record = find_record()
        if record is not None:  # of the request's trace
            num_before = len(record.stages)
            values = self._servable.run(signature, inputs, outputs, timeout_ms)
            self._observe(record.stages[num_before:])
            return values
        with StageRecord() as record:
            values = self._servable.run(signature, inputs, outputs, timeout_ms)
        self._observe(record.stages)
        return values

    def close(self) -> None:
        """Closes the version, and forgets what was measured of it."""
        try:
            self._servable.close()
        finally:
            self._metrics.forget(self._labels)

    def _observe(self, stages: Sequence[Stage]) -> None:
        cells = self._cells
        for stage in stages:
            cell = cells.get(stage.name)
            if cell is None:
                cell = cells[stage.name] = self._metrics.seconds.labels(*self._labels, stage.name)
            cell.observe(stage.end - stage.begin)
