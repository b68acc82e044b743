"""What a replica uses up as traffic and documents grow, and which of it ends first."""

from dataclasses import dataclass

from tfchain.deployment.capacity.measurement import Measurement
from tfchain.deployment.capacity.memory import ReplicaMemory
from tfchain.deployment.capacity.server_model import ServerModel

BUSY = 0.85  # of its cores: a server that gives its most with less waits for something else
WAITS = 1.25  # times the growth of the encoder: processors that wait for memory count as busy


@dataclass(frozen=True)
class Limit:
    """A resource of a replica, when the spare replicas have failed.

    Args:
        name: What it is.
        used: How much is used.
        available: How much there is.
        unit: The unit of both.
        share: The part that is used.
        reason: What was measured of it.
    """

    name: str
    used: float
    available: float
    unit: str
    share: float
    reason: str


def list_limits(
    measurement: Measurement,
    model: ServerModel,
    memory: ReplicaMemory,
    documents: int | None,
    rate: float,
    machine_memory_mb: float,
    network_mbit: float | None,
) -> tuple[Limit, ...]:
    """Lists what is used up, the most used first.

    Args:
        measurement: The measurement.
        model: The server's model for the documents.
        memory: Its memory.
        documents: The number of documents; None for those of the measured version.
        rate: The requests a second of a replica.
        machine_memory_mb: The memory of a machine, in MB; 0 if unknown.
        network_mbit: The network of a machine, in Mbit/s; None for no limit.
    """
    name, reason = _find_bottleneck(measurement, model, documents)
    top = model.max_per_second
    found = [_limit(name, rate, top, "requests a second", reason)]
    if memory.limit_mb and machine_memory_mb:
        why = f"{memory.document_bytes:.0f} bytes a document" if memory.document_bytes else "as measured"
        found.append(_limit("memory", memory.limit_mb, machine_memory_mb, "MB", why))
    if network_mbit is not None and measurement.answer_bytes:
        used = rate * measurement.answer_bytes * 8 / 1e6
        why = f"{measurement.answer_bytes:,} bytes a request with its answer"
        found.append(_limit("network", used, network_mbit, "Mbit/s", why))
    return tuple(sorted(found, key=lambda limit: -limit.share))


def _limit(name: str, used: float, available: float, unit: str, reason: str) -> Limit:
    return Limit(name, used, available, unit, used / available, reason)


def _find_bottleneck(measurement: Measurement, model: ServerModel, documents: int | None) -> tuple[str, str]:
    """Returns what keeps a server from answering more, and what says so."""
    top = model.max_per_second
    waits = _find_waits(measurement, documents)
    if waits is not None and waits[1] > WAITS * max(1.0, waits[0]):
        return "memory bandwidth", (
            f"with many clients, an answer takes {waits[1]:.2f} times the processor time that it takes alone, and "
            f"of the encoder {waits[0]:.2f} times: searches wait for memory"
        )
    if not model.processor_ms:
        return "throughput", "the measured server's processor time is unknown"
    busy = top * model.processor_ms / 1000
    part = busy / measurement.cores
    spent = f"{model.processor_ms:.3g} ms of a processor for an answer"
    if part < BUSY:
        return "the server's own threads", f"{spent}: at its most, it uses {busy:.2f} of {measurement.cores} cores"
    encoder = next((point.processor_ms for point in measurement.index_points if point.documents == 0), None)
    if encoder is None or encoder >= model.processor_ms:
        return "cores", spent
    search = 1 - encoder / model.processor_ms
    most = "most of it the search, which grows with the documents" if search > 0.5 else "most of it the encoder"
    return "cores", f"{spent}, {most} (search {search:.0%})"


def _find_waits(measurement: Measurement, documents: int | None) -> tuple[float, float] | None:
    """Returns the processor time of an answer with many clients over that with one: of encoder and nearest index."""
    points = measurement.index_points
    if len(points) < 2 or points[0].documents:
        return None
    asked = documents or measurement.documents or 0
    nearest = min(points[1:], key=lambda point: abs(point.documents - asked))
    if not all(point.processor_ms and point.busy_ms for point in (points[0], nearest)):
        return None
    return points[0].busy_ms / points[0].processor_ms, nearest.busy_ms / nearest.processor_ms
