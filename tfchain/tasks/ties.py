"""Which places of a ranking could be swapped by rounding, so that a proof accepts either order."""

import numpy as np

from tfchain.core.proof import TOLERANCE


def find_ties(scores: np.ndarray, tolerance: float = TOLERANCE) -> np.ndarray:
    """Where a score is its neighbour's but for rounding.

    Args:
        scores: `(texts, ranks)`, best first.
        tolerance: What rounding may change, relative to the largest score where that is above 1. Default: float32's.

    Returns:
        Booleans of the same shape.
    """
    # Two correct scores may each be off by the tolerance.
    near = np.abs(np.diff(scores, axis=-1)) <= 2 * tolerance * max(1.0, float(np.abs(scores).max(initial=0)))
    edge = np.zeros((len(scores), 1), dtype=bool)
    return np.concatenate([edge, near], -1) | np.concatenate([near, edge], -1)
