"""Matrices as 8-bit numbers in a file: a quarter of the size, and float32 again when they are read."""

from collections.abc import Mapping
from typing import Literal

import numpy as np

WeightType = Literal["float32", "int8"]
SCALE = ".int8_scale"
LARGEST = 127  # symmetric: -128 is not used


def quantize_rows(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A matrix as int8 numbers with a scale for each row: matrix ≈ numbers * scales[:, None].

    A row is a token's embedding, or an output of a product, which is also what LiteRT's int8 products have a scale for.

    Args:
        matrix: `(rows, columns)`.

    Returns:
        int8 `(rows, columns)` and float32 `(rows,)`.
    """
    scales = np.abs(matrix).max(axis=1) / LARGEST
    safe = np.where(scales == 0, 1, scales)
    return np.rint(matrix / safe[:, None]).astype("int8"), scales.astype("float32")


def quantize_tensors(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Tensors to store: matrices become int8 and bring their scales under another name, vectors stay."""
    stored: dict[str, np.ndarray] = {}
    for name, array in tensors.items():
        if array.ndim == 2:
            stored[name], stored[name + SCALE] = quantize_rows(array)
        else:
            stored[name] = array
    return stored


def dequantize(numbers: np.ndarray, scales: np.ndarray) -> np.ndarray:
    """The matrix that was stored, float32."""
    matrix: np.ndarray = numbers.astype("float32") * scales[:, None]
    return matrix
