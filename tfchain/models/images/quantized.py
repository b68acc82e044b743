"""Towers whose matrices are stored in 8 bits: a column's numbers share a scale, and are computed with in float32."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

LEAST_NUMBERS = 1024  # smaller matrices stay in float32


def quantize(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rounds a matrix to 8 bits.

    Args:
        matrix: float32 `(rows, columns)`.

    Returns:
        int8 `(rows, columns)` and the columns' scales, float32 `(columns,)`.
    """
    scales = np.maximum(np.abs(matrix).max(axis=0), 1e-12).astype(np.float32) / np.float32(127)
    return np.rint(matrix / scales).astype(np.int8), scales


def quantize_towers(module: Any, towers: Sequence[Any]) -> Callable[[Any, Any], Any]:
    """Stores towers' weights in a module, large matrices in 8 bits.

    Args:
        module: A `tf.Module`, which gets the variables.
        towers: Keras models; they stay as they are.

    Returns:
        A function that calls a tower with an input, in a graph, with the module's weights.
    """
    import tensorflow as tf

    stored: dict[int, list[Any]] = {}
    module.numbers, module.scales = [], []
    for tower in towers:
        parts = stored.setdefault(id(tower), [])
        for weight in tower.weights:
            array = np.asarray(weight, np.float32)
            if array.ndim == 2 and array.size >= LEAST_NUMBERS:
                numbers, scales = quantize(array)
                variables = [tf.Variable(values, trainable=False) for values in (numbers, scales)]
                module.numbers.append(variables[0])
                module.scales.append(variables[1])
            else:
                variables = [tf.Variable(array, trainable=False)]
                module.numbers.append(variables[0])
            parts.append(variables)

    def call(tower: Any, inputs: Any) -> Any:
        weights = [
            tf.cast(variables[0], tf.float32) * variables[1]
            if len(variables) == 2
            else tf.convert_to_tensor(variables[0])
            for variables in stored[id(tower)]
        ]
        trainable = {id(weight): value for weight, value in zip(tower.weights, weights, strict=True)}
        outputs, _ = tower.stateless_call(
            [trainable[id(weight)] for weight in tower.trainable_variables],
            [trainable[id(weight)] for weight in tower.non_trainable_variables],
            inputs,
            training=False,
        )
        return outputs

    return call
