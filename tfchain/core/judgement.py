"""Judging a version: how good its answers are for each question of an evaluation set, and how they rank."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np


@dataclass(frozen=True)
class Question:
    """One request to a version.

    Args:
        signature: The signature's name.
        inputs: Input name → array of one row or several; texts as bytes in object arrays.
    """

    signature: str
    inputs: Mapping[str, np.ndarray]


class AskedVersion(Protocol):
    """A loaded version that answers."""

    @property
    def signatures(self) -> Collection[str]:
        """The names of its signatures."""

    @property
    def description(self) -> Mapping[str, Any]:
        """What its export wrote about it."""

    def ask(self, question: Question) -> Mapping[str, np.ndarray]:
        """Returns the answer: output name → array.

        Raises:
            InputError: if the version does not have the signature, or it fails.
        """


@dataclass(frozen=True)
class Judgement:
    """What a task says of a version's answers to an evaluation set.

    Args:
        metric: The metric's name, such as `ndcg@10`.
        values: The metric of each item (query, row, list), float64 `(items,)`; their mean is the version's metric. A
            metric that is not a mean is given by its jackknife pseudo-values.
        lower_is_better: Whether the metric is an error. Default: False.
        rankings: The answers of each item by name, best first: ids of documents, labels. Empty if the task ranks
            nothing. Default: empty.
        probes: Questions of one row, to time. Default: none.
    """

    metric: str
    values: np.ndarray
    lower_is_better: bool = False
    rankings: Sequence[Sequence[str]] = ()
    probes: Sequence[Question] = field(default_factory=tuple)

    @property
    def score(self) -> float:
        """The version's metric."""
        return float(self.values.mean())


Judge = Callable[[AskedVersion], Judgement]
