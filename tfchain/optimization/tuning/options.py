"""How a search for hyperparameters runs: plain values, checked on construction."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from tfchain.core.checks import check_whole_number
from tfchain.core.errors import InputError

TunerName = Literal["random", "bayesian", "hyperband", "grid"]
Mode = Literal["max", "min"]


@dataclass(frozen=True, kw_only=True)
class Search:
    """How a search runs.

    Args:
        tuner: `random` draws values, and is hard to beat with few trials. `bayesian` learns from earlier trials with a
            Gaussian process (Snoek et al. 2012), for a few dozen trials over a few numbers. `hyperband` gives many
            settings few epochs and the best of them more (Li et al. 2018), for long trainings. `grid` takes every
            combination, for small spaces. Default: `random`.
        max_trials: The largest number of trials; a small space may end earlier. Default: 12.
        objective: The metric to optimize, such as `ndcg@10` or `accuracy`.
        mode: Whether the best objective is the `max` or the `min`, as in Keras' callbacks. Default: `max`.
        max_latency_ms: The largest median time in milliseconds that encoding one query may take. Measured while the
            search runs, so it needs idle cores: other work, or several workers on one machine, makes it longer.
            Default: no limit.
        max_size_mb: The largest size of a model's files, in millions of bytes. Default: no limit.
        seed: Seed of the draws, at least 0. Default: 0.

    Raises:
        InputError: if a value is of the wrong type or out of its range.
    """

    objective: str
    tuner: TunerName = "random"
    max_trials: int = 12
    mode: Mode = "max"
    max_latency_ms: float | None = None
    max_size_mb: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.tuner not in get_args(TunerName):
            raise InputError(f"`tuner` must be one of {', '.join(get_args(TunerName))}. Received: {self.tuner!r}.")
        object.__setattr__(self, "max_trials", check_whole_number("max_trials", self.max_trials))
        object.__setattr__(self, "seed", check_whole_number("seed", self.seed, least=0))
        if not isinstance(self.objective, str) or not self.objective:
            raise InputError(f"`objective` must be the name of a metric. Received: {self.objective!r}.")
        if self.mode not in get_args(Mode):
            raise InputError(f"`mode` must be 'max' or 'min'. Received: mode={self.mode!r}.")
        for name in ("max_latency_ms", "max_size_mb"):
            value: Any = getattr(self, name)
            is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
            if value is not None and not (is_number and value > 0):
                raise InputError(
                    f"`{name}` must be a number above 0, or None for no limit. Received: {name}={value!r}."
                )

    def choose_best(self, scores: Sequence[float]) -> int:
        """The index of the best of some objective values, the earlier of equal ones."""
        sign = 1 if self.mode == "max" else -1
        return max(range(len(scores)), key=lambda place: sign * scores[place])
