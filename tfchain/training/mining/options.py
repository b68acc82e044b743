"""How hard negatives are mined: plain values, checked when they are set."""

import math
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from tfchain.core.checks import check_whole_number
from tfchain.core.errors import InputError

Sampling = Literal["top", "random"]


@dataclass(frozen=True, kw_only=True)
class Mining:
    """How negatives are mined.

    The filters work as in sentence-transformers' `mine_hard_negatives`. With `relative_margin=0.05` they are the
    "TopK-PercPos (95%)" that NV-Retriever (Moreira et al. 2024, arXiv 2407.15831) found best. With a cross-check
    model, margins and score limits apply to its scores, ranks to those of the model in training.

    Args:
        num_negatives: Negatives per row. Default: 3.
        range_min: Skips this many of the best candidates that the score filters leave, because they are the most likely
            to answer the query after all. Default: 0.
        range_max: How many of the most similar documents are candidates; those that may not be negatives (see
            `mine_negatives`) do not count. A cross-check model scores this many per query. Default: 100.
        max_score: Candidates with a higher score are left out. Default: none.
        min_score: Candidates with a lower score are left out. Default: none.
        absolute_margin: Candidates whose score is above the positive's minus this margin are left out. If a query has
            several positives, the lowest score counts. Default: none; 0 with a cross-check model.
        relative_margin: The same with this share of the positive's score (of its absolute value), in [0, 1].
            Default: none.
        sampling: `top` takes the best of the remaining candidates, `random` draws from them. Default: `top`.
        fill: What to do with a row with too few candidates: True fills it up with random documents of the corpus from
            beyond `range_max`, and drops it only if these are not enough; False drops it. Default: True.
        corpus: The documents to mine from; see `mine_negatives`, also for the default.
        every: In `fit`, mine again after this many epochs. Default: mine once, before the first.
        seed: Seed of the random choices. Default: 0.
        batch_size: Texts encoded at once. Default: 32.

    Raises:
        InputError: if a value has the wrong type or is out of range.
    """

    num_negatives: int = 3
    range_min: int = 0
    range_max: int = 100
    max_score: float | None = None
    min_score: float | None = None
    absolute_margin: float | None = None
    relative_margin: float | None = None
    sampling: Sampling = "top"
    fill: bool = True
    corpus: Any = None
    every: int | None = None
    seed: int = 0
    batch_size: int = 32

    def __post_init__(self) -> None:
        for name, least in (("num_negatives", 1), ("range_min", 0), ("range_max", 1), ("seed", 0), ("batch_size", 1)):
            object.__setattr__(self, name, check_whole_number(name, getattr(self, name), least=least))  # no NumPy type
        if self.every is not None:
            every = check_whole_number("every", self.every, advice="Leave it out to mine once.")
            object.__setattr__(self, "every", every)
        if self.range_max - self.range_min < self.num_negatives:
            raise InputError(
                "`range_max` must be at least `range_min` + `num_negatives`. Received: "
                f"range_min={self.range_min}, range_max={self.range_max}, num_negatives={self.num_negatives}.",
                argument="range_max",
            )
        for name, lowest, highest, within in (
            ("absolute_margin", 0.0, math.inf, " of at least 0"),
            ("relative_margin", 0.0, 1.0, " in [0, 1]"),
            ("max_score", -math.inf, math.inf, ""),
            ("min_score", -math.inf, math.inf, ""),
        ):
            value = getattr(self, name)
            number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
            if value is not None and not (number and math.isfinite(value) and lowest <= value <= highest):
                raise InputError(
                    f"`{name}` must be a finite number{within}, or None. Received: {name}={value!r}.", argument=name
                )
            object.__setattr__(self, name, None if value is None else float(value))
        if self.min_score is not None and self.max_score is not None and self.min_score > self.max_score:
            raise InputError(
                f"`min_score` must not be above `max_score`. Received: min_score={self.min_score}, "
                f"max_score={self.max_score}.",
                argument="min_score",
            )
        if self.sampling not in get_args(Sampling):
            raise InputError(
                f"`sampling` must be 'top' or 'random'. Received: sampling={self.sampling!r}.", argument="sampling"
            )
        if not isinstance(self.fill, bool):
            raise InputError(f"`fill` must be True or False. Received: fill={self.fill!r}.", argument="fill")
