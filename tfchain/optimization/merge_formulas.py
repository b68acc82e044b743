"""Formulas that merge one tensor of several models: linear, spherical, and TIES."""

from collections.abc import Sequence

import numpy as np

COLINEAR = 0.9995  # above it, the angle is too small to divide by its sine


def merge_linear(tensors: Sequence[np.ndarray], weights: Sequence[float]) -> np.ndarray:
    """The weighted mean.

    Args:
        tensors: One of each model, of one shape.
        weights: One for each tensor; only their ratios count.

    Returns:
        float32, of the same shape.
    """
    total = np.zeros(tensors[0].shape)
    for tensor, weight in zip(tensors, weights, strict=True):
        total += weight / sum(weights) * tensor
    return total.astype("float32")


def merge_slerp(first: np.ndarray, second: np.ndarray, share: float) -> np.ndarray:
    """A point on the arc between two tensors, taken as vectors (Shoemake 1985).

    `sin((1 - t) angle) / sin(angle) * first + sin(t angle) / sin(angle) * second`, with the angle between the two. The
    straight line is taken where the arc is one: for tensors that nearly point the same way or the opposite way, or
    are zero.

    Args:
        first: The tensor at 0.
        second: The tensor at 1, of the same shape.
        share: t, from 0 to 1.

    Returns:
        float32, of the same shape.
    """
    one, other = first.astype("float64").ravel(), second.astype("float64").ravel()
    lengths = np.linalg.norm(one) * np.linalg.norm(other)
    cosine = 1.0 if lengths == 0 else float(one @ other / lengths)
    if abs(cosine) > COLINEAR:
        factors = (1 - share, share)
    else:
        angle = np.arccos(cosine)
        factors = tuple(np.sin(part * angle) / np.sin(angle) for part in (1 - share, share))
    return (factors[0] * one + factors[1] * other).reshape(first.shape).astype("float32")


def merge_ties(
    base: np.ndarray, tensors: Sequence[np.ndarray], weights: Sequence[float], *, density: float, scale: float
) -> np.ndarray:
    """Trims each model's change of the base, elects a sign for each number, and averages the changes of that sign.

    Yadav et al. 2023 (https://arxiv.org/abs/2306.01708). The share that is kept is taken of this tensor, as in
    mergekit; the paper takes it of all tensors together, which small tensors with large changes would win.

    Args:
        base: What the models were trained from.
        tensors: One of each model, of the base's shape.
        weights: One for each tensor. A change counts this much in the election and in the mean.
        density: The share of a tensor's numbers, those of the largest change, that is kept; in (0, 1].
        scale: Factor of the merged change.

    Returns:
        float32, of the base's shape. Where the changes cancel out exactly, the base.
    """
    origin = base.astype("float64")
    sums = np.zeros(base.shape)
    for tensor, weight in zip(tensors, weights, strict=True):
        sums += weight * trim(tensor - origin, density)
    signs = np.sign(sums)
    merged, counted = np.zeros(base.shape), np.zeros(base.shape)
    for tensor, weight in zip(tensors, weights, strict=True):
        change = trim(tensor - origin, density)  # once more: to keep them would take a copy of each
        agrees = (np.sign(change) == signs) & (change != 0)
        merged += weight * np.where(agrees, change, 0.0)
        counted += weight * agrees
    mean = np.divide(merged, counted, out=np.zeros(base.shape), where=counted > 0)
    return (origin + scale * mean).astype("float32")


def trim(change: np.ndarray, density: float) -> np.ndarray:
    """Sets all but the largest numbers to 0; of equal size, all are kept.

    Args:
        change: Any array.
        density: The share that is kept, in (0, 1]; rounded up to a whole number.
    """
    if change.size == 0:
        return change
    count = min(change.size, int(np.ceil(density * change.size)))
    sizes = np.abs(change)
    least = np.partition(sizes, change.size - count, axis=None)[change.size - count]
    return np.where(sizes >= least, change, 0.0)
