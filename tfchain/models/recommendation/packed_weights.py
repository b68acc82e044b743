"""A tower's weights in fewer bits: what is kept of each, and what is computed with."""

from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np

from tfchain.core.errors import InputError
from tfchain.models.precision import Precision

LEAST_SIZE = 64  # smaller weights, such as biases and norms, stay in float32
TABLE = "embeddings"  # the end of the path of a weight whose rows are looked up; other weights are multiplied


@dataclass(frozen=True)
class PackedWeight:
    """A weight in a precision.

    Args:
        values: The numbers that are kept.
        scales: What they are multiplied by, for int8, float32, of a shape that broadcasts; None for floats.
    """

    values: np.ndarray
    scales: np.ndarray | None = None

    @property
    def nbytes(self) -> int:
        """The memory of the numbers."""
        return self.values.nbytes + (0 if self.scales is None else self.scales.nbytes)

    def to_float(self) -> np.ndarray:
        """Returns the weight that is computed with, float32."""
        values = self.values.astype("float32")
        return values if self.scales is None else values * self.scales

    def to_tensor(self, module: Any, name: str) -> Any:
        """Puts the numbers into a `tf.Module` as variables, and returns a function to the float32 tensor."""
        import tensorflow as tf

        values = tf.Variable(self.values, trainable=False, name=name)
        setattr(module, f"{name}_values", values)
        if self.scales is None:
            return lambda: tf.cast(values, tf.float32)
        scales = tf.Variable(self.scales, trainable=False, name=f"{name}_scales")
        setattr(module, f"{name}_scales", scales)
        return lambda: tf.cast(values, tf.float32) * scales


def pack_weight(path: str, weight: np.ndarray, precision: Precision) -> PackedWeight:
    """Returns a weight in a precision: in int8 with a scale for each row of a table, and each column of a product.

    Args:
        path: The weight's path in its model, which tells tables from products.
        weight: float32.
        precision: The precision. Small weights stay in float32.

    Raises:
        InputError: if the precision is unknown.
    """
    if precision == "float32" or weight.ndim < 2 or weight.size < LEAST_SIZE:
        return PackedWeight(weight)
    if precision in ("float16", "bfloat16"):
        return PackedWeight(weight.astype(np.float16 if precision == "float16" else ml_dtypes.bfloat16))
    if precision != "int8":
        raise InputError(f"`precision` must be float32, float16, bfloat16 or int8. Received: {precision!r}.")
    axis = -1 if path.endswith(TABLE) else tuple(range(weight.ndim - 1))
    largest = np.abs(weight).max(axis=axis, keepdims=True)
    scales = np.maximum(largest, 1e-12).astype("float32") / np.float32(127)
    return PackedWeight(np.rint(weight / scales).astype("int8"), scales)
