"""A learned code of one bit a dimension: what bits stand for is fitted to the vectors, and bits are chosen to fit best.

A vector is taken as `mean + matrix @ code`, the code's numbers being 1 and -1. Plain signs are the special case of a
zero mean and a scaled identity. With a learned matrix a query's scalar product with a coded vector is still one with
signs: `query @ mean + (query @ matrix) @ code`, so only the query pays for it.

Learned by turns, as in additive quantization with two entries a bit (Babenko and Lempitsky 2014,
https://openaccess.thecvf.com/content_cvpr_2014/html/Babenko_Additive_Quantization_for_2014_CVPR_paper.html): the matrix
by least squares on the codes, the codes by coordinate descent on the matrix.
"""

from dataclasses import dataclass

import numpy as np

from tfchain.core.progress import show_progress

VECTORS_A_BIT = 4  # fewer vectors than so many a bit do not show what a bit should stand for
MOST_VECTORS_A_BIT = 16  # more do not show it better
ROUNDS = 8
RIDGE = 0.01  # of the least squares, relative to a code's mean square
VARIANCE_KEPT = 0.98  # what lies outside of the principal directions that hold it is not worth bits
RELAXED_STEPS = 60
MOST_SWEEPS = 8
ROWS_IN_BLOCK = 4096


@dataclass(frozen=True)
class BinaryCodebook:
    """What the bits of a code stand for.

    Args:
        mean: float32 `(dim,)`.
        matrix: float32 `(dim, bits)`, a column for each bit.
    """

    mean: np.ndarray
    matrix: np.ndarray

    def encode(self, vectors: np.ndarray) -> np.ndarray:
        """The bits whose vectors are nearest; float32 `(vectors, dim)` to uint8 `(vectors, ceil(bits / 8))`.

        The best real numbers between -1 and 1 are found first; their signs are then mended one at a time, as long as
        the distance falls.
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
        """What multiplies codes for the queries, float32 `(queries, bits)`, and what is added, `(queries, 1)`."""
        return queries @ self.matrix, (queries @ self.mean)[:, None]


def count_to_learn(dim: int) -> int:
    """How many vectors show best what bits should stand for: 16 a bit, and at least 4,096."""
    return max(ROWS_IN_BLOCK, MOST_VECTORS_A_BIT * dim)


def learn_codebook(vectors: np.ndarray) -> BinaryCodebook | None:
    """Fits a codebook of as many bits as dimensions.

    Args:
        vectors: float32 `(vectors, dim)`; of more than `count_to_learn`, so many at equal distances are looked at.

    Returns:
        The codebook; None if there are fewer than four different vectors a bit.
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
    # A tight frame, in which every bit stands for as much at first.
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
    """Turns bits over, one after the other, where that brings `matrix @ code` nearer to the vector.

    Args:
        vectors: float32 `(vectors, dim)`.
        matrix: float32 `(dim, bits)`.
        codes: 1 and -1, float32 `(vectors, bits)`.
        sweeps: How often at most all bits are looked at.

    Returns:
        Codes of the same shape.
    """
    codes = codes.copy()
    products = matrix.T @ matrix  # (bits, bits)
    own = np.diag(products)
    wanted = vectors @ matrix - codes @ products  # what is left over, seen by each bit; kept up to date
    for _ in range(sweeps):
        turned = 0
        for bit in range(codes.shape[1]):
            column = codes[:, bit]
            rows = np.flatnonzero((wanted[:, bit] + own[bit] * column) * column < 0)
            wanted[rows] += (2 * column[rows])[:, None] * products[bit]
            column[rows] *= -1
            turned += len(rows)
        if not turned:
            break
    return codes


def to_ones(values: np.ndarray) -> np.ndarray:
    """1 where a value is above 0, else -1, float32."""
    return np.where(values > 0, np.float32(1), np.float32(-1))


def _relax(vectors: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """The signs of the numbers in [-1, 1] whose product with the matrix is nearest: projected gradient descent."""
    products = matrix.T @ matrix
    target = vectors @ matrix
    rate = np.float32(1 / max(np.linalg.eigvalsh(products)[-1], 1e-12))
    numbers = np.clip(target / max(np.diag(products).mean(), 1e-12), -1, 1)
    for _ in range(RELAXED_STEPS):
        numbers = np.clip(numbers - rate * (numbers @ products - target), -1, 1)
    return to_ones(numbers)


def _principal_basis(centred: np.ndarray) -> np.ndarray:
    """Orthonormal directions that hold 98 % of the variance, at least half of all, float32 `(dim, kept)`."""
    values, vectors = np.linalg.eigh(centred.T @ centred)
    share = np.cumsum(values[::-1]) / max(values.sum(), 1e-12)
    kept = max(int(np.searchsorted(share, VARIANCE_KEPT)) + 1, len(values) // 2)
    return np.ascontiguousarray(vectors[:, ::-1][:, :kept]).astype("float32")
