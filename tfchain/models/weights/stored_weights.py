"""Matrices as 8-bit numbers in a file: a quarter of the size, and float32 again when they are read."""

from collections.abc import Mapping
from typing import Literal

import numpy as np

WeightType = Literal["float32", "int8"]
SCALE = ".int8_scale"
LARGEST = 127  # symmetric: -128 is not used
ROWS_AT_A_TIME = 512  # what is computed on the way to a vocabulary's 8-bit numbers stays in the processor's caches


def quantize_rows(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A matrix as int8 numbers with a scale for each row: matrix ≈ numbers * scales[:, None].

    A row is a token's embedding, or an output of a product, which is also what LiteRT's int8 products have a scale for.

    Args:
        matrix: `(rows, columns)`.

    Returns:
        int8 `(rows, columns)` and float32 `(rows,)`.
    """
    numbers, scales = np.empty(matrix.shape, dtype="int8"), np.empty(len(matrix), dtype="float32")
    for start in range(0, len(matrix), ROWS_AT_A_TIME):
        rows = matrix[start : start + ROWS_AT_A_TIME]
        part = np.abs(rows).max(axis=1) / LARGEST
        scales[start : start + ROWS_AT_A_TIME] = part
        numbers[start : start + ROWS_AT_A_TIME] = np.rint(rows / np.where(part == 0, 1, part)[:, None])
    return numbers, scales


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
