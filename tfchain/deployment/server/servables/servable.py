"""Servables, which the manager holds and the protocols call: a loaded model, and its signatures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """An input or output of a signature.

    Args:
        tensor_name: The tensor in the graph, such as `serving_default_x:0`.
        dtype: The data type's number.
        composite: What it is if it has several tensors in the graph, such as `sparse tensor`, and empty otherwise.
            Requests cannot contain those.
    """

    tensor_name: str
    dtype: int
    composite: str = ""


@dataclass(frozen=True, slots=True)
class Signature:
    """A function of a model.

    Args:
        name: The key in the SavedModel.
        inputs: The inputs by name, sorted.
        outputs: The outputs by name, sorted.
        defaults: Values for inputs that a gRPC request leaves out; None for a value that cannot be read.
        method_name: TensorFlow Serving's method in the SavedModel; None if requests are not checked for it.
    """

    name: str
    inputs: Mapping[str, TensorSpec]
    outputs: Mapping[str, TensorSpec]
    defaults: Mapping[str, np.ndarray | None] = field(default_factory=dict)
    method_name: str | None = None


class Servable(Protocol):
    """A loaded version of a model."""

    @property
    def signatures(self) -> Mapping[str, Signature]:
        """The model's functions by name."""

    @property
    def signature_defs(self) -> Mapping[str, Any]:
        """The functions as `SignatureDef` protos, for metadata."""

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
            outputs: The names of the outputs to compute; others are not computed.
            timeout_ms: The time limit of the run; None for no limit.

        Returns:
            The outputs' values, in the order of `outputs`; strings as bytes in object arrays.

        Raises:
            StatusError: if the run fails.
        """

    def close(self) -> None:
        """Frees the model's resources."""


class WrappedServable:
    """Passes on what a servable around another does not change; the base of such servables.

    Args:
        servable: The other one, which `close` closes.
    """

    def __init__(self, servable: Servable) -> None:
        self._servable = servable

    @property
    def signatures(self) -> Mapping[str, Signature]:
        """The model's functions by name."""
        return self._servable.signatures

    @property
    def signature_defs(self) -> Mapping[str, Any]:
        """The functions as `SignatureDef` protos, for metadata."""
        return self._servable.signature_defs

    @property
    def is_worth_batching(self) -> bool:
        """Whether the server should join the texts of several clients: as the other one says; if it doesn't, yes."""
        return bool(getattr(self._servable, "is_worth_batching", True))

    @property
    def num_engines(self) -> int:
        """How many batches of several clients may run at the same time: as the other one says; if it doesn't, one."""
        return int(getattr(self._servable, "num_engines", 1))

    def close(self) -> None:
        """Frees the model's resources."""
        self._servable.close()
