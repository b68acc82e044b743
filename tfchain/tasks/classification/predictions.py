"""The answers of a classifier: a text's label or labels, and the best labels with their scores."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from tfchain.tasks.classification.labels import Labels


class ScoredLabel(NamedTuple):
    """A label with its probability."""

    label: str
    score: float


class Prediction(dict[str, Any]):
    """A dict of `text` and `label`, or of `text` and `labels` if a text may have several.

    Args:
        text: The text; for a pair of texts, a tuple of both.
        decision: The label, or a list of labels, best first.
        scores: The best labels with their probabilities, best first.
    """

    scores: tuple[ScoredLabel, ...]

    def __init__(self, text: Any, decision: str | list[str], scores: Sequence[ScoredLabel]) -> None:
        super().__init__({"text": text, "label" if isinstance(decision, str) else "labels": decision})
        self.scores = tuple(scores)


def make_predictions(texts: Sequence[Any], logits: np.ndarray, labels: Labels, top_k: int) -> list[Prediction]:
    """Makes the predictions for texts.

    Args:
        texts: The texts, or tuples of two texts.
        logits: The model's outputs, `(texts, labels)`.
        labels: The labels.
        top_k: The number of scored labels per text; all, if there are fewer.
    """
    probabilities = labels.to_probabilities(logits)
    decided = labels.to_decisions(probabilities)
    made = []
    for text, values, has in zip(texts, probabilities, decided, strict=True):
        order = np.argsort(-values, kind="stable")
        scores = [ScoredLabel(labels.names[place], float(values[place])) for place in order[:top_k]]
        decision = [labels.names[place] for place in order if has[place]]
        made.append(Prediction(text, decision if labels.multi_label else decision[0], scores))
    return made
