"""One measurement made of those of two versions that differ in their documents: the curve over the index's size."""

from dataclasses import replace

from tfchain.core.errors import InputError
from tfchain.deployment.capacity.measurement import Measurement


def join_sizes(measurement: Measurement, other: Measurement) -> Measurement:
    """Adds another version's size of the index to a measurement.

    Args:
        measurement: The measurement that the plan is made from.
        other: That of a version of the same model with another number of documents, on the same machine.

    Returns:
        The measurement with the sizes of both.

    Raises:
        InputError: if the two were measured in different places, or with the same number of documents.
    """
    for name, value, other_value in (
        ("processor", measurement.processor, other.processor),
        ("cores", measurement.cores, other.cores),
        ("engine", measurement.engine, other.engine),
        ("signature", measurement.signature, other.signature),
    ):
        if value != other_value:
            raise InputError(
                f"Two sizes of an index must be measured with the same {name}. Received: {value!r} and "
                f"{other_value!r}. Measure both again."
            )
    if not measurement.documents or not other.documents or measurement.documents == other.documents:
        raise InputError(
            f"Two sizes of an index must be different. Received: {measurement.documents} and {other.documents} "
            "documents. Name a version of the same model with more of them."
        )
    points = {point.documents: point for point in (*other.index_points, *measurement.index_points)}
    return replace(measurement, index_points=tuple(points[count] for count in sorted(points)))
