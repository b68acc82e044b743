"""Vectors in few bits: int8 numbers with a scale a vector, and signs packed eight a byte; NumPy alone."""

import numpy as np

WORDS = {8: np.uint64, 4: np.uint32, 2: np.uint16, 1: np.uint8}  # bytes → the type that compares so many at once


def to_int8(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rounds each vector to whole numbers of -127 to 127, as many steps as its largest value fits in.

    Args:
        vectors: float32 `(vectors, dim)`.

    Returns:
        int8 `(vectors, dim)` and float32 `(vectors,)`: vectors ≈ numbers * scales[:, None]. A zero vector has scale 0.
    """
    scales = (np.abs(vectors).max(axis=1, initial=0) / 127).astype("float32")
    steps = np.where(scales > 0, scales, 1)[:, None]
    return np.clip(np.rint(vectors / steps), -127, 127).astype("int8"), scales


def to_signs(vectors: np.ndarray) -> np.ndarray:
    """One bit a dimension: 1 where the value is above 0; the first dimension in the highest bit of the first byte.

    Args:
        vectors: float32 `(vectors, dim)`.

    Returns:
        uint8 `(vectors, ceil(dim / 8))`; bits beyond the last dimension are 0.

    Example:
        >>> to_signs(np.array([[0.5, -0.1, 0.0, 0.2]], dtype="float32"))
        array([[144]], dtype=uint8)
    """
    return np.packbits(vectors > 0, axis=1)


def from_signs(codes: np.ndarray, dim: int) -> np.ndarray:
    """Packed signs as 1 and -1, float32 `(vectors, dim)`."""
    bits = np.unpackbits(codes, axis=1, count=dim)
    return bits.astype("float32") * 2 - 1


def word_bytes(width: int) -> int:
    """How many bytes are compared at once: the most of 8, 4, 2 and 1 that a row of that many bytes divides into."""
    return next(size for size in WORDS if width % size == 0)


def hamming(queries: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """In how many bits two rows differ.

    Args:
        queries: uint8 `(queries, bytes)`.
        codes: uint8 `(vectors, bytes)`.

    Returns:
        int32 `(queries, vectors)`.
    """
    word = WORDS[word_bytes(codes.shape[1])]
    left, right = np.ascontiguousarray(queries).view(word), np.ascontiguousarray(codes).view(word)
    distances = np.zeros((len(queries), len(codes)), dtype="int32")
    for number in range(right.shape[1]):
        distances += np.bitwise_count(left[:, number, None] ^ right[None, :, number])
    return distances
