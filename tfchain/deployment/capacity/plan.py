"""A capacity plan: how many replicas a version needs for a rate and a latency, and what saturates first."""

import dataclasses
import math
from dataclasses import dataclass, field
from typing import Any

from tfchain.core.checks import check_whole_number
from tfchain.core.errors import InputError
from tfchain.deployment.capacity.arrivals import Burst
from tfchain.deployment.capacity.batch_settings import BatchSettings, choose_batch_settings
from tfchain.deployment.capacity.limits import Limit, list_limits
from tfchain.deployment.capacity.measurement import Measurement
from tfchain.deployment.capacity.memory import ReplicaMemory, find_memory
from tfchain.deployment.capacity.server_model import ServerModel, find_largest_index, make_server_model

HOURS_IN_MONTH = 730
FINAL_COUNT = 40_000  # requests of the simulations that the plan reports
LOW_USE = 0.1  # below this share of a server's throughput, a plan buys latency with machines


@dataclass(frozen=True, kw_only=True)
class Goal:
    """What a service must do.

    Args:
        qps: Requests a second, on average.
        p99_ms: The time in which 99 of 100 requests must be answered, in ms, network to the clients excluded.
        documents: The number of documents. Default: those of the measured version.
        burst: How traffic is bunched. Default: not at all, requests come at random (Poisson).
        spare: Replicas that may fail while the goal still holds. Default: 1.
        price_per_core_hour: The price of a core for an hour, in any currency. Default: none.
        machine_memory_mb: The memory of a machine, in MB. Default: that of the measured one.
        network_mbit: The network of a machine, in Mbit/s. Default: no limit.

    Raises:
        InputError: if a value is not possible.
    """

    qps: float
    p99_ms: float
    documents: int | None = None
    burst: Burst = field(default_factory=Burst)
    spare: int = 1
    price_per_core_hour: float | None = None
    machine_memory_mb: float | None = None
    network_mbit: float | None = None

    def __post_init__(self) -> None:
        for name in ("qps", "p99_ms", "price_per_core_hour", "machine_memory_mb", "network_mbit"):
            value = getattr(self, name)
            is_number = isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf
            if not is_number and (value is not None or name in ("qps", "p99_ms")):
                raise InputError(f"`{name}` must be a positive number. Received: {name}={value!r}.", argument=name)
        check_whole_number("spare", self.spare, least=0)
        if self.documents is not None:
            check_whole_number("documents", self.documents)


@dataclass(frozen=True)
class Plan:
    """Replicas for a goal; each is a server like the measured one. `to_json` gives plain values.

    Args:
        goal: The goal.
        replicas: All replicas, the spare ones included.
        needed: The replicas that keep the goal when the spare ones have failed.
        cores: The cores of each.
        memory: The memory of each.
        qps_per_replica: The most requests a second of one replica within the goal.
        max_qps_per_replica: The most that one answers at all.
        use: The share of `max_qps_per_replica` that is used when all replicas run.
        use_with_failure: The same when the spare ones have failed.
        p99_ms: The simulated time in which 99 of 100 requests are answered when all replicas run.
        p99_ms_with_failure: The same when the spare ones have failed.
        least_p99_ms: The same of an idle server: no number of replicas gives less.
        batching: The settings of a TensorFlow Serving with batching; None if batching does not pay.
        limits: What a replica uses up, the one first that reaches its end first as traffic grows.
        price_per_hour: The price of all cores, if a core's is known.
        notes: What the plan rests on, and where it is uncertain.
    """

    goal: Goal
    replicas: int
    needed: int
    cores: int
    memory: ReplicaMemory
    qps_per_replica: float
    max_qps_per_replica: float
    use: float
    use_with_failure: float
    p99_ms: float
    p99_ms_with_failure: float
    least_p99_ms: float
    batching: BatchSettings | None
    limits: tuple[Limit, ...]
    price_per_hour: float | None
    notes: tuple[str, ...]

    @property
    def saturates_first(self) -> Limit:
        """What reaches its end first as traffic grows."""
        return self.limits[0]

    @property
    def price_per_month(self) -> float | None:
        """The price of 730 hours."""
        return None if self.price_per_hour is None else HOURS_IN_MONTH * self.price_per_hour

    def to_json(self) -> dict[str, Any]:
        """Returns plain values for JSON."""
        values = dataclasses.asdict(self)
        return {**values, "saturates_first": self.saturates_first.name, "price_per_month": self.price_per_month}


def make_plan(measurement: Measurement, goal: Goal) -> Plan:
    """Plans replicas from a measurement, by simulation.

    Requests come at random, or in bursts, and are dealt out at random over the replicas. A replica takes as long for
    each as was measured; with several at the same time it works as fast as it did with as many clients.

    Args:
        measurement: The measured server.
        goal: What the service must do.

    Raises:
        InputError: if the goal cannot be reached: a single request takes longer, or the documents do not fit into a
            machine. The message says the least that is possible.
    """
    model = make_server_model(measurement, documents=goal.documents)
    _check_latency(measurement, model, goal)
    memory = find_memory(measurement, goal.documents)
    room = goal.machine_memory_mb or measurement.machine_memory_mb
    if memory.limit_mb and room and memory.limit_mb > room:
        raise InputError(
            f"A replica needs {memory.limit_mb:,.0f} MB with {memory.documents or 0:,} documents, more than a "
            f"machine has. Received: machine_memory_mb={room:,.0f}. Take larger machines, fewer documents, or vectors "
            "in fewer bits.",
            argument="documents",
        )
    rate = model.find_rate(goal.p99_ms, burst=goal.burst)
    if not rate:
        raise InputError(
            f"99 of 100 requests take at least {to_ms(_least_p99(model, goal))} with this traffic, however many "
            f"replicas there are. Received: p99_ms={goal.p99_ms:g}. Ask for more than that.",
            argument="p99_ms",
        )
    needed = max(1, math.ceil(goal.qps / rate))
    replicas = needed + goal.spare
    each, each_with_failure = goal.qps / replicas, goal.qps / needed
    hourly = None if goal.price_per_core_hour is None else replicas * measurement.cores * goal.price_per_core_hour
    return Plan(
        goal=goal,
        replicas=replicas,
        needed=needed,
        cores=measurement.cores,
        memory=memory,
        qps_per_replica=rate,
        max_qps_per_replica=model.max_per_second,
        use=each / model.max_per_second,
        use_with_failure=each_with_failure / model.max_per_second,
        p99_ms=model.find_p99(each, burst=goal.burst, count=FINAL_COUNT),
        p99_ms_with_failure=model.find_p99(each_with_failure, burst=goal.burst, count=FINAL_COUNT),
        least_p99_ms=model.least_p99_ms,
        batching=choose_batch_settings(measurement, goal.p99_ms, burst=goal.burst),
        limits=list_limits(measurement, model, memory, goal.documents, each_with_failure, room, goal.network_mbit),
        price_per_hour=hourly,
        notes=tuple(_note(measurement, model, goal, rate)),
    )


def to_ms(milliseconds: float) -> str:
    """Formats a time for people."""
    return f"{milliseconds:,.0f} ms" if milliseconds >= 100 else f"{milliseconds:.3g} ms"


def _check_latency(measurement: Measurement, model: ServerModel, goal: Goal) -> None:
    """Refuses a goal that an idle server does not reach."""
    if goal.p99_ms > model.least_p99_ms:
        return
    largest = find_largest_index(measurement, goal.p99_ms)
    ways = "shorter texts, a smaller model or a faster processor"
    if goal.documents is not None and largest is not None:
        ways = f"at most {largest:,} documents, a faster processor, or smaller vectors"
    raise InputError(
        f"99 of 100 requests take up to {to_ms(model.least_p99_ms)} on a server that does nothing else, however many "
        f"replicas there are. Received: p99_ms={goal.p99_ms:g}. Ask for more than that, or take {ways}.",
        argument="p99_ms",
    )


def _least_p99(model: ServerModel, goal: Goal) -> float:
    return model.find_p99(0.01 * model.max_per_second, burst=goal.burst)


def _note(measurement: Measurement, model: ServerModel, goal: Goal, rate: float) -> list[str]:
    """Lists what the plan rests on, and where it is uncertain."""
    notes = [
        f"measured {measurement.measured_on[:10]} on {measurement.cores} cores of {measurement.processor}, "
        f"engine {measurement.engine}, with the machine's load at {measurement.machine_load:.1f}"
    ]
    if measurement.machine_load > 0.5 * measurement.cores:
        notes.append("other programs used the machine while it was measured: an idle one may need fewer replicas")
    last = measurement.index_points[-1].documents if measurement.index_points else None
    if goal.documents is not None and last and goal.documents > last:
        notes.append(
            f"{goal.documents:,} documents are {goal.documents / last:.3g} times the largest index that was measured: "
            "beyond it, time and memory follow the line through its last two sizes"
        )
    sizes = [point.documents for point in measurement.index_points if point.documents]
    if goal.documents is not None and len(sizes) == 1 and goal.documents > sizes[0]:
        notes.append(
            f"one size of the index was measured: what an answer costs beside the search counts as the search's, so "
            f"time grows too fast beyond {sizes[0]:,} documents. Measure a larger version as well"
        )
    if rate < LOW_USE * model.max_per_second:
        notes.append(
            f"the goal for p99 is so near to the {to_ms(model.least_p99_ms)} of an idle server that replicas stand "
            "idle: a little more time saves machines"
        )
    if not measurement.memory_mb:
        notes.append("the measured server's memory is unknown, because it was not started for the measurement")
    return notes
