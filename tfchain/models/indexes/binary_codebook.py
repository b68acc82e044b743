"""A learned code of one bit per dimension: the meaning of the bits is fitted to the vectors.

A vector is approximated by `mean + matrix @ code`, where the code's numbers are 1 and -1. Plain signs are the special
case of a zero mean and a scaled identity. With a learned matrix, a query's scalar product with a coded vector is still
a product with signs: `query @ mean + (query @ matrix) @ code`, so the extra cost is per query only.

Matrix and codes are learned alternately, as in additive quantization with two entries per bit (Babenko and Lempitsky
2014, https://openaccess.thecvf.com/content_cvpr_2014/html/Babenko_Additive_Quantization_for_2014_CVPR_paper.html): the
matrix by least squares for fixed codes, the codes by coordinate descent for a fixed matrix.
"""

from dataclasses import dataclass

import numpy as np

from tfchain.core.progress import show_progress

VECTORS_A_BIT = 4  # fewer vectors per bit are too few to learn from
MOST_VECTORS_A_BIT = 16  # more do not improve the codebook
ROUNDS = 8
RIDGE = 0.01  # of the least squares, relative to a code's mean square
VARIANCE_KEPT = 0.98  # bits are spent only on the principal directions that hold this share of the variance
RELAXED_STEPS = 60
MOST_SWEEPS = 8
ROWS_IN_BLOCK = 4096


@dataclass(frozen=True)
class BinaryCodebook:
    """The vectors that the bits of a code represent.

    Args:
        mean: float32 `(dim,)`.
        matrix: float32 `(dim, bits)`, a column for each bit.
    """

    mean: np.ndarray
    matrix: np.ndarray

    def encode(self, vectors: np.ndarray) -> np.ndarray:
        """Returns the nearest codes, uint8 `(vectors, ceil(bits / 8))`, of vectors, float32 `(vectors, dim)`.

        The best real numbers between -1 and 1 are found first; then their signs are flipped one at a time, as long as
        the distance decreases.
        """
        packed = []
        with show_progress(len(vectors), "choosing bits") as advance:
            for start in range(0, len(vectors), ROWS_IN_BLOCK):
                centred = vectors[start : start + ROWS_IN_BLOCK] - self.mean
                codes = improve(centred, self.matrix, _relax(centred, self.matrix), MOST_SWEEPS)
                packed.append(np.packbits(codes > 0, axis=1))
                advance(len(centred))
        return np.concatenate([np.empty((0, -(-self.matrix.shape[1] // 8)), "uint8"), *packed])

    def project(self, queries: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns each query's factors of a code, float32 `(queries, bits)`, and its added term, `(queries, 1)`."""
        return queries @ self.matrix, (queries @ self.mean)[:, None]


def count_to_learn(dim: int) -> int:
    """Returns how many vectors to learn from: 16 per bit, and at least 4,096."""
    return max(ROWS_IN_BLOCK, MOST_VECTORS_A_BIT * dim)


def learn_codebook(vectors: np.ndarray) -> BinaryCodebook | None:
    """Fits a codebook with a bit for each dimension.

    Args:
        vectors: float32 `(vectors, dim)`; of more than `count_to_learn` vectors, an evenly spaced sample is used.

    Returns:
        The codebook; None if there are fewer than four different vectors per bit.
    """
    dim = vectors.shape[1]
    count = min(len(vectors), count_to_learn(dim))
    distinct = np.unique(vectors[np.arange(count) * len(vectors) // max(count, 1)], axis=0)
    if len(distinct) < VECTORS_A_BIT * dim:
        return None
    mean = distinct.mean(axis=0)
    centred = distinct - mean
    basis = _principal_basis(centred)  # (dim, kept)
    inside = centred @ basis
    # A tight frame, in which all bits have the same weight at first.
    frame = np.linalg.qr(np.random.default_rng(0).normal(size=(dim, dim)))[0][: basis.shape[1]].astype("float32")
    codes = to_ones(inside @ frame)
    step = np.sum(inside * (codes @ frame.T)) / np.sum(np.square(codes @ frame.T))
    matrix = (frame * step).astype("float32")
    with show_progress(ROUNDS, "fitting bits to vectors") as advance:
        for _ in range(ROUNDS):
            codes = improve(inside, matrix, codes, 2)
            moments = codes.T @ codes + RIDGE * len(codes) * np.eye(dim, dtype="float32")
            matrix = np.ascontiguousarray(np.linalg.solve(moments, codes.T @ inside).T)
            advance(1)
    return BinaryCodebook(mean.astype("float32"), (basis @ matrix).astype("float32"))


def improve(vectors: np.ndarray, matrix: np.ndarray, codes: np.ndarray, sweeps: int) -> np.ndarray:
    """Flips bits, one after the other, if that brings `matrix @ code` nearer to the vector.

    Args:
        vectors: float32 `(vectors, dim)`.
        matrix: float32 `(dim, bits)`.
        codes: 1 and -1, float32 `(vectors, bits)`.
        sweeps: The maximum number of passes over all bits.

    Returns:
        Codes of the same shape.
    """
    codes = codes.copy()
    products = matrix.T @ matrix  # (bits, bits)
    own = np.diag(products)
    residual = vectors @ matrix - codes @ products  # projected on each bit; updated with every flip
    for _ in range(sweeps):
        flipped = 0
        for bit in range(codes.shape[1]):
            column = codes[:, bit]
            rows = np.flatnonzero((residual[:, bit] + own[bit] * column) * column < 0)
            residual[rows] += (2 * column[rows])[:, None] * products[bit]
            column[rows] *= -1
            flipped += len(rows)
        if not flipped:
            break
    return codes


def to_ones(values: np.ndarray) -> np.ndarray:
    """Returns 1 where a value is above 0, else -1, float32."""
    return np.where(values > 0, np.float32(1), np.float32(-1))


def _relax(vectors: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Returns the signs of the nearest codes with numbers in [-1, 1], found by projected gradient descent."""
    products = matrix.T @ matrix
    target = vectors @ matrix
    rate = np.float32(1 / max(np.linalg.eigvalsh(products)[-1], 1e-12))
    numbers = np.clip(target / max(np.diag(products).mean(), 1e-12), -1, 1)
    for _ in range(RELAXED_STEPS):
        numbers = np.clip(numbers - rate * (numbers @ products - target), -1, 1)
    return to_ones(numbers)


def _principal_basis(centred: np.ndarray) -> np.ndarray:
    """Returns directions with 98 % of the variance, at least half of all, orthonormal, float32 `(dim, kept)`."""
    values, vectors = np.linalg.eigh(centred.T @ centred)
    share = np.cumsum(values[::-1]) / max(values.sum(), 1e-12)
    kept = max(int(np.searchsorted(share, VARIANCE_KEPT)) + 1, len(values) // 2)
    return np.ascontiguousarray(vectors[:, ::-1][:, :kept]).astype("float32")
