"""Plans beside an independent simulator, simpy, on the service times of a measured server."""

import json
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import simpy

from tfchain.deployment.capacity.measurement import Measurement
from tfchain.deployment.capacity.plan import Goal, make_plan
from tfchain.deployment.capacity.server_model import ServerModel, make_server_model

MEASURED = Path(__file__).parent / "measured_server.json"  # `tfchain plan` wrote it, of a small model in TensorFlow
COUNT = 12_000
SLICE_MS = 4.0


@pytest.fixture(scope="module")
def measurement() -> Measurement:
    return Measurement.from_json(json.loads(MEASURED.read_text(encoding="utf-8")))


def batch_server(model: ServerModel, gaps: np.ndarray, works: np.ndarray) -> list[float]:
    """One thread that takes all waiting requests, up to the largest batch; returns the times to the answers, in ms."""
    environment = simpy.Environment()
    waiting = simpy.Store(environment)
    times = model.batch_times_ms or ()
    typical = float(np.median(works))
    found: list[float] = []

    def come() -> Generator[simpy.Event, Any, None]:
        for gap, work in zip(gaps, works, strict=True):
            yield environment.timeout(gap)
            yield waiting.put((environment.now, work))

    def serve() -> Generator[simpy.Event, Any, None]:
        while True:
            batch = [(yield waiting.get())]
            while waiting.items and len(batch) < len(times):
                batch.append((yield waiting.get()))
            yield environment.timeout(max(0.0, times[len(batch) - 1] + batch[0][1] - typical))
            found.extend(environment.now - arrival for arrival, _ in batch)

    environment.process(come())
    environment.process(serve())
    environment.run()
    return found


def shared_server(model: ServerModel, gaps: np.ndarray, works: np.ndarray) -> list[float]:
    """Requests in slices of work, over threads that slow each other down as measured."""
    environment = simpy.Environment()
    running = [0]
    found: list[float] = []

    def request(work: float) -> Generator[simpy.Event, Any, None]:
        arrival, left = environment.now, work
        running[0] += 1
        while left > 0:
            count, piece = running[0], min(left, SLICE_MS)
            speed = model.speeds[min(count, len(model.speeds)) - 1] * min(1.0, len(model.speeds) / count)
            yield environment.timeout(piece / speed)
            left -= piece
        running[0] -= 1
        found.append(environment.now - arrival)

    def come() -> Generator[simpy.Event, Any, None]:
        for gap, work in zip(gaps, works, strict=True):
            yield environment.timeout(gap)
            environment.process(request(work))

    environment.process(come())
    environment.run()
    return found


def line_server(model: ServerModel, gaps: np.ndarray, works: np.ndarray) -> list[float]:
    """A few threads, and a line before them."""
    environment = simpy.Environment()
    threads = simpy.Resource(environment, capacity=model.num_parallel or 1)
    found: list[float] = []

    def request(work: float) -> Generator[simpy.Event, Any, None]:
        arrival = environment.now
        with threads.request() as turn:
            yield turn
            yield environment.timeout(work)
        found.append(environment.now - arrival)

    def come() -> Generator[simpy.Event, Any, None]:
        for gap, work in zip(gaps, works, strict=True):
            yield environment.timeout(gap)
            environment.process(request(work))

    environment.process(come())
    environment.run()
    return found


def p99_by_simpy(model: ServerModel, rate: float, seed: int = 11) -> float:
    """The p99 of requests at random times, each as long as one that was measured."""
    generator = np.random.default_rng(seed)
    simulate, count = (batch_server, COUNT) if model.batch_times_ms is not None else (line_server, COUNT)
    if simulate is line_server and model.num_parallel is None:
        simulate, count = shared_server, COUNT // 3
    gaps = generator.exponential(1000 / rate, size=count)
    works = generator.choice(model.works_ms[1:-1], size=count)
    return float(np.quantile(simulate(model, gaps, works)[count // 10 :], 0.99))


def find_rate_by_simpy(model: ServerModel, p99_ms: float) -> float:
    low, high = 0.0, model.max_per_second
    while high - low > 0.06 * model.max_per_second:
        middle = (low + high) / 2
        low, high = (middle, high) if p99_by_simpy(model, middle) <= p99_ms else (low, middle)
    return (low + high) / 2


@pytest.mark.parametrize("kind", ["batches", "line", "shared"])
def test_the_rate_at_which_the_goal_is_crossed_is_that_of_simpy(kind: str, measurement: Measurement) -> None:
    loads = measurement.loads
    if kind == "shared":  # times with many clients are as spread as with one
        loads = (*loads[:-1], replace(loads[-1], p99_ms=10 * loads[-1].latency_ms))
    measured = replace(measurement, joins_requests=kind == "batches", loads=loads)
    model = make_server_model(measured)
    if kind != "batches":
        assert (model.num_parallel is not None) == (kind == "line")
    p99_ms = 3 * model.least_p99_ms

    expected = find_rate_by_simpy(model, p99_ms)
    plan = make_plan(measured, Goal(qps=20 * expected, p99_ms=p99_ms))

    assert plan.qps_per_replica == pytest.approx(expected, rel=0.2)
    assert plan.needed == pytest.approx(20, rel=0.2)
