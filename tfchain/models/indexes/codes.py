"""Vectors in few bits, with NumPy only: int8 numbers with a scale per vector, and signs packed eight to a byte."""

import numpy as np

WORDS = {8: np.uint64, 4: np.uint32, 2: np.uint16, 1: np.uint8}  # bytes → the type that compares that many at once


def to_int8(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rounds each vector to whole numbers from -127 to 127, with its largest absolute value at 127.

    Args:
        vectors: float32 `(vectors, dim)`.

    Returns:
        int8 numbers `(vectors, dim)` and float32 scales `(vectors,)`: vectors ≈ numbers * scales[:, None]. The scale of
        a zero vector is 0.
    """
    scales = (np.abs(vectors).max(axis=1, initial=0) / 127).astype("float32")
    steps = np.where(scales > 0, scales, 1)[:, None]
    return np.clip(np.rint(vectors / steps), -127, 127).astype("int8"), scales


def to_signs(vectors: np.ndarray) -> np.ndarray:
    """Packs signs into bits: 1 where a value is above 0; the first dimension is the highest bit of the first byte.

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
    """Unpacks signs to 1 and -1, float32 `(vectors, dim)`."""
    bits = np.unpackbits(codes, axis=1, count=dim)
    return bits.astype("float32") * 2 - 1


def word_bytes(width: int) -> int:
    """Returns how many bytes to compare at once: the largest of 8, 4, 2 and 1 that divides the width of a row."""
    return next(size for size in WORDS if width % size == 0)


def hamming(queries: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Returns the number of bits in which two rows differ.

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
