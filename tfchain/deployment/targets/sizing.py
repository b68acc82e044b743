"""How large a server must be for a version: processors, memory, time to start and requests, from its measurement."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tfchain.deployment.targets.platform_values import read_quantity
from tfchain.deployment.targets.server_command import STOCK

if TYPE_CHECKING:
    from tfchain.deployment.capacity.measurement import Measurement
    from tfchain.deployment.targets.served_version import ServedVersion

ENGINES = ("native", "litert", "tensorflow")  # in the order in which `auto` takes them
MIB = 2**20
STEP_MIB = 64  # memory is rounded up to this
MEMORY_ROOM = 1.2  # of the memory when ready: what is requested
PEAK_ROOM = 1.5  # of the peak: where a server that leaks is stopped
START_ROOM = 4  # of the time to start: another machine may be slower, and several pods start at once
LEAST_START_SECONDS = 60
USED_SHARE = 0.7  # of what one server can answer: the rest is for peaks while others start
# Without a measurement: generous, since a server that lacks memory never starts.
UNMEASURED_CORES = 2
UNMEASURED_BASE_MIB = 1024
UNMEASURED_SIZE_FACTOR = 3
UNMEASURED_START_SECONDS = 300


@dataclass(frozen=True)
class Sizing:
    """The size of one server.

    Args:
        cpu: Processors to request, as Kubernetes writes it.
        threads: Threads for one request's products: the processors, rounded up.
        memory_request_mib: Memory to request, in MiB.
        memory_limit_mib: The limit of memory, in MiB.
        start_seconds: How long a start may take.
        requests_per_second: What one server answers with room for peaks; None without a measurement.
        is_measured: Whether a measurement says so.
    """

    cpu: str
    threads: int
    memory_request_mib: int
    memory_limit_mib: int
    start_seconds: int
    requests_per_second: int | None
    is_measured: bool

    @property
    def memory_request(self) -> str:
        """The requested memory, as Kubernetes writes it."""
        return f"{self.memory_request_mib}Mi"

    @property
    def memory_limit(self) -> str:
        """The limit of memory, as Kubernetes writes it."""
        return f"{self.memory_limit_mib}Mi"


def size_server(size_bytes: int, measurement: "Measurement | None", *, cpu: str = "", memory: str = "") -> Sizing:
    """Sizes a server.

    Args:
        size_bytes: The size of the version's files.
        measurement: The version's measurement, if there is one.
        cpu: Processors, in place of those that were measured. Default: those.
        memory: The limit of memory, in place of the measured one. Default: that.

    Raises:
        InputError: if a quantity is not one.
    """
    cores = float(read_quantity("cpu", cpu)) if cpu else float(measurement.cores if measurement else UNMEASURED_CORES)
    if measurement is not None and measurement.memory_mb:
        request = _to_mib(measurement.memory_mb * 1e6 * MEMORY_ROOM)
        limit = _to_mib(max(measurement.memory_mb, measurement.peak_memory_mb) * 1e6 * PEAK_ROOM)
    else:
        request = limit = _to_mib(UNMEASURED_BASE_MIB * MIB + UNMEASURED_SIZE_FACTOR * size_bytes)
    if memory:
        limit = max(1, int(read_quantity("memory", memory) / MIB))
        request = min(request, limit)
    start = UNMEASURED_START_SECONDS
    if measurement is not None and measurement.start_seconds:
        start = max(LEAST_START_SECONDS, math.ceil(START_ROOM * measurement.start_seconds))
    return Sizing(
        cpu=cpu or f"{cores:g}",
        threads=max(1, math.ceil(cores)),
        memory_request_mib=request,
        memory_limit_mib=limit,
        start_seconds=start,
        requests_per_second=_find_rate(measurement, cores),
        is_measured=measurement is not None,
    )


def find_measurement(version: "ServedVersion", *, server: str, engine: str = "auto") -> "Measurement | None":
    """Returns a version's measurement if it was made with what the target's server answers with.

    The engines differ by a factor in memory and in speed: a limit of memory measured with the native engine stops a
    server with TensorFlow. A measurement of a server that somebody named by its address is taken as it is.

    Args:
        version: The version.
        server: The target's server, `stock` or `own`.
        engine: What answers in tfchain's server. Default: `auto`, the first that the version has files for.

    Returns:
        The measurement; None if there is none, or it is another engine's.
    """
    measurement = version.measurement
    if measurement is None or measurement.engine.startswith("server at "):
        return measurement
    return measurement if measurement.engine == find_engine(version, server, engine) else None


def explain_measurement(version: "ServedVersion", *, server: str, engine: str = "auto") -> tuple[str, ...]:
    """Returns lines for the user if the sizes are a guess: why, and how to change that."""
    if find_measurement(version, server=server, engine=engine) is not None:
        return ()
    answering = find_engine(version, server, engine)
    why = "Nobody has measured this version"
    if version.measurement is not None:
        why = f"This version was measured with the engine {version.measurement.engine}, and {answering} answers here"
    return (
        f"{why}: processors and memory are a guess from its size, and nothing is scaled by requests. "
        f"`tfchain plan --measure --engine {answering}` measures it.",
    )


def find_engine(version: "ServedVersion", server: str, engine: str) -> str:
    """Returns the engine that answers a version on a server: `tensorflow`, or tfchain's first that has files for it."""
    if server == STOCK:
        return "tensorflow"
    return engine if engine != "auto" else next(name for name in ENGINES if name in version.engines)


def _to_mib(size_bytes: float) -> int:
    return STEP_MIB * math.ceil(size_bytes / MIB / STEP_MIB)


def _find_rate(measurement: "Measurement | None", cores: float) -> int | None:
    """Returns the requests a second that one server answers with room for peaks; linear in its processors."""
    if measurement is None:
        return None
    single = measurement.batch_latencies[0]
    if measurement.loads:
        rate = max(load.per_second for load in measurement.loads) * cores / measurement.cores
    elif single.processor_ms:
        rate = 1000 * cores / single.processor_ms
    else:
        rate = 1000 / single.latency_ms if single.latency_ms else 0
    return max(1, int(USED_SHARE * rate)) if rate else None
