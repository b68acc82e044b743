"""The weights of a Keras encoder by path, as its products compute with them."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np


class KerasWeights(Mapping[str, np.ndarray]):
    """A mapping from path to float32 array; arrays are read on access.

    Args:
        encoder: An `Encoder`. A kernel with LoRA includes the LoRA update.
    """

    def __init__(self, encoder: Any) -> None:
        self.config = encoder.config
        self._variables = {weight.path: weight for weight in encoder.weights}
        self._products = {
            f"{layer.path}/kernel": layer
            for layer in encoder._flatten_layers(include_self=False)
            if getattr(layer, "lora_enabled", False)
        }

    def __getitem__(self, path: str) -> np.ndarray:
        layer = self._products.get(path)
        return np.asarray(self._variables[path] if layer is None else layer.kernel, dtype="float32")

    def __contains__(self, path: object) -> bool:
        return path in self._variables

    def __iter__(self) -> Iterator[str]:
        return iter(self._variables)

    def __len__(self) -> int:
        return len(self._variables)
