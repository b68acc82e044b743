"""Writes vectors as JSON or base64, so that clients read back the same float32."""

import binascii

import numpy as np


def write_vectors(vectors: np.ndarray) -> list[str]:
    """Returns each vector as a JSON array: nine digits give back any float32.

    A format for a whole row takes less than half of the time that `json.dumps` takes, and writes fewer digits.

    Args:
        vectors: float32 `(texts, dim)`, finite.
    """
    form = "[" + ",".join(["%.9g"] * vectors.shape[1]) + "]"
    return [form % tuple(row) for row in vectors.tolist()]


def write_base64(vectors: np.ndarray) -> list[str]:
    """Returns each vector as a JSON string: base64 of its float32, little-endian."""
    rows = np.ascontiguousarray(vectors, "<f4")
    return [f'"{binascii.b2a_base64(row.tobytes(), newline=False).decode()}"' for row in rows]
