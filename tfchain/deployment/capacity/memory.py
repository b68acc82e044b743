"""The memory of a replica, by the number of documents."""

from dataclasses import dataclass

from tfchain.core.errors import InputError
from tfchain.deployment.capacity.measurement import Measurement


@dataclass(frozen=True)
class ReplicaMemory:
    """The memory of one server.

    Args:
        documents: The documents that it searches; None if it does not.
        ready_mb: What it holds when it is ready, in MB; 0 if unknown.
        limit_mb: The most that it was seen to hold, the documents' growth added, in MB; 0 if unknown.
        document_bytes: What a document adds, in bytes; 0 if unknown.
        reload_mb: The most while a new version of the same size is loaded beside the old one, in MB; 0 if unknown.
    """

    documents: int | None
    ready_mb: float
    limit_mb: float
    document_bytes: float
    reload_mb: float


def find_memory(measurement: Measurement, documents: int | None = None) -> ReplicaMemory:
    """Returns the memory of a replica: as measured, and a line through the measured sizes of the index.

    Args:
        measurement: The measurement.
        documents: The number of documents. Default: those of the measured version.

    Raises:
        InputError: if more documents are asked for, and nothing says what one takes.
    """
    here = measurement.documents
    documents = here if documents is None else documents
    if not measurement.memory_mb:
        return ReplicaMemory(documents, 0.0, 0.0, 0.0, 0.0)
    each = _find_document_mb(measurement)
    more = 0 if documents is None or here is None else documents - here
    if more and not each:
        raise InputError(
            f"What a document takes of memory is unknown: one size of the index was measured. Received: "
            f"documents={documents:,}. Measure a larger version as well.",
            argument="documents",
        )
    ready, limit = measurement.memory_mb + more * each, measurement.peak_memory_mb + more * each
    return ReplicaMemory(documents, max(0.0, ready), max(0.0, limit), 1e6 * each, ready + limit)


def _find_document_mb(measurement: Measurement) -> float:
    """Returns what a document adds: by two measured sizes, else by the size of its files; 0 if both are unknown."""
    sized = [(point.documents, point.memory_mb) for point in measurement.index_points if point.memory_mb is not None]
    if len(sized) > 1:
        (before, less), (last, most) = sized[-2:]
        return max(0.0, (most - less) / (last - before))
    return measurement.index_mb / measurement.documents if measurement.documents else 0.0
