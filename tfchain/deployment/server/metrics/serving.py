"""TensorFlow Serving's own metrics, by its names and its rules of counting."""

import time
from collections.abc import Callable
from types import TracebackType
from typing import TypeVar

from tfchain.deployment.server.metrics.registry import Counter, Histogram, Registry, exponential_bounds
from tfchain.deployment.server.status import Code, StatusError

_MICROSECONDS = exponential_bounds(10, 1.8, 33)  # to about 20 minutes
_EXAMPLES = exponential_bounds(1, 2, 15)
LoadedT = TypeVar("LoadedT")


class Call:
    """A call while it runs, as a `with` block: counted by its status, and measured if it succeeds.

    Whoever answers the call fills in what it learns.

    Args:
        metrics: The metrics that count it.
        entrypoint: `REST` or `GRPC`.
        model: The model that the call names; empty as long as it is not known.
        api: What was called: `predict` over REST, `Predict` over gRPC; empty for status and metadata.

    Attributes:
        left_ms: Returns the milliseconds until the call must be answered; None if nobody has set it.
    """

    __slots__ = ("_entrypoint", "_metrics", "_start", "api", "left_ms", "model")

    def __init__(self, metrics: "ServingMetrics", entrypoint: str, model: str = "", api: str = "") -> None:
        self._metrics = metrics
        self._entrypoint = entrypoint
        self._start = 0.0
        self.model = model
        self.api = api
        self.left_ms: Callable[[], int | None] | None = None

    @property
    def seconds(self) -> float:
        """The seconds since the call began."""
        return time.perf_counter() - self._start

    def __enter__(self) -> "Call":
        self._start = time.perf_counter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        metrics = self._metrics
        if error is None:
            metrics.requests.labels(self.model, "OK").add()
            metrics.request_latency.labels(self.model, self.api, self._entrypoint).observe(_micros_since(self._start))
        else:
            code = error.code if isinstance(error, StatusError) else Code.INTERNAL
            metrics.requests.labels(self.model, code.name).add()


class ServingMetrics:
    """What a stock server counts, in a registry. Times are in microseconds.

    Attributes:
        registry: The registry, to which other parts add metrics of their own.
        requests: The calls by model and status.
        request_latency: The time of the calls that succeeded.
        refused: The requests without a valid API key, which are not among the calls.
    """

    def __init__(self, registry: Registry | None = None) -> None:
        self.registry = add = registry or Registry()
        self.requests = add.add(
            Counter(":tensorflow:serving:request_count", "The total number of requests.", ("model_name", "status"))
        )
        self.request_latency = add.add(
            Histogram(
                ":tensorflow:serving:request_latency",
                "Distribution of wall time (in microseconds) for Tensorflow Serving request.",
                ("model_name", "API", "entrypoint"),
                bounds=_MICROSECONDS,
            )
        )
        self.refused = add.add(
            Counter("tfchain_refused_requests_total", "Requests without a valid API key, by protocol.", ("protocol",))
        )
        self._runtime_latency = add.add(
            Histogram(
                ":tensorflow:serving:runtime_latency",
                "Distribution of wall time (in microseconds) for Tensorflow runtime.",
                ("model_name", "API", "runtime"),
                bounds=_MICROSECONDS,
            )
        )
        self._graph_runs = add.add(Counter(":tensorflow:core:graph_runs", "The number of graph executions."))
        self._graph_run_time = add.add(
            Counter(
                ":tensorflow:core:graph_run_time_usecs", "The total time spent on executing graphs in microseconds."
            )
        )
        self._example_counts = add.add(
            Histogram(
                ":tensorflow:serving:request_example_counts",
                "The number of tensorflow.Examples per request.",
                ("model",),
                bounds=_EXAMPLES,
            )
        )
        self._example_total = add.add(
            Counter(
                ":tensorflow:serving:request_example_count_total",
                "The total number of tensorflow.Examples.",
                ("model",),
            )
        )
        self._warmup_latency = add.add(
            Histogram(
                ":tensorflow:serving:model_warmup_latency",
                "Distribution of wall time (in microseconds) for warming up the model.",
                ("model_path", "status"),
                bounds=_MICROSECONDS,
            )
        )
        self._warmup_records = add.add(
            Counter(
                ":tensorflow:serving:model_warmup_records_read",
                "The number of warm-up records read.",
                ("model_path", "status"),
            )
        )
        self._load_attempts = add.add(
            Counter(
                ":tensorflow:cc:saved_model:load_attempt_count",
                "The number of times a SavedModel was requested to be loaded.",
                ("model_path", "status"),
            )
        )
        self._load_latency = add.add(
            Counter(
                ":tensorflow:cc:saved_model:load_latency",
                "Latency in microseconds for SavedModels that were successfully loaded.",
                ("model_path",),
            )
        )

    def count_run(self, model: str, api: str, seconds: float) -> None:
        """Measures a model's run.

        Args:
            model: The model's name.
            api: `Predict`, `Classify` or `Regress`.
            seconds: The time of the run.
        """
        self._runtime_latency.labels(model, api, "TF1").observe(int(seconds * 1e6))
        self._count_graph_run(seconds)

    def count_multi_inference(self, model: str, seconds: float, num_examples: int) -> None:
        """Counts a MultiInference, of which a stock server counts the examples and measures no latency.

        Args:
            model: The model's name.
            seconds: The time of the run.
            num_examples: The number of examples in the request.
        """
        self._example_counts.labels(model).observe(num_examples)
        self._example_total.labels(model).add(num_examples)
        self._count_graph_run(seconds)

    def measure_load(self, path: str, load: Callable[[], LoadedT]) -> LoadedT:
        """Loads a version, counts the attempt, and measures it if it succeeds."""
        start = time.perf_counter()
        try:
            loaded = load()
        except BaseException:
            self._load_attempts.labels(path, "fail").add()
            raise
        self._load_attempts.labels(path, "success").add()
        self._load_latency.labels(path).add(_micros_since(start))
        return loaded

    def measure_warmup(self, path: str, warm_up: Callable[[], int]) -> None:
        """Runs a version's warm-up, and measures it if it has records and succeeds.

        Args:
            path: The version's folder.
            warm_up: Runs the warm-up, and returns the number of its records.
        """
        start = time.perf_counter()
        num_records = warm_up()
        if num_records:
            self._warmup_latency.labels(path, "OK").observe(_micros_since(start))
            self._warmup_records.labels(path, "OK").add(num_records)

    def _count_graph_run(self, seconds: float) -> None:
        self._graph_runs.labels().add()
        self._graph_run_time.labels().add(int(seconds * 1e6))


def _micros_since(start: float) -> int:
    return int((time.perf_counter() - start) * 1e6)
