"""The file with TensorFlow Serving's batching parameters, made from a version's measurement."""

import dataclasses
from typing import TYPE_CHECKING

from tfchain.core.errors import InputError
from tfchain.core.signatures import SEARCH_FILTERED
from tfchain.deployment.targets.measured import describe_measurement, find_batching
from tfchain.deployment.targets.served_version import ServedVersion

if TYPE_CHECKING:
    from tfchain.deployment.capacity.measurement import Measurement


def make_batching_file(version: ServedVersion, measurement: "Measurement | None") -> str:
    """Makes the file for `--batching_parameters_file`.

    Args:
        version: The version.
        measurement: Its measurement with TensorFlow.

    Returns:
        The parameters in protobuf's text format; empty if no batch answers a tenth more than texts alone.

    Raises:
        InputError: if there is no measurement, or a signature cannot be batched.
    """
    unbatched = [name for name in version.signatures if name.startswith(SEARCH_FILTERED)]
    if unbatched:
        raise InputError(
            f"`batching` makes the signature {unbatched[0]!r} of {version.path} fail, since its inputs do not share a "
            "first dimension. Leave batching out, or take server=own, which batches texts by itself.",
            argument="batching",
        )
    if measurement is None:
        raise InputError(
            f"`batching` needs a measurement of {version.path} with the engine tensorflow. "
            "`tfchain plan --measure --engine tensorflow` makes one.",
            argument="batching",
        )
    settings = find_batching(dataclasses.replace(version, measurement=measurement))
    return f"# {describe_measurement(measurement)}\n{settings.to_text()}" if settings is not None else ""
