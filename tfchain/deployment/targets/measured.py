"""What a target takes from a version's measurement for batching, and what batching breaks."""

from typing import TYPE_CHECKING

from tfchain.core.signatures import SEARCH_FILTERED
from tfchain.deployment.targets.platform_values import to_comment
from tfchain.deployment.targets.served_version import ServedVersion

if TYPE_CHECKING:
    from tfchain.deployment.capacity.batch_settings import BatchSettings
    from tfchain.deployment.capacity.measurement import Measurement

ROOM = 10.0  # times the 99th percentile of a text alone: the time for an answer, if the user names none
LONG = 90  # the percentile of a text's length that a full batch is sized for


def find_batching(version: ServedVersion, p99_ms: float | None = None) -> "BatchSettings | None":
    """Returns the batching of TensorFlow Serving that suits a measured version.

    Args:
        version: The version.
        p99_ms: The time in which 99 of 100 requests are to be answered. Default: ten times what they take alone.

    Returns:
        The settings; None without a measurement, or if no batch is worth it.
    """
    from tfchain.deployment.capacity.batch_settings import choose_batch_settings

    if version.measurement is None:
        return None
    alone = version.measurement.batch_latencies[0].p99_ms
    return choose_batch_settings(version.measurement, p99_ms or ROOM * alone)


def find_batch_tokens(batching: "BatchSettings", measurement: "Measurement") -> int | None:
    """Returns the most tokens in a batch of texts for the embedded server; None if lengths were not measured.

    The server pads a batch to its longest text: a full batch of the length that nine in ten texts do not exceed, and at
    least the longest text.
    """
    lengths = measurement.token_lengths
    if not lengths:
        return None
    percentile = min(lengths, key=lambda percent: (percent < LONG, abs(percent - LONG)))
    return max(batching.max_batch_size * lengths[percentile], *lengths.values())


def describe_measurement(measurement: "Measurement") -> str:
    """Returns one line on where the numbers come from, for a comment."""
    return (
        f"Measured on {to_comment(measurement.measured_on[:10])}: {to_comment(measurement.processor)}, "
        f"{measurement.cores} cores, engine {to_comment(measurement.engine)}."
    )


def list_unbatched(version: ServedVersion) -> tuple[str, ...]:
    """Returns what TensorFlow Serving's batching breaks, as lines: inputs that do not share a first dimension."""
    return tuple(
        f"{name} fails while requests are batched, since its inputs do not share a first dimension: "
        "--set batching=false if clients ask it."
        for name in version.signatures
        if name.startswith(SEARCH_FILTERED)
    )
