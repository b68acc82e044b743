"""The paired comparison of two versions on one evaluation set: randomization test, interval, smallest visible loss."""

import math
from dataclasses import dataclass

import numpy as np

from tfchain.core.errors import InputError

NUM_SHUFFLES = 10_000
LEAST_ITEMS = 10
POWER = 0.8
_BLOCK = 500  # shuffles at a time, so that memory stays small with many items


@dataclass(frozen=True)
class Comparison:
    """How a new version compares with the live one. Gains are positive if the new one is better, errors included.

    Args:
        metric: The metric's name.
        num_items: The number of queries, rows or lists.
        live: The live version's metric.
        new: The new version's.
        gain: The mean gain of the new one.
        p_value: The two-sided p of "both are equally good", by randomization.
        p_worse: The one-sided p: small if the new one is worse.
        low: The lower end of the gain's interval.
        high: Its upper end.
        level: The level of the one-sided bounds, 0.95: the interval holds `2 * level - 1` of the probability.
        detectable: The smallest loss that this evaluation set shows with a probability of 80 %.
        num_changed: The items whose value differs.
    """

    metric: str
    num_items: int
    live: float
    new: float
    gain: float
    p_value: float
    p_worse: float
    low: float
    high: float
    level: float
    detectable: float
    num_changed: int


def compare_values(
    live: np.ndarray,
    new: np.ndarray,
    *,
    metric: str,
    lower_is_better: bool = False,
    alpha: float = 0.05,
    num_shuffles: int = NUM_SHUFFLES,
    seed: int = 0,
) -> Comparison:
    """Compares the values of two versions for the same items.

    The test is the paired randomization test (Fisher; for search: Smucker, Allan and Carterette 2007): if both
    versions were equally good, each item's difference could as well have the other sign. The bounds of the gain are
    those values that the same test does not refuse, shifted, with the same shuffles, so that the p-value and the
    interval agree. Where few items differ, the shuffles know nothing of failures that the set does not show: with n
    items, a failure of a share of `1 - alpha ** (1 / n)` of all questions stays unseen with the probability `alpha`
    (the rule of three); the lower bound is at most the gain less what such a failure costs, the live version's mean.

    Args:
        live: The live version's value of each item, `(items,)`.
        new: The new version's, in the same order.
        metric: The metric's name.
        lower_is_better: Whether the metric is an error. Default: False.
        alpha: The probability of error of each bound. Default: 0.05.
        num_shuffles: The number of random sign changes. Default: 10,000.
        seed: Their seed. Default: 0.

    Raises:
        InputError: if the items differ in number, there are fewer than ten, or a value is not finite.
    """
    live, new = np.asarray(live, np.float64), np.asarray(new, np.float64)
    if live.shape != new.shape or live.ndim != 1 or not live.size:
        raise InputError(
            "Both versions must have a value for each item of the evaluation set. Received: values of the shapes "
            f"{live.shape} and {new.shape}."
        )
    if live.size < LEAST_ITEMS:
        raise InputError(
            f"An evaluation set must have at least {LEAST_ITEMS} judged items for a comparison. Received: {live.size}. "
            "A few hundred show a loss of a few percent."
        )
    if not (np.isfinite(live).all() and np.isfinite(new).all()):
        raise InputError(f"The values of {metric} must be numbers. Received: some that are not finite.")
    gains = live - new if lower_is_better else new - live
    gain = float(gains.mean())
    sums, signs = _shuffle(gains, num_shuffles, seed)
    unseen = (1 - alpha ** (1 / len(gains))) * _range_of(live)
    low = min(_find_bound(gain, sums, signs, alpha), gain - unseen)
    high = -_find_bound(-gain, -sums, signs, alpha)
    deviation = float(gains.std(ddof=1)) if len(gains) > 1 else 0.0
    visible = (_quantile(1 - alpha) + _quantile(POWER)) * deviation / math.sqrt(len(gains))
    missed = (1 - (1 - POWER) ** (1 / len(gains))) * _range_of(live)
    return Comparison(
        metric=metric,
        num_items=len(gains),
        live=float(live.mean()),
        new=float(new.mean()),
        gain=gain,
        p_value=_share(np.abs(sums) >= abs(gain) - _rounding(gains)),
        p_worse=_share(sums <= gain + _rounding(gains)),
        low=low,
        high=high,
        level=1 - alpha,
        detectable=max(visible, missed),
        num_changed=int(np.count_nonzero(np.abs(gains) > 1e-12)),
    )


def _shuffle(gains: np.ndarray, num_shuffles: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns, for each shuffle, the mean of the gains with random signs, and the mean of the signs."""
    random = np.random.default_rng(seed)
    sums, means = [], []
    for start in range(0, num_shuffles, _BLOCK):
        rows = min(_BLOCK, num_shuffles - start)
        signs = random.integers(0, 2, (rows, len(gains)), dtype=np.int8).astype(np.float32) * 2 - 1
        sums.append(signs.astype(np.float64) @ gains / len(gains))
        means.append(signs.mean(axis=1, dtype=np.float64))
    return np.concatenate(sums), np.concatenate(means)


def _find_bound(gain: float, sums: np.ndarray, signs: np.ndarray, alpha: float) -> float:
    """Returns the largest gain that the test refuses as too small, by bisection.

    If the true gain were `g`, the differences less `g` could have either sign: their shuffled mean is `sums - g signs`.
    """

    def is_refused(true_gain: float) -> bool:
        return _share(sums - true_gain * signs >= gain - true_gain - 1e-12) <= alpha

    span = float(np.abs(sums).max(initial=0.0)) + abs(gain) + 1e-9
    low, high = gain - span, gain
    while not is_refused(low):  # ten items and more have bounds
        low = gain - 2 * (gain - low)
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if is_refused(middle) else (low, middle)
    return low


def _share(is_extreme: np.ndarray) -> float:
    """Returns a p-value: the share of shuffles that are as extreme, with the data itself as one of them."""
    return (int(np.count_nonzero(is_extreme)) + 1) / (len(is_extreme) + 1)


def _range_of(live: np.ndarray) -> float:
    """Returns what a failed question costs: the live version's mean."""
    return abs(float(live.mean()))


def _rounding(gains: np.ndarray) -> float:
    return 1e-12 * max(1.0, float(np.abs(gains).max(initial=0.0)))


def _quantile(probability: float) -> float:
    """Returns the quantile of the standard normal distribution."""
    from statistics import NormalDist

    return NormalDist().inv_cdf(probability)
