"""The weights of an encoder that is a Keras model, by path, as the products compute with them."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np


class KerasWeights(Mapping[str, np.ndarray]):
    """Path → float32 array, read when it is asked for.

    Args:
        encoder: An `Encoder`. What LoRA adds to a product's kernel is in it.
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

    def __iter__(self) -> Iterator[str]:
        return iter(self._variables)

    def __len__(self) -> int:
        return len(self._variables)
