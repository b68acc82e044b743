"""Metrics of batching: queues, waiting times and batches by model and version, and TensorFlow Serving's own."""

import threading

from tfchain.deployment.server.batching.statistics import BatchingStatistics, BatchRecord
from tfchain.deployment.server.metrics.registry import Counter, Gauge, Histogram, Registry, exponential_bounds

_LABELS = ("model", "version")
_SIZES = exponential_bounds(1, 2, 14)


class BatchingMetrics:
    """What the schedulers of all versions do, in a registry.

    Args:
        registry: The server's metrics.
    """

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.queue_length = registry.add(
            Gauge("tfchain_batch_queue_length", "Requests that wait for a batch.", _LABELS)
        )
        self.waiting = registry.add(
            Histogram(
                "tfchain_batch_waiting_seconds",
                "How long requests waited for their batch.",
                _LABELS,
                bounds=exponential_bounds(0.0001, 2, 18),
            )
        )
        self.rows = registry.add(
            Histogram("tfchain_batch_rows", "Rows in a batch, without padding.", _LABELS, bounds=_SIZES)
        )
        self.tokens = registry.add(
            Histogram(
                "tfchain_batch_tokens",
                "Estimated tokens in a batch of texts that waited, padding included.",
                _LABELS,
                bounds=exponential_bounds(16, 2, 10),
            )
        )
        self.dropped = registry.add(
            Counter(
                "tfchain_batch_dropped_requests_total",
                "Requests whose deadline passed while they waited for a batch.",
                _LABELS,
            )
        )
        self._watched: dict[tuple[str, str], list[BatchingStatistics]] = {}
        self._lock = threading.Lock()
        registry.before_reading(self._read_queues)

    def of_version(self, model: str, version: int) -> "VersionBatches":
        """Returns the metrics of a version, which take the records of its scheduler."""
        return VersionBatches(self, model, version)

    def watch(self, labels: tuple[str, str], statistics: BatchingStatistics) -> None:
        """Reads a scheduler's queue whenever the metrics are read."""
        with self._lock:
            self._watched.setdefault(labels, []).append(statistics)

    def forget(self, labels: tuple[str, str], statistics: BatchingStatistics) -> None:
        """Removes what was counted of a version, unless another load of it still runs, as from a new base path."""
        with self._lock:
            others = [found for found in self._watched.pop(labels, []) if found is not statistics]
            if others:
                self._watched[labels] = others
                return
            for metric in (self.queue_length, self.waiting, self.rows, self.tokens, self.dropped):
                metric.remove(*labels)

    def _read_queues(self) -> None:
        with self._lock:
            for labels, watched in self._watched.items():
                self.queue_length.labels(*labels).set(sum(statistics.queue_length for statistics in watched))


class VersionBatches:
    """The listener of a version's scheduler.

    Args:
        metrics: The metrics of all versions.
        model: The model's name.
        version: The version.
    """

    def __init__(self, metrics: BatchingMetrics, model: str, version: int) -> None:
        self._metrics = metrics
        self._labels = (model, str(version))
        self._statistics: BatchingStatistics | None = None
        self._stock: StockBatches | None = None

    def watch(self, statistics: BatchingStatistics, thread_pool: str = "") -> None:
        """Begins with a scheduler.

        Args:
            statistics: Its counters.
            thread_pool: The name of its threads, if it batches as TensorFlow Serving does. Default: it does not.
        """
        self._statistics = statistics
        self._stock = StockBatches(self._metrics.registry, thread_pool) if thread_pool else None
        self._metrics.watch(self._labels, statistics)

    def __call__(self, record: BatchRecord) -> None:
        """Counts a record."""
        metrics = self._metrics
        if record.kind == "end":
            if self._statistics is not None:
                metrics.forget(self._labels, self._statistics)
            return
        if record.kind == "drop":
            metrics.dropped.labels(*self._labels).add(record.num_requests)
        elif record.kind == "batch":
            metrics.rows.labels(*self._labels).observe(record.num_rows)
            if record.num_tokens:
                metrics.tokens.labels(*self._labels).observe(record.num_tokens)
            waiting = metrics.waiting.labels(*self._labels)
            for seconds in record.waiting_seconds:
                waiting.observe(seconds)
        if self._stock is not None:
            self._stock.count(record)


class StockBatches:
    """What a stock server with `--enable_batching` counts of its batches, over all models.

    Args:
        registry: The server's metrics.
        thread_pool: The name of the batch threads.
    """

    def __init__(self, registry: Registry, thread_pool: str) -> None:
        name = ":tensorflow:serving:batching_session:{}".format
        self._queuing_latency = registry.add(
            Histogram(
                name("queuing_latency"),
                "Distribution of wall time spent (in microseconds) in queuing",
                ("thread_pool_name",),
                bounds=exponential_bounds(100, 1.2, 52),
            )
        ).labels(thread_pool)
        self._runs = registry.add(
            Counter(name("wrapped_run_count"), "Total count of run calls on the wrapped session")
        ).labels()
        self._padding = registry.add(
            Histogram(
                name("padding_size"),
                "Tracks the padding size distribution on batches.",
                ("execution_batch_size",),
                bounds=_SIZES,
            )
        )
        self._inputs = registry.add(
            Histogram(name("input_batch_size"), "Tracks the batch size distribution on the inputs.", bounds=_SIZES)
        ).labels()
        self._processed = registry.add(
            Histogram(name("processed_batch_size"), "Tracks the batch size distribution on processing.", bounds=_SIZES)
        ).labels()

    def count(self, record: BatchRecord) -> None:
        """Counts a record."""
        if record.kind == "request":
            self._inputs.observe(record.num_rows)
            return
        for seconds in record.waiting_seconds:
            self._queuing_latency.observe(int(seconds * 1e6))
        if record.kind == "batch":
            size = record.num_rows + record.num_padding_rows
            self._padding.labels(str(size)).observe(record.num_padding_rows)
            self._processed.observe(size)
            self._runs.add()
