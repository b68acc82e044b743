"""Calibration on held-out data: a temperature for the probabilities, and thresholds for several labels."""

import dataclasses

import numpy as np

from tfchain.tasks.classification.labels import Labels
from tfchain.tasks.classification.metrics import LEAST_PROBABILITY

LEAST, MOST = 1 / 50, 50.0  # temperatures beyond come from data that is too small or too easy to tell
STEPS = 60  # of bisection: beyond the precision of float64


def calibrate(logits: np.ndarray, table: np.ndarray, labels: Labels) -> Labels:
    """Returns the labels with the temperature of the lowest log loss and, if several, the thresholds of the best F1.

    Args:
        logits: The model's outputs for texts that it was not trained on, `(texts, labels)`.
        table: The labels of each text, booleans of the same shape.
        labels: The labels; their temperature and thresholds are ignored.
    """
    temperature = find_temperature(logits, table, multi_label=labels.multi_label)
    found = dataclasses.replace(labels, temperature=temperature, thresholds=())
    if not labels.multi_label:
        return found
    return dataclasses.replace(found, thresholds=find_thresholds(found.to_probabilities(logits), table))


def find_temperature(logits: np.ndarray, table: np.ndarray, *, multi_label: bool) -> float:
    """Finds the temperature of the lowest log loss (Guo et al. 2017, https://arxiv.org/abs/1706.04599).

    The loss is convex in the inverse temperature, so bisection finds the zero of its derivative: where the expected
    score under the model's probabilities equals the score of the right labels.

    Returns:
        The temperature, from 0.02 to 50.
    """
    values = np.asarray(logits, dtype="float64")
    names = tuple(map(str, range(values.shape[1])))

    def slope(inverse: float) -> float:
        probabilities = Labels(names, multi_label=multi_label, temperature=1 / inverse).to_probabilities(values)
        return float(((probabilities - table) * values).sum())

    low, high = np.log(1 / MOST), np.log(1 / LEAST)
    for _ in range(STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if slope(float(np.exp(middle))) < 0 else (low, middle)
    return float(np.exp(-(low + high) / 2))


def find_thresholds(probabilities: np.ndarray, table: np.ndarray) -> tuple[float, ...]:
    """Finds each label's threshold of the best F1, half-way between two probabilities; 0.5 for labels without texts."""
    return tuple(_find_threshold(probabilities[:, label], table[:, label]) for label in range(table.shape[1]))


def _find_threshold(probabilities: np.ndarray, has_label: np.ndarray) -> float:
    if not has_label.any():
        return 0.5
    order = np.argsort(-probabilities, kind="stable")
    sorted_probabilities = probabilities[order]
    right = np.cumsum(has_label[order])  # among the first n texts
    f1 = 2 * right / (np.arange(1, len(order) + 1) + has_label.sum())
    next_lower = np.append(sorted_probabilities[1:], 0.0)
    f1[next_lower == sorted_probabilities] = -1  # no threshold lies between equals
    best = int(f1.argmax())
    return float(max((sorted_probabilities[best] + next_lower[best]) / 2, LEAST_PROBABILITY))
