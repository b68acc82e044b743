"""Measurements made by hand, for tests."""

from typing import Any

from tfchain.deployment.capacity.measurement import BatchLatency, IndexPoint, Load, Measurement


def make_measurement(**changes: Any) -> Measurement:
    """A measurement of a server with two cores that takes 10 ms for a text, of which 2 ms for 1,000 documents."""
    values: dict[str, Any] = {
        "processor": "a processor",
        "cores": 2,
        "engine": "native",
        "batch_latencies": (BatchLatency(1, 10.0, 12.0, 10.0), BatchLatency(2, 18.0, 20.0, 18.0)),
        "token_lengths": {50: 12, 99: 40, 100: 64},
        "start_seconds": 1.5,
        "memory_mb": 300.0,
        "peak_memory_mb": 350.0,
        "size_mb": 40.0,
        "documents": 1000,
        "measured_on": "2026-11-29T23:00:00+00:00",
        "service_times_ms": (9.0, 10.0, 12.0),
        "loads": (Load(1, 100.0, 10.0, 12.0, 10.0), Load(4, 190.0, 21.0, 30.0, 10.5)),
        "index_points": (IndexPoint(0, 8.0, 8.0, 240.0, 8.4), IndexPoint(1000, 10.0, 10.0, 190.0, 10.5, 300.0)),
        "answer_bytes": 2000,
        "machine_memory_mb": 16000.0,
        "machine_load": 0.5,
    }
    return Measurement(**{**values, **changes})
