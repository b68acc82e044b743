"""A servable that answers with given arrays."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tfchain.deployment.server.servables.dtypes import BY_NUMPY, DT_STRING
from tfchain.deployment.server.servables.servable import Signature, TensorSpec


class FakeServable:
    """Answers each tensor with a given array, and remembers what was asked.

    Args:
        signatures: Signature → output → name of its tensor in the graph.
        tensors: Name of a tensor → its value.
    """

    def __init__(self, signatures: Mapping[str, Mapping[str, str]], tensors: Mapping[str, np.ndarray]) -> None:
        self.tensors = tensors
        self.calls: list[tuple[Signature, list[bytes], list[str], int | None]] = []
        self.signatures = {
            name: Signature(
                name,
                {"inputs": TensorSpec("examples:0", DT_STRING)},
                {
                    alias: TensorSpec(tensor, BY_NUMPY[tensors[tensor].dtype].number)
                    for alias, tensor in outputs.items()
                },
            )
            for name, outputs in signatures.items()
        }
        self.signature_defs: Mapping[str, Any] = {}

    def run(
        self,
        signature: Signature,
        inputs: Mapping[str, np.ndarray],
        outputs: Sequence[str],
        timeout_ms: int | None = None,
    ) -> list[np.ndarray]:
        self.calls.append((signature, inputs["inputs"].tolist(), list(outputs), timeout_ms))
        return [self.tensors[signature.outputs[name].tensor_name] for name in outputs]

    def close(self) -> None:
        pass
