"""The state of a classification: the labels, and how scores become decisions."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from tfchain.core.errors import InputError

DEFAULT_THRESHOLD = 0.5


@dataclass(frozen=True)
class Labels:
    """The labels of a classifier, in the order of its outputs.

    Args:
        names: The labels' names, without duplicates.
        multi_label: Whether a text may have several labels, or none. Default: False, each text has one.
        paired: Whether a text is a pair of texts. Default: False.
        temperature: The divisor of the model's outputs before they become probabilities; above 1 if the model is
            overconfident (Guo et al. 2017, https://arxiv.org/abs/1706.04599). Default: 1.
        thresholds: With several labels, the lowest probability at which a text has the label, for each. Default: 0.5.
        texts: A sample of the training texts, to measure the ranges of int8 at export. Default: none.

    Raises:
        InputError: if a value is out of range.
    """

    names: tuple[str, ...]
    multi_label: bool = False
    paired: bool = False
    temperature: float = 1.0
    thresholds: tuple[float, ...] = ()
    texts: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("names", "thresholds", "texts"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if len(self.names) < 2 or len(set(self.names)) < len(self.names):
            raise InputError(
                f"A classification needs two different labels or more. Received: {list(self.names)!r:.200}."
            )
        if not 0 < self.temperature < float("inf"):
            raise InputError(f"`temperature` must be above 0. Received: temperature={self.temperature!r}.")
        if self.thresholds and len(self.thresholds) != len(self.names):
            raise InputError(
                f"`thresholds` must have {len(self.names)} values, one per label. Received: {len(self.thresholds)}."
            )

    def __len__(self) -> int:
        return len(self.names)

    @property
    def thresholds_or_default(self) -> np.ndarray:
        """The thresholds, or their defaults, float32 `(labels,)`."""
        return np.array(self.thresholds or [DEFAULT_THRESHOLD] * len(self), dtype="float32")

    def to_probabilities(self, logits: np.ndarray) -> np.ndarray:
        """Converts outputs `(texts, labels)` to probabilities, which sum to 1 per text unless `multi_label` is set."""
        scaled = np.asarray(logits, dtype="float64") / self.temperature
        if self.multi_label:
            return 0.5 * (1 + np.tanh(0.5 * scaled))  # the logistic function, without overflow
        powers = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
        return powers / powers.sum(axis=-1, keepdims=True)

    def to_decisions(self, probabilities: np.ndarray) -> np.ndarray:
        """Returns the labels of each text, booleans `(texts, labels)`."""
        if self.multi_label:
            return probabilities >= self.thresholds_or_default
        return np.arange(len(self)) == probabilities.argmax(axis=-1)[:, None]

    def to_table(self, targets: Any) -> np.ndarray:
        """Converts labels by name to booleans `(texts, labels)`.

        Args:
            targets: A sequence of names for each text.

        Raises:
            InputError: if a label is unknown.
        """
        places = {name: place for place, name in enumerate(self.names)}
        table = np.zeros((len(targets), len(self)), dtype=bool)
        for row, names in enumerate(targets):
            for name in names:
                if name not in places:
                    raise InputError(
                        f"Row {row} (counted from 0) has the label {name!r}, which the model does not have. The "
                        f"labels: {', '.join(self.names[:10])}{', …' if len(self) > 10 else ''}. Train on data that "
                        "has it, or leave such rows out."
                    )
                table[row, places[name]] = True
        return table


def sort_labels(names: set[str]) -> tuple[str, ...]:
    """Sorts labels: as numbers if all are whole numbers, else as texts."""
    if all(name.isdecimal() for name in names):
        return tuple(sorted(names, key=lambda name: (int(name), name)))
    return tuple(sorted(names))
