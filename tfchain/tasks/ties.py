"""Finds the places of a ranking that rounding could swap, so that a proof accepts either order."""

import numpy as np

from tfchain.core.proof import TOLERANCE


def find_ties(scores: np.ndarray, tolerance: float = TOLERANCE) -> np.ndarray:
    """Returns where a score equals its neighbour's up to rounding.

    Args:
        scores: `(texts, ranks)`, best first.
        tolerance: The largest rounding error, relative to the largest score if that is above 1. Default: float32's.

    Returns:
        Booleans of the same shape.
    """
    # Two correct scores may each be off by the tolerance.
    near = np.abs(np.diff(scores, axis=-1)) <= 2 * tolerance * max(1.0, float(np.abs(scores).max(initial=0)))
    edge = np.zeros((len(scores), 1), dtype=bool)
    return np.concatenate([edge, near], -1) | np.concatenate([near, edge], -1)
