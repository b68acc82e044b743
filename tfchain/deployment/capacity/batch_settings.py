"""The settings of TensorFlow Serving's batching that suit a measured version."""

from dataclasses import dataclass

import numpy as np

from tfchain.deployment.capacity.arrivals import Burst
from tfchain.deployment.capacity.measurement import BatchLatency, Measurement
from tfchain.deployment.capacity.server_model import ServerModel

WORTH = 1.1  # times the rate of a smaller batch: less is not worth the longer batch


@dataclass(frozen=True)
class BatchSettings:
    """Values for `--enable_batching` with a `--batching_parameters_file`.

    Args:
        max_batch_size: The most texts of a batch.
        batch_timeout_micros: How long a batch waits to become full; 0: what waits runs as soon as a thread is free.
        num_batch_threads: Batches that run at the same time: one, as the measured ones ran.
        max_enqueued_batches: Full batches that may wait within the goal; further requests are refused.
        allowed_batch_sizes: The sizes that batches are padded to, which were measured.
        qps: The most requests a second of a server with them within the goal, by simulation.
    """

    max_batch_size: int
    batch_timeout_micros: int
    num_batch_threads: int
    max_enqueued_batches: int
    allowed_batch_sizes: tuple[int, ...]
    qps: float

    def to_text(self) -> str:
        """Returns the file for `--batching_parameters_file`, in protobuf's text format."""
        lines = [
            f"max_batch_size {{ value: {self.max_batch_size} }}",
            f"batch_timeout_micros {{ value: {self.batch_timeout_micros} }}",
            f"num_batch_threads {{ value: {self.num_batch_threads} }}",
            f"max_enqueued_batches {{ value: {self.max_enqueued_batches} }}",
            f"allowed_batch_sizes: [{', '.join(map(str, self.allowed_batch_sizes))}]",
        ]
        return "\n".join(lines) + "\n"


def choose_batch_settings(
    measurement: Measurement, p99_ms: float, *, burst: Burst | None = None
) -> BatchSettings | None:
    """Chooses the largest batch with which a server answers more requests within a time than with smaller ones.

    Args:
        measurement: The measured server.
        p99_ms: The time in which 99 of 100 requests must be answered, in ms.
        burst: The bursts of the traffic. Default: none.

    Returns:
        The settings; None if no batch of the measured sizes answers a tenth more than requests alone, or none is quick
        enough.
    """
    first, *larger = measurement.batch_latencies
    worth = [entry for entry in larger if entry.texts_per_second > WORTH * first.texts_per_second]
    best_rate, chosen = 0.0, 1
    for entry in (first, *worth) if worth else ():
        if entry.p99_ms >= p99_ms:
            break
        rate = _make_model(measurement, entry.batch_size).find_rate(p99_ms, burst=burst, precision=0.02)
        if rate > (WORTH if chosen == 1 and entry.batch_size > 1 else 1.0) * best_rate:
            best_rate, chosen = rate, entry.batch_size
    if chosen == 1:
        return None
    entries = [entry for entry in measurement.batch_latencies if entry.batch_size <= chosen]
    waiting = max(1, int(p99_ms / entries[-1].latency_ms))
    return BatchSettings(chosen, 0, 1, waiting, tuple(entry.batch_size for entry in entries), best_rate)


def _make_model(measurement: Measurement, most: int) -> ServerModel:
    """A server that computes one batch after the other, of up to so many texts."""
    entries: list[BatchLatency] = [entry for entry in measurement.batch_latencies if entry.batch_size <= most]
    sizes = [entry.batch_size for entry in entries]
    times = np.interp(
        np.arange(1, most + 1), sizes, np.minimum.accumulate([entry.latency_ms for entry in entries[::-1]])[::-1]
    )
    works = measurement.service_times_ms or (entries[0].latency_ms,)
    top = 1000 * most / float(times[-1])
    return ServerModel(works, (1.0,), top, 0.0, tuple(times.tolist()), rested_ms=measurement.rested_times_ms)
