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


def batch_server(model: ServerModel, gaps: np.ndarray, works: np.ndarray, rested: np.ndarray) -> list[float]:
    """One thread that takes all waiting requests, up to the largest batch; returns the times to the answers, in ms."""
    environment = simpy.Environment()
    waiting = simpy.Store(environment)
    times = model.batch_times_ms or ()
    typical = float(np.median(model.works_ms))
    found: list[float] = []

    def come() -> Generator[simpy.Event, Any, None]:
        for gap, work, alone in zip(gaps, works, rested, strict=True):
            yield environment.timeout(gap)
            yield waiting.put((environment.now, work, alone))

    def serve() -> Generator[simpy.Event, Any, None]:
        while True:
            was_idle = not waiting.items
            batch = [(yield waiting.get())]
            while waiting.items and len(batch) < len(times):
                batch.append((yield waiting.get()))
            yield environment.timeout(max(0.0, times[len(batch) - 1] + batch[0][2 if was_idle else 1] - typical))
            found.extend(environment.now - arrival for arrival, _, _ in batch)

    environment.process(come())
    environment.process(serve())
    environment.run()
    return found


def shared_server(model: ServerModel, gaps: np.ndarray, works: np.ndarray, rested: np.ndarray) -> list[float]:
    """Requests in slices of work, over threads that slow each other down as measured."""
    environment = simpy.Environment()
    running = [0]
    found: list[float] = []

    def request(work: float, alone: float) -> Generator[simpy.Event, Any, None]:
        arrival, left = environment.now, work if running[0] else alone
        running[0] += 1
        while left > 0:
            count, piece = running[0], min(left, SLICE_MS)
            speed = model.speeds[min(count, len(model.speeds)) - 1] * min(1.0, len(model.speeds) / count)
            yield environment.timeout(piece / speed)
            left -= piece
        running[0] -= 1
        found.append(environment.now - arrival)

    def come() -> Generator[simpy.Event, Any, None]:
        for gap, work, alone in zip(gaps, works, rested, strict=True):
            yield environment.timeout(gap)
            environment.process(request(work, alone))

    environment.process(come())
    environment.run()
    return found


def line_server(model: ServerModel, gaps: np.ndarray, works: np.ndarray, rested: np.ndarray) -> list[float]:
    """A few threads, and a line before them."""
    environment = simpy.Environment()
    threads = simpy.Resource(environment, capacity=model.num_parallel or 1)
    found: list[float] = []

    def request(work: float, alone: float) -> Generator[simpy.Event, Any, None]:
        arrival, is_idle = environment.now, threads.count == 0
        with threads.request() as turn:
            yield turn
            yield environment.timeout(alone if is_idle else work)
        found.append(environment.now - arrival)

    def come() -> Generator[simpy.Event, Any, None]:
        for gap, work, alone in zip(gaps, works, rested, strict=True):
            yield environment.timeout(gap)
            environment.process(request(work, alone))

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
    works, rested = (
        generator.choice(times[1:-1], size=count) for times in (model.works_ms, model.rested_ms or model.works_ms)
    )
    return float(np.quantile(simulate(model, gaps, works, rested)[count // 10 :], 0.99))


def find_rate_by_simpy(model: ServerModel, p99_ms: float) -> float:
    low, high = 0.0, model.max_per_second
    while high - low > 0.06 * model.max_per_second:
        middle = (low + high) / 2
        low, high = (middle, high) if p99_by_simpy(model, middle) <= p99_ms else (low, middle)
    return (low + high) / 2


@pytest.mark.parametrize(("kind", "wakes"), [("batches", 1.0), ("batches", 2.5), ("line", 1.5), ("shared", 1.5)])
def test_the_rate_at_which_the_goal_is_crossed_is_that_of_simpy(
    kind: str, wakes: float, measurement: Measurement
) -> None:
    """Requests that find the server idle take `wakes` times as long."""
    loads = measurement.loads
    if kind == "shared":  # times with many clients are as spread as with one
        loads = (*loads[:-1], replace(loads[-1], p99_ms=10 * loads[-1].latency_ms))
    rested = tuple(wakes * time for time in measurement.service_times_ms)
    measured = replace(measurement, joins_requests=kind == "batches", loads=loads, rested_times_ms=rested)
    model = make_server_model(measured)
    if kind != "batches":
        assert (model.num_parallel is not None) == (kind == "line")
    p99_ms = 3 * model.least_p99_ms

    expected = find_rate_by_simpy(model, p99_ms)
    plan = make_plan(measured, Goal(qps=20 * expected, p99_ms=p99_ms))

    assert plan.qps_per_replica == pytest.approx(expected, rel=0.2)
    assert plan.needed == pytest.approx(20, rel=0.2)
