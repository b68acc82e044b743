"""How much each hyperparameter influences the objective."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

MOST_GROUPS = 3  # of numbers; a dozen trials support no more


def measure_importance(values: Sequence[Any], scores: Sequence[float]) -> float:
    """The share of the scores' variance that one hyperparameter explains by itself, in [0, 1].

    Epsilon squared of a one-way analysis of variance (Kelley 1935, https://doi.org/10.1073/pnas.21.9.554), which
    subtracts what chance would explain: 1 - (SS_within / (n - k)) / (SS_total / (n - 1)), for n scores in k groups, and
    0 if that is negative. Choices are their own groups; more than three distinct numbers are cut into three groups of
    equal size by their order. It finds a best value in the middle, which a correlation would not; it does not see
    interactions between hyperparameters, and with a dozen trials it is only a hint.

    Args:
        values: The hyperparameter's value in each trial.
        scores: The score of each trial.

    Returns:
        The share; 0 if there are fewer than three trials, all scores or all values are equal, or every trial is a
        group.

    Example:
        >>> measure_importance(["a", "a", "b", "b"], [1.0, 1.0, 2.0, 2.0])
        1.0
    """
    found = np.asarray(scores, dtype="float64")
    groups = to_groups(values)
    number, kinds = len(found), len(set(groups))
    if number < 3 or not 1 < kinds < number:
        return 0.0
    total = float(np.sum((found - found.mean()) ** 2))
    if total <= 1e-12 * max(1.0, float(np.sum(found**2))):
        return 0.0
    within = 0.0
    for group in set(groups):
        own = found[[member == group for member in groups]]
        within += float(np.sum((own - own.mean()) ** 2))
    return max(0.0, 1 - (within / (number - kinds)) / (total / (number - 1)))


def to_groups(values: Sequence[Any]) -> list[Any]:
    """The group of each value: numbers by their order if there are more than three, other values by themselves.

    Example:
        >>> to_groups([0.1, 0.4, 0.2, 0.3, 0.6, 0.5])
        [0, 1, 0, 1, 2, 2]
        >>> to_groups(["mean", "cls", "mean"])
        ['"mean"', '"cls"', '"mean"']
    """
    is_number = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    if not is_number or len(set(values)) <= MOST_GROUPS:
        return [json.dumps(value, sort_keys=True) for value in values]
    numbers = np.asarray(values, dtype="float64")
    ranks = np.searchsorted(np.sort(numbers), numbers)  # equal numbers have one rank
    groups: list[int] = (ranks * MOST_GROUPS // len(numbers)).tolist()
    return groups
