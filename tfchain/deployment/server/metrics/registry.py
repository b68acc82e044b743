"""Counters, gauges and histograms with labels, and the registry that holds them.

prometheus_client cannot write TensorFlow Serving's names: it appends `_total` to every counter, sorts labels and adds
lines of its own. The classes here do what the server needs, and a measurement costs well under a microsecond.
"""

import threading
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Generic, TypeVar

from tfchain.core.errors import InputError
from tfchain.core.observation import OverWorkers

MOST_CELLS = 2000
MOST_CHARACTERS = 256
OTHER = "(other)"
Labels = tuple[str, ...]


class _Number:
    """A number that threads may change; the cell of counters and gauges."""

    __slots__ = ("_lock", "value")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.value: float = 0

    def add(self, amount: float = 1) -> None:
        """Adds an amount."""
        with self._lock:
            self.value += amount

    def set(self, value: float) -> None:
        """Replaces the value."""
        self.value = value


class Distribution:
    """The counts of a histogram for one set of labels.

    Args:
        bounds: The upper bounds of the buckets, ascending; a value equal to a bound is in its bucket.
    """

    __slots__ = ("_bounds", "_lock", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._lock = threading.Lock()
        self.counts = [0] * (len(bounds) + 1)
        self.total: float = 0

    def observe(self, value: float) -> None:
        """Adds a value."""
        place = bisect_left(self._bounds, value)
        with self._lock:
            self.counts[place] += 1
            self.total += value

    def snapshot(self) -> tuple[list[int], float]:
        """Returns the counts and the sum of one moment."""
        with self._lock:
            return list(self.counts), self.total

    def merge(self, counts: Sequence[int], total: float) -> None:
        """Adds the counts and the sum of another distribution with the same bounds."""
        with self._lock:
            self.counts = [own + other for own, other in zip(self.counts, counts, strict=True)]
            self.total += total


CellT = TypeVar("CellT", _Number, Distribution)


class Metric(Generic[CellT]):
    """A metric with labels: one cell per set of label values.

    Names and label values may come from requests, so the number of cells is limited, and so is their size: beyond
    `MOST_CELLS`, and for values longer than `MOST_CHARACTERS`, new label values share a cell whose labels are all
    `(other)`.

    Args:
        name: The name, as Prometheus reads it.
        help: One line about it.
        labels: The labels' names.
        make_cell: Makes an empty cell.
    """

    kind: ClassVar[str]

    def __init__(self, name: str, help: str, labels: Sequence[str], make_cell: Callable[[], CellT]) -> None:
        self.name = name
        self.help = help
        self.label_names = tuple(labels)
        self._make_cell: Callable[[], CellT] = make_cell
        self._cells: dict[Labels, CellT] = {}
        self._lock = threading.Lock()
        if not self.label_names:
            self.labels()

    def labels(self, *values: str) -> CellT:
        """Returns the cell of some label values, in the order of the labels' names; keep it where speed matters."""
        cell = self._cells.get(values)
        return cell if cell is not None else self._add_cell(values)

    def cells(self) -> list[tuple[Labels, CellT]]:
        """Returns all cells, sorted by their labels."""
        with self._lock:
            return sorted(self._cells.items(), key=lambda item: item[0])

    def remove(self, *values: str) -> None:
        """Forgets the cell of some label values, such as those of a version that is gone."""
        with self._lock:
            self._cells.pop(values, None)

    def _add_cell(self, values: Labels) -> CellT:
        if len(values) != len(self.label_names):
            raise InputError(
                f"The metric {self.name} has the labels {self.label_names}. Received: {values}. Pass a value for each."
            )
        with self._lock:
            is_long = any(len(value) > MOST_CHARACTERS for value in values)
            if is_long or (len(self._cells) >= MOST_CELLS and values not in self._cells):
                values = (OTHER,) * len(values)
            return self._cells.setdefault(values, self._make_cell())


class Counter(Metric[_Number]):
    """A number that only grows: `counter.labels("docs", "OK").add()`."""

    kind = "counter"

    def __init__(self, name: str, help: str, labels: Sequence[str] = ()) -> None:
        super().__init__(name, help, labels, _Number)


class Gauge(Metric[_Number]):
    """A number that goes up and down: `gauge.labels("docs").set(3)`, or `.add(-1)`.

    Args:
        name: The name.
        help: One line about it.
        labels: The labels' names. Default: none.
        over_workers: What `merge` makes of several values: their sum, the largest or the smallest. Default: the sum.
    """

    kind = "gauge"

    def __init__(self, name: str, help: str, labels: Sequence[str] = (), *, over_workers: OverWorkers = "sum") -> None:
        super().__init__(name, help, labels, _Number)
        self.over_workers: OverWorkers = over_workers
        self._merged: set[Labels] = set()

    def merge(self, values: Labels, amount: float) -> None:
        """Takes in the value that another process has for some label values."""
        cell = self.labels(*values)
        if self.over_workers == "sum":
            cell.add(amount)
        elif values in self._merged:
            cell.set(max(cell.value, amount) if self.over_workers == "max" else min(cell.value, amount))
        else:
            cell.set(amount)
        self._merged.add(values)


class Histogram(Metric[Distribution]):
    """A distribution: `histogram.labels("docs").observe(0.012)`.

    Args:
        name: The name.
        help: One line about it.
        labels: The labels' names.
        bounds: The upper bounds of the buckets, ascending; a last bucket without a bound is added.
    """

    kind = "histogram"

    def __init__(self, name: str, help: str, labels: Sequence[str] = (), *, bounds: Sequence[float]) -> None:
        self.bounds = tuple(bounds)
        if not self.bounds or list(self.bounds) != sorted(set(self.bounds)):
            raise InputError(f"`bounds` of the metric {name} must be ascending numbers. Received: {bounds}.")
        super().__init__(name, help, labels, lambda: Distribution(self.bounds))


AnyMetric = Counter | Gauge | Histogram
MetricT = TypeVar("MetricT", Counter, Gauge, Histogram)


@dataclass(frozen=True, slots=True)
class Reading:
    """A number that is read when somebody asks, such as the process's memory; it has no labels.

    Args:
        name: The name, as Prometheus reads it.
        help: One line about it.
        kind: `counter` or `gauge`.
        value: The value now.
    """

    name: str
    help: str
    kind: str
    value: float


class Registry:
    """Holds a server's metrics. Parts of the server add theirs, and keep what `add` returns.

    Example:
        tokens = Histogram("tfchain_batch_tokens", "Tokens in a batch.", ("model", "version"), bounds=(64, 256, 1024))
        tokens = registry.add(tokens)
        tokens.labels("docs", "3").observe(117)
    """

    def __init__(self) -> None:
        self._metrics: dict[str, AnyMetric] = {}
        self._updates: list[Callable[[], None]] = []
        self._lock = threading.Lock()

    def before_reading(self, update: Callable[[], None]) -> None:
        """Adds a function that is called whenever the metrics are read, to set gauges."""
        self._updates.append(update)

    def add(self, metric: MetricT) -> MetricT:
        """Adds a metric.

        Returns:
            The metric, or the one that has its name already, so that several owners may share it.

        Raises:
            InputError: if a metric of that name has another kind or other labels.
        """
        with self._lock:
            found = self._metrics.setdefault(metric.name, metric)
        if type(found) is not type(metric) or found.label_names != metric.label_names:
            raise InputError(
                f"The metric {metric.name} exists already, as a {found.kind} with the labels {found.label_names}. "
                f"Received: a {metric.kind} with {metric.label_names}. Choose another name."
            )
        return found

    def forget(self, model: str, version: str) -> None:
        """Removes the cells of a version that is gone, in all metrics whose first labels are `model` and `version`."""
        with self._lock:
            metrics = [metric for metric in self._metrics.values() if metric.label_names[:2] == ("model", "version")]
        for metric in metrics:
            for values, _ in metric.cells():
                if values[:2] == (model, version):
                    metric.remove(*values)

    def metrics(self) -> list[AnyMetric]:
        """Returns all metrics, sorted by name."""
        for update in self._updates:
            update()
        with self._lock:
            return sorted(self._metrics.values(), key=lambda metric: metric.name)


def exponential_bounds(scale: float, growth: float, count: int) -> tuple[float, ...]:
    """Returns `count` bounds: `scale`, `scale * growth`, `scale * growth ** 2` and so on."""
    bounds = [float(scale)]
    for _ in range(count - 1):
        bounds.append(bounds[-1] * growth)
    return tuple(bounds)
