"""Metrics of a classifier: accuracy, macro F1, log loss, expected calibration error."""

import numpy as np

from tfchain.tasks.classification.labels import Labels

METRICS = ("accuracy", "macro_f1", "log_loss", "ece")
LOWER_IS_BETTER = frozenset({"log_loss", "ece"})
NUM_BINS = 15
LEAST_PROBABILITY = 1e-7  # for logarithms: float32 barely tells smaller probabilities from 0, or larger ones from 1


def measure(logits: np.ndarray, table: np.ndarray, labels: Labels) -> dict[str, float]:
    """Computes all metrics.

    Args:
        logits: The model's outputs, `(texts, labels)`.
        table: The labels of each text, booleans `(texts, labels)`.
        labels: The labels, with temperature and thresholds.

    Returns:
        `accuracy`: the share of texts with the right label, or with exactly the right labels if there are several.
        `macro_f1`: the mean F1 over the labels that are true or predicted. `log_loss`: the mean of -log of the
        probability of the right label, or of each label's right answer if there are several. `ece`: see
        `find_calibration_error`.
    """
    from sklearn.metrics import accuracy_score, f1_score

    probabilities = labels.to_probabilities(logits)
    decided = labels.to_decisions(probabilities)
    if labels.multi_label:
        right, found = table, decided
    else:
        right, found = table.argmax(axis=1), decided.argmax(axis=1)
    return {
        "accuracy": float(accuracy_score(right, found)),
        "macro_f1": float(f1_score(right, found, average="macro", zero_division=0)),
        "log_loss": find_log_loss(probabilities, table, multi_label=labels.multi_label),
        "ece": find_calibration_error(*_confidences(probabilities, table, labels)),
    }


def find_log_loss(probabilities: np.ndarray, table: np.ndarray, *, multi_label: bool) -> float:
    """Returns the mean of -log of the probability of the right answer."""
    clipped = np.clip(probabilities, LEAST_PROBABILITY, 1 - LEAST_PROBABILITY)
    if multi_label:
        return float(-np.log(np.where(table, clipped, 1 - clipped)).mean())
    return float(-np.log(clipped[table]).mean())


def find_calibration_error(confidences: np.ndarray, is_right: np.ndarray, num_bins: int = NUM_BINS) -> float:
    """Computes the expected calibration error: how far confidence is from the share of right decisions.

    Decisions are sorted into bins of equal width by confidence, and the differences of the bins are weighted by their
    number of decisions (Guo et al. 2017, https://arxiv.org/abs/1706.04599).

    Args:
        confidences: The confidence of each decision, in [0, 1], `(n,)`.
        is_right: Whether each decision is right, `(n,)`.
        num_bins: The number of bins. Default: 15.
    """
    bins = np.clip(np.ceil(confidences * num_bins).astype(int) - 1, 0, num_bins - 1)  # (k/n, (k + 1)/n]
    difference = np.bincount(bins, weights=confidences - is_right, minlength=num_bins)
    return float(np.abs(difference).sum() / len(confidences))


def _confidences(probabilities: np.ndarray, table: np.ndarray, labels: Labels) -> tuple[np.ndarray, np.ndarray]:
    """Returns confidence and correctness: of each text's best label, or of every label of every text with several."""
    if labels.multi_label:
        return np.maximum(probabilities, 1 - probabilities).ravel(), ((probabilities >= 0.5) == table).ravel()
    best = probabilities.argmax(axis=1)
    rows = np.arange(len(best))
    return probabilities[rows, best], table[rows, best]
