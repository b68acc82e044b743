"""What the manager holds and the protocols talk to: a loaded model, and its signatures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One input or output of a signature.

    Args:
        tensor_name: The tensor in the graph, such as `serving_default_x:0`.
        dtype: Its data type's number.
    """

    tensor_name: str
    dtype: int


@dataclass(frozen=True, slots=True)
class Signature:
    """A function that a model offers.

    Args:
        name: Its key in the SavedModel.
        inputs: The inputs by their names on the wire, sorted.
        outputs: The outputs by their names on the wire, sorted.
        defaults: Values for inputs that a gRPC request leaves out.
    """

    name: str
    inputs: Mapping[str, TensorSpec]
    outputs: Mapping[str, TensorSpec]
    defaults: Mapping[str, np.ndarray] = field(default_factory=dict)


class Servable(Protocol):
    """One loaded version of a model."""

    @property
    def signatures(self) -> Mapping[str, Signature]:
        """The functions that the model offers."""

    @property
    def signature_defs(self) -> Mapping[str, Any]:
        """The same as `SignatureDef` protos, for metadata."""

    def run(
        self,
        signature: Signature,
        inputs: Mapping[str, np.ndarray],
        outputs: Sequence[str],
        timeout_ms: int | None = None,
    ) -> list[np.ndarray]:
        """Runs a signature.

        Args:
            signature: One of `signatures`.
            inputs: A value for each of the signature's inputs.
            outputs: Names of the outputs that are wanted; the rest is not computed.
            timeout_ms: How long the run may take; None for no limit.

        Returns:
            The outputs' values, in the order of `outputs`; strings as bytes in object arrays.

        Raises:
            StatusError: if the run fails.
        """

    def close(self) -> None:
        """Frees what the model holds."""
