"""The weight matrices that recipes work on: the kernels of the encoder's products, found by their layers' paths."""

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from typing import Any

import keras

from tfchain.core.errors import InputError

PRODUCTS = (keras.layers.Dense, keras.layers.EinsumDense)
TABLES = (keras.layers.Embedding,)


@dataclass(frozen=True)
class Matrix:
    """A weight matrix of a layer.

    Args:
        path: The layer's path, such as `layer_0/attention/output`.
        layer: The layer.
        variable: The Keras variable, `(inputs, outputs)` of a Dense layer.
    """

    path: str
    layer: keras.layers.Layer
    variable: Any


def find_matrices(
    encoder: keras.Model, patterns: Sequence[str] = (), *, recipe: str, kinds: tuple[type[Any], ...] | None = None
) -> list[Matrix]:
    """Finds matrices, in the order of their layers' paths: equal models have the same order.

    Args:
        encoder: Any Keras model.
        patterns: Patterns of layer paths, as `fnmatch` reads them; a pattern that fits a layer takes all layers in it.
            Default: all products, and no embedding.
        recipe: The caller's name, for the error.
        kinds: Classes of layers. Default: products, and embeddings if patterns are given.

    Raises:
        InputError: if there are no such layers, or a pattern matches none.
    """
    if kinds is None:
        kinds = (*PRODUCTS, *TABLES) if patterns else PRODUCTS
    found = {id(layer): layer for layer in encoder._flatten_layers() if isinstance(layer, kinds)}
    every = sorted(((layer.path or layer.name, layer) for layer in found.values()), key=lambda item: item[0])
    if not every:
        raise InputError(f"{recipe} needs a model with products (Dense layers). Received: none. Leave it out.")
    for pattern in patterns:
        if not any(_fits(path, pattern) for path, _ in every):
            raise InputError(
                f"`layers` of {recipe} must match layers. Received: {pattern!r}, which matches none. There are: "
                f"{', '.join(path for path, _ in every)}."
            )
    chosen = [item for item in every if not patterns or any(_fits(item[0], pattern) for pattern in patterns)]
    return [Matrix(path, layer, _weights(layer)) for path, layer in chosen]


def _fits(path: str, pattern: str) -> bool:
    """Whether the path, a beginning of it or the end of such a beginning fits."""
    parts = path.split("/")
    beginnings = ["/".join(parts[: number + 1]) for number in range(len(parts))]
    return any(fnmatch(beginning, pattern) or fnmatch(beginning, f"*/{pattern}") for beginning in beginnings)


def _weights(layer: keras.layers.Layer) -> Any:
    # Not `kernel`, which is cast to the layer's compute dtype, and includes LoRA's addition.
    return layer._embeddings if isinstance(layer, TABLES) else layer._kernel
