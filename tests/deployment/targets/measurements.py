"""Measurements for tests: throughput flattens at a known batch."""

from collections.abc import Mapping
from pathlib import Path

from tfchain.deployment.capacity.measurement import BatchLatency, Measurement, write_measurement

LATENCIES = {1: 10.0, 4: 16.0, 8: 20.0}  # 100, 250 and 400 texts a second


def make_measurement(
    latencies: Mapping[int, float] = LATENCIES, *, cores: int = 4, token_lengths: Mapping[int, int] | None = None
) -> Measurement:
    """Makes a measurement of latencies by batch size, in ms."""
    return Measurement(
        processor="Test CPU",
        cores=cores,
        engine="tensorflow",
        batch_latencies=tuple(BatchLatency(size, ms, 2 * ms, ms) for size, ms in latencies.items()),
        token_lengths={50: 12, 90: 30, 99: 100} if token_lengths is None else dict(token_lengths),
        start_seconds=10.0,
        memory_mb=700.0,
        peak_memory_mb=900.0,
        size_mb=90.0,
        documents=3,
        measured_on="2026-11-29T12:00:00",
    )


def measure_by_hand(version: Path) -> None:
    """Writes `make_measurement()` into a version."""
    write_measurement(version, make_measurement())
