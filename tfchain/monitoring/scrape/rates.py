"""What two readings of a server's metrics say about the time between them: requests, errors, latencies."""

import math
from dataclasses import asdict, dataclass
from typing import Any

from tfchain.monitoring.scrape.exposition import Metrics, find_quantile

REQUESTS = ":tensorflow:serving:request_count"
LATENCY = ":tensorflow:serving:request_latency"
RUNTIME = ":tensorflow:serving:runtime_latency"


@dataclass(frozen=True)
class Rates:
    """A model's traffic in a time.

    Args:
        model: The model's name.
        seconds: The time; 0 for all since the server's start.
        requests: The number of requests.
        errors: Those of them that failed.
        p50_ms: The latency that half of the requests stay below, in milliseconds; NaN without requests.
        p99_ms: The same of 99 of 100.
        run_p99_ms: The same for the model's own run.
    """

    model: str
    seconds: float
    requests: int
    errors: int
    p50_ms: float
    p99_ms: float
    run_p99_ms: float

    @property
    def per_second(self) -> float:
        """Requests a second; NaN for all since the server's start."""
        return self.requests / self.seconds if self.seconds else math.nan

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values; None for those that are not known."""
        values = {**asdict(self), "per_second": self.per_second}
        return {name: None if value != value else value for name, value in values.items()}


def measure_rates(now: Metrics, before: Metrics | None = None, *, seconds: float = 0.0) -> list[Rates]:
    """Returns each model's traffic between two readings.

    A server that was restarted in between counts from its start.

    Args:
        now: The later reading.
        before: The earlier one; None for all since the server's start.
        seconds: The time between them.
    """
    models = [name for name in now.values_of(REQUESTS, "model_name") if name]
    if before is not None and any(
        now.total(REQUESTS, model_name=model) < before.total(REQUESTS, model_name=model) for model in models
    ):
        before = None
    return [_measure(model, now, before or Metrics(), seconds) for model in models]


def _measure(model: str, now: Metrics, before: Metrics, seconds: float) -> Rates:
    def grown(**labels: str) -> int:
        return int(now.total(REQUESTS, model_name=model, **labels) - before.total(REQUESTS, model_name=model, **labels))

    requests = grown()
    return Rates(
        model=model,
        seconds=seconds,
        requests=requests,
        errors=requests - grown(status="OK"),
        p50_ms=_quantile(LATENCY, model, now, before, 0.5),
        p99_ms=_quantile(LATENCY, model, now, before, 0.99),
        run_p99_ms=_quantile(RUNTIME, model, now, before, 0.99),
    )


def _quantile(name: str, model: str, now: Metrics, before: Metrics, share: float) -> float:
    """Returns a quantile of what a histogram of microseconds has gained, in milliseconds."""
    earlier = dict(before.buckets(name, model_name=model))
    gained = [(bound, count - earlier.get(bound, 0.0)) for bound, count in now.buckets(name, model_name=model)]
    return find_quantile(gained, share) / 1000
