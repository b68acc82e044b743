"""Matrices stored as 8-bit numbers, a quarter of the size, and converted to float32 when they are read."""

from collections.abc import Mapping
from typing import Literal

import numpy as np

WeightType = Literal["float32", "int8"]
SCALE = ".int8_scale"
LARGEST = 127  # symmetric: -128 is not used
ROWS_AT_A_TIME = 512  # so that intermediate results for a vocabulary stay in the processor's caches


def quantize_rows(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Quantizes a matrix to int8 numbers with a scale for each row: matrix ≈ numbers * scales[:, None].

    A row is a token's embedding or an output of a product. LiteRT's int8 products have a scale for each output too.

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
    """Quantizes matrices to int8, with their scales under a name of their own; vectors stay as they are."""
    stored: dict[str, np.ndarray] = {}
    for name, array in tensors.items():
        if array.ndim == 2:
            stored[name], stored[name + SCALE] = quantize_rows(array)
        else:
            stored[name] = array
    return stored


def dequantize(numbers: np.ndarray, scales: np.ndarray) -> np.ndarray:
    """Returns the stored matrix in float32."""
    matrix: np.ndarray = numbers.astype("float32") * scales[:, None]
    return matrix
