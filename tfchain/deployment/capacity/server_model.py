"""A measured server as a model: how long requests take, and how many it answers, for a number of documents."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tfchain.core.errors import InputError
from tfchain.deployment.capacity.arrivals import Burst, make_arrivals
from tfchain.deployment.capacity.measurement import IndexPoint, Measurement
from tfchain.deployment.capacity.simulation import find_quantile, simulate_batches, simulate_shared

FAR = 2.0  # times the largest measured index: from there on a cost lost in the noise is no longer small
LEAST_MS = 1e-3
WHOLE = 0.15  # how far what many clients get over one may be from a whole number of requests at a time


@dataclass(frozen=True)
class ServerModel:
    """One server.

    Args:
        works_ms: The time of a request alone, as evenly spaced quantiles.
        speeds: How fast each of one, two, … requests in the server advances; a request alone has speed 1.
        max_per_second: The most answers a second.
        processor_ms: The processor time of an answer; 0 if unknown.
        batch_times_ms: The time of a batch of one request, two, …; None if the server does not join requests.
        num_parallel: How many requests it computes at a time while the others wait in line; None if it works on all.
        rested_ms: Like `works_ms`, for a request that finds the server idle. Default: none, like `works_ms`.
    """

    works_ms: tuple[float, ...]
    speeds: tuple[float, ...]
    max_per_second: float
    processor_ms: float
    batch_times_ms: tuple[float, ...] | None = None
    num_parallel: int | None = None
    rested_ms: tuple[float, ...] = ()

    @property
    def least_p99_ms(self) -> float:
        """The time in which 99 of 100 requests are answered that find the server idle."""
        return float(np.quantile(self.rested_ms or self.works_ms, 0.99))

    def simulate(self, rate: float, *, burst: Burst | None = None, count: int = 20_000, seed: int = 0) -> np.ndarray:
        """Simulates the server under random traffic.

        Args:
            rate: Requests a second.
            burst: The bursts of the traffic. Default: none.
            count: How many requests, or more if that is too few bursts. Default: 20,000.
            seed: Of the random numbers. Default: 0.

        Returns:
            The time to each answer, in ms.
        """
        if burst is not None and not burst.is_poisson:
            count = min(5 * count, max(count, round(50 * burst.period_seconds * rate)))
        arrivals = make_arrivals(rate, count, burst=burst, seed=seed)
        shares = np.random.default_rng(seed + 1).uniform(size=len(arrivals))
        works, rested = (
            np.interp(shares, np.linspace(0, 1, len(times)), times)
            for times in (self.works_ms, self.rested_ms or self.works_ms)
        )
        if self.batch_times_ms is None and self.num_parallel is not None:
            return simulate_batches(1000 * arrivals, works, [0.0], num_parallel=self.num_parallel, rested=rested)
        if self.batch_times_ms is None:
            return 1000 * simulate_shared(arrivals, works / 1000, self.speeds, rested=rested / 1000)
        usual = np.median(works)  # a pause of the machine does not grow with a batch
        return simulate_batches(1000 * arrivals, works - usual, self.batch_times_ms, rested=rested - usual)

    def find_p99(self, rate: float, *, burst: Burst | None = None, count: int = 20_000, seed: int = 0) -> float:
        """Returns the time in which 99 of 100 requests are answered, in ms; infinite if more come than are answered."""
        if rate >= self.max_per_second:
            return float("inf")
        return find_quantile(self.simulate(rate, burst=burst, count=count, seed=seed), 0.99)

    def find_rate(self, p99_ms: float, *, burst: Burst | None = None, precision: float = 0.01) -> float:
        """Returns the most requests a second of which 99 of 100 are answered in a time; 0 if there is no such rate.

        Args:
            p99_ms: The time, in ms.
            burst: The bursts of the traffic. Default: none.
            precision: How exact the rate must be, as a share of `max_per_second`. Default: 0.01.
        """
        low, high = 0.0, self.max_per_second
        while high - low > precision * self.max_per_second:
            middle = (low + high) / 2
            low, high = (middle, high) if self.find_p99(middle, burst=burst) <= p99_ms else (low, middle)
        return low


def make_server_model(measurement: Measurement, *, documents: int | None = None) -> ServerModel:
    """Makes the model of a measured server for a number of documents.

    What a search costs more with more documents follows from the sizes of the index that were measured: between them on
    the line from one to the next, beyond the largest on the line through the last two.

    Args:
        measurement: The measurement.
        documents: The number of documents. Default: those of the measured version.

    Raises:
        InputError: if the measurement has no service times, or only one size of the index where another is asked for.
    """
    if not measurement.service_times_ms or not measurement.loads:
        raise InputError("A plan needs service times and loads. Received: a measurement without them. Measure again.")
    alone = np.array(measurement.service_times_ms)
    top = max(entry.per_second for entry in measurement.loads)
    processor_ms = measurement.loads[0].processor_ms
    added = 0.0
    if documents is not None and documents != measurement.documents:
        _check_sizes(measurement, documents)
        here = measurement.documents or 0
        added = _at(measurement, documents, _latency) - _at(measurement, here, _latency)
        processor_ms += _at(measurement, documents, _processor) - _at(measurement, here, _processor)
        top = 1 / _at(measurement, documents, _seconds)
    works = np.maximum(alone + added, LEAST_MS)
    rested = np.maximum(np.array(measurement.rested_times_ms) + added, LEAST_MS)
    top = max(top, 1000 / works.mean())  # one client after the other gets as much
    speeds = _find_speeds(measurement, gain=top * works.mean() / 1000)
    batches = _find_batch_times(measurement, added, top) if measurement.joins_requests else None
    parallel = _find_parallel(measurement, gain=top * works.mean() / 1000)
    return ServerModel(
        tuple(works.tolist()),
        speeds,
        float(top),
        max(0.0, processor_ms),
        batches,
        parallel,
        tuple(rested.tolist()),
    )


def find_slope(measurement: Measurement, cost: Callable[[IndexPoint], float]) -> float:
    """Returns what a document adds to a cost, from the two largest sizes of the index; not below 0."""
    *_, before, last = measurement.index_points
    return max(0.0, (cost(last) - cost(before)) / (last.documents - before.documents))


def find_largest_index(measurement: Measurement, p99_ms: float) -> int | None:
    """Returns the most documents with which an idle server answers 99 of 100 requests in a time.

    Args:
        measurement: The measurement.
        p99_ms: The time, in ms.

    Returns:
        The number; None if no documents are quick enough, or two sizes of the index are not known.
    """
    points = measurement.index_points
    if len(points) < 2 or measurement.documents is None or not find_slope(measurement, _latency):
        return None
    room = p99_ms - make_server_model(measurement, documents=points[-1].documents).least_p99_ms
    if room >= 0:
        return points[-1].documents + int(room / find_slope(measurement, _latency))
    counts = np.linspace(0, points[-1].documents, 101).astype(int)
    fits = [count for count in counts if make_server_model(measurement, documents=int(count)).least_p99_ms <= p99_ms]
    return int(fits[-1]) if fits and fits[-1] else None


def _check_sizes(measurement: Measurement, documents: int) -> None:
    points = measurement.index_points
    if len(points) < 2:
        have = "no documents" if measurement.documents is None else f"{measurement.documents:,} documents alone"
        raise InputError(
            f"A plan for another number of documents needs measurements of two sizes of the index. Received: "
            f"documents={documents:,}, measured with {have}. Leave it out, or measure a larger version as well.",
            argument="documents",
        )
    if documents > FAR * points[-1].documents and not find_slope(measurement, _latency):
        raise InputError(
            f"With {points[-1].documents:,} documents, the time of a search is lost in the noise, and says nothing of "
            f"{documents:,}. Received: documents={documents:,}. Measure a larger version as well.",
            argument="documents",
        )


def _at(measurement: Measurement, documents: int, cost: Callable[[IndexPoint], float]) -> float:
    """Returns a cost for a number of documents, on the lines through the measured points."""
    points = measurement.index_points
    beyond = max(0, documents - points[-1].documents) * find_slope(measurement, cost)
    return float(np.interp(documents, [point.documents for point in points], list(map(cost, points)))) + beyond


def _latency(point: IndexPoint) -> float:
    return point.latency_ms


def _processor(point: IndexPoint) -> float:
    return point.processor_ms


def _seconds(point: IndexPoint) -> float:
    return 1 / point.per_second


def _find_speeds(measurement: Measurement, *, gain: float) -> tuple[float, ...]:
    """Returns how fast each of 1, 2, … requests advances, if all clients together get `gain` times what one gets."""
    clients = [entry.clients for entry in measurement.loads]
    rates = np.maximum.accumulate([entry.per_second for entry in measurement.loads])
    counts = np.arange(1, clients[int(np.argmax(rates))] + 1)
    gains = np.interp(counts, clients, rates / rates[0])
    if gains[-1] > 1:
        gains = 1 + (gains - 1) * (gain - 1) / (gains[-1] - 1)
    return tuple((gains / counts).tolist())


def _find_parallel(measurement: Measurement, *, gain: float) -> int | None:
    """Returns how many requests a server computes at a time, if the others wait in line; None if it works on all.

    With many clients, a request that shares the server takes longer in proportion to its own time, so times are as
    spread as those of one client. One that waits in line waits for several others, whose times even out.
    """
    parallel, busiest = round(gain), measurement.loads[-1]
    in_turn = busiest.clients / max(1, parallel)  # services one after the other until a client has its answer
    if in_turn < 2 or abs(gain - parallel) > WHOLE * parallel:
        return None
    alone = float(np.quantile(measurement.service_times_ms, 0.99) / np.median(measurement.service_times_ms))
    in_line = 1 + (alone - 1) / in_turn**0.5
    return parallel if busiest.p99_ms / busiest.latency_ms < (alone + in_line) / 2 else None


def _find_batch_times(measurement: Measurement, added_ms: float, top: float) -> tuple[float, ...]:
    """Returns the times of batches, up to the size that clients had at their most answers a second.

    A batch takes as long as a request of so many texts did; not longer than one of more texts, which only pauses of the
    machine can make look quicker; not longer than two smaller ones, into which the server divides it; and not less than
    clients ever got.
    """
    sizes = [entry.batch_size for entry in measurement.batch_latencies]
    most = max(sizes[-1], max(measurement.loads, key=lambda entry: entry.per_second).clients)
    counts = np.arange(1, most + 1)
    times = np.minimum.accumulate([entry.latency_ms for entry in measurement.batch_latencies][::-1])[::-1]
    found = np.interp(counts, sizes, times) + counts * added_ms
    for count in range(1, most):  # found[count] is of one more than count
        found[count] = min(found[count], (found[:count] + found[:count][::-1]).min())
    return tuple(np.maximum(found, np.where(counts > 1, 1000 * counts / top, 0)).tolist())
