"""Maximum mean discrepancy: how far apart two sets of vectors lie, and whether chance explains it."""

from dataclasses import dataclass

import numpy as np

from tfchain.core.checks import check_whole_number
from tfchain.core.errors import InputError

MOST_FOR_BANDWIDTH = 1000  # vectors whose distances are looked at
BLOCK_ROWS = 1024  # of the kernel, held at once


@dataclass(frozen=True)
class Discrepancy:
    """How far apart two sets of vectors lie.

    Args:
        value: The unbiased estimate of the squared maximum mean discrepancy: 0 on average for equal distributions, so
            it may be below 0; at most 2.
        p_value: How often sets drawn from one distribution are at least that far apart.
        bandwidth: The width of the kernel.
    """

    value: float
    p_value: float
    bandwidth: float


def find_bandwidth(vectors: np.ndarray, *, seed: int = 0) -> float:
    """Returns the median distance between vectors, the usual width of the kernel (Gretton et al. 2012).

    Args:
        vectors: `(n, dim)`; a thousand of them are looked at.
        seed: Of the choice of these. Default: 0.

    Raises:
        InputError: if there are fewer than two vectors.
    """
    vectors = check_vectors("vectors", vectors)
    if len(vectors) > MOST_FOR_BANDWIDTH:
        chosen = np.random.default_rng(seed).choice(len(vectors), MOST_FOR_BANDWIDTH, replace=False)
        vectors = vectors[chosen]
    squares = _square_distances(vectors, vectors)
    median = float(np.sqrt(np.median(squares[np.triu_indices(len(vectors), 1)])))
    return median if median > 0 else 1.0  # most of them are the same vector: any width tells the others apart


def make_kernel(first: np.ndarray, second: np.ndarray, bandwidth: float) -> np.ndarray:
    """Returns the Gaussian kernel `exp(-‖x - y‖² / (2 bandwidth²))` of each pair, float32 `(n, m)`."""
    squares = _square_distances(first.astype(np.float32, copy=False), second.astype(np.float32, copy=False))
    squares *= -1 / (2 * bandwidth**2)
    return np.exp(squares, out=squares)


def mean_discrepancy(
    first: np.ndarray,
    second: np.ndarray,
    *,
    bandwidth: float | None = None,
    num_permutations: int = 500,
    seed: int = 0,
) -> Discrepancy:
    """Compares two sets of vectors by their maximum mean discrepancy, with a permutation test.

    The estimate is the unbiased one of Gretton et al. 2012 ("A kernel two-sample test", JMLR 13). For the test the
    vectors are dealt out anew again and again. The kernel is computed block by block and thrown away, so memory grows
    with the number of vectors, not with its square.

    Args:
        first: Vectors, `(n, dim)`, at least two.
        second: Vectors, `(m, dim)`, at least two.
        bandwidth: The width of the kernel. Default: the median distance between all vectors.
        num_permutations: How often the vectors are dealt out anew. Default: 500.
        seed: Of the permutations. Default: 0.

    Raises:
        InputError: if an argument is out of range.
    """
    first, second = check_vectors("first", first), check_vectors("second", second)
    if first.shape[1] != second.shape[1]:
        raise InputError(
            f"Both sets must have vectors of one width. Received: {first.shape[1]} and {second.shape[1]}. "
            "Compare vectors of one model."
        )
    num_permutations = check_whole_number("num_permutations", num_permutations)
    if len(second) < len(first):
        first, second = second, first
    vectors = np.concatenate([first, second])
    width = bandwidth if bandwidth is not None else find_bandwidth(vectors, seed=seed)
    if not width > 0:
        raise InputError(f"`bandwidth` must be above 0. Received: bandwidth={bandwidth!r}.")
    generator = np.random.default_rng(seed)
    members = np.zeros((num_permutations + 1, len(vectors)), np.float32)  # the first row: as they were given
    members[0, : len(first)] = 1
    for row in members[1:]:
        row[generator.permutation(len(vectors))[: len(first)]] = 1
    values = _estimate(vectors, members, len(first), width)
    p_value = (1 + int((values[1:] >= values[0]).sum())) / (1 + num_permutations)
    return Discrepancy(float(values[0]), p_value, float(width))


def _estimate(vectors: np.ndarray, members: np.ndarray, size: int, bandwidth: float) -> np.ndarray:
    """Returns the unbiased estimate for each division of the vectors; `members` `(divisions, n)` has 1 for the first.

    With the kernel `K` and a division's `z`, all that counts is `zᵀKz`, `zᵀK1` and `1ᵀK1`. A constant taken off `K`
    cancels out, and leaves small numbers to add up.
    """
    count = len(vectors)
    within = np.zeros(len(members))  # zᵀKz
    row_sums = np.zeros(count)
    diagonal = 1.0
    shift = float(make_kernel(vectors[:1], vectors, bandwidth).mean())
    for start in range(0, count, BLOCK_ROWS):
        block = make_kernel(vectors[start : start + BLOCK_ROWS], vectors, bandwidth)
        block -= shift
        row_sums[start : start + BLOCK_ROWS] = block.sum(axis=1, dtype=np.float64)
        products = members @ block.T  # (divisions, rows)
        products *= members[:, start : start + BLOCK_ROWS]
        within += products.sum(axis=1, dtype=np.float64)
    diagonal -= shift
    rest = count - size
    marginal = members.astype(np.float64) @ row_sums  # zᵀK1
    between = marginal - within
    other = row_sums.sum() - 2 * marginal + within
    return (
        (within - size * diagonal) / (size * (size - 1))
        + (other - rest * diagonal) / (rest * (rest - 1))
        - 2 * between / (size * rest)
    )


def check_vectors(name: str, vectors: np.ndarray) -> np.ndarray:
    """Returns vectors in float32.

    Raises:
        InputError: if they are not two or more rows of finite numbers.
    """
    array = np.asarray(vectors)
    if array.ndim != 2 or len(array) < 2 or not array.shape[1] or array.dtype.kind not in "fiu":
        raise InputError(
            f"`{name}` must be two or more vectors, an array (vectors, dim). Received: an array of the shape "
            f"{array.shape}. Collect more of them.",
            argument=name,
        )
    array = array.astype(np.float32, copy=False)
    if not np.isfinite(array).all():
        row = int(np.flatnonzero(~np.isfinite(array).all(axis=1))[0])
        raise InputError(f"`{name}` must be finite. Received: a vector {row} that is not.", argument=name)
    return array


def _square_distances(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    squares = first @ second.T
    squares *= -2
    squares += np.einsum("nd,nd->n", first, first)[:, None]
    squares += np.einsum("nd,nd->n", second, second)[None, :]
    return np.maximum(squares, 0, out=squares)
