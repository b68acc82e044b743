"""The settings of a data report."""

from dataclasses import dataclass
from typing import Any

from tfchain.core.checks import check_whole_number
from tfchain.core.errors import InputError


@dataclass(frozen=True)
class ReportOptions:
    """What a data report looks for, and how closely.

    Args:
        near_threshold: The least Jaccard similarity of two texts' pairs of words that makes them nearly the same.
            Lower values find texts that were edited more, and more that only look alike. Default: 0.7.
        semantic_threshold: The least cosine of two vectors that makes their texts mean the same. It depends on the
            model: look at the examples. Default: 0.95.
        max_length: The most tokens that the model reads of a text, special tokens included. Default: the tokenizer's.
        rank_cutoff: A positive that a search ranks below this is ranked badly; in a corpus of fewer than fifty times as
            many documents, one below the best fiftieth. Default: 100.
        ranked_pairs: The most pairs that are ranked, an evenly spaced sample of all. Default: 2,000.
        sample: The most texts of a set whose tokens, languages and vectors are looked at, an evenly spaced sample.
            Default: 20,000.
        num_examples: The examples kept of each finding; `None` keeps all. Default: 5.
        train_split: Which judgments of a BEIR folder are for training. Default: `train`.
        evaluation_split: Which are to evaluate on. Default: `test`.

    Raises:
        InputError: if a value is out of range.
    """

    near_threshold: float = 0.7
    semantic_threshold: float = 0.95
    max_length: int | None = None
    rank_cutoff: int = 100
    ranked_pairs: int = 2000
    sample: int = 20_000
    num_examples: int | None = 5
    train_split: str = "train"
    evaluation_split: str = "test"

    def __post_init__(self) -> None:
        for name in ("near_threshold", "semantic_threshold"):
            check_threshold(name, getattr(self, name))
        for name in ("rank_cutoff", "ranked_pairs", "sample"):
            check_whole_number(name, getattr(self, name))
        for name in ("max_length", "num_examples"):
            if getattr(self, name) is not None:
                check_whole_number(name, getattr(self, name), least=0 if name == "num_examples" else 1)


def check_threshold(name: str, value: Any) -> None:
    """Raises an InputError if a value is not a number above 0, and 1 at most."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 1:
        raise InputError(f"`{name}` must be in (0, 1]. Received: {name}={value!r}.", argument=name)
