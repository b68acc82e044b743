"""The rule that decides which of several candidates is kept."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from tfchain.core.errors import InputError
from tfchain.optimization.report import CandidateReport

Keep = Literal["smallest", "fastest_query", "fastest_bulk", "least_memory", "best"]


@dataclass(frozen=True, kw_only=True)
class Rule:
    """Decides which candidate is kept among those that are nearly as good as the float32 model.

    Args:
        objective: The metric that says how good a candidate is, such as `ndcg@10` or `accuracy`.
        keep: `smallest` (bytes on disk and, if measured, of the index), `fastest_query` (median time of one query),
            `fastest_bulk` (texts per second), `least_memory` (peak of a process), or `best` (the objective).
            Default: `smallest`.
        max_loss: The share of the float32 model's objective that may be lost: 0.01 is one per cent. Default: 0.01.
        lower_is_better: Whether a lower objective is better, such as `log_loss`. Default: False.

    Raises:
        InputError: if a value is out of range.
    """

    objective: str
    keep: Keep = "smallest"
    max_loss: float = 0.01
    lower_is_better: bool = False

    def __post_init__(self) -> None:
        if self.keep not in get_args(Keep):
            raise InputError(f"`keep` must be one of {', '.join(get_args(Keep))}. Received: keep={self.keep!r}.")
        loss = self.max_loss
        if isinstance(loss, bool) or not isinstance(loss, int | float) or not 0 <= loss <= 1:
            raise InputError(
                f"The largest loss of {self.objective} must be in [0, 1]. Received: {loss!r}. Use 0.01 for one per "
                "cent."
            )

    def check(self, *, objective: bool, speed: bool) -> None:
        """Rejects a rule that needs what will not be measured, before any measurement.

        Args:
            objective: Whether the objective will be measured.
            speed: Whether speed and memory will be measured.

        Raises:
            InputError: if the rule needs what will not be measured.
        """
        if not objective:
            raise InputError(
                f"The rule (keep={self.keep!r}, a loss of at most {self.max_loss:g}) needs {self.objective}, which is "
                "not measured without a dataset. Give an evaluation dataset, or one candidate and no rule."
            )
        if not speed and self.keep in ("fastest_query", "fastest_bulk", "least_memory"):
            raise InputError(
                f"The rule keep={self.keep!r} needs speed and memory, which are not measured without texts. "
                "Give a workload, or keep='smallest'."
            )

    def choose(self, candidates: Sequence[CandidateReport]) -> CandidateReport:
        """Returns the candidate to keep; the first candidate is the float32 model, which loses nothing.

        Of equally good candidates, the one with the better objective is kept, then the earlier one.

        Raises:
            InputError: if something that the rule needs was not measured.
        """
        for candidate in candidates:
            if self.objective not in candidate.metrics:
                raise InputError(
                    f"The rule needs {self.objective}, which was not measured for {candidate.name!r}. "
                    f"Received: {', '.join(candidate.metrics) or 'no metrics'}. Let the evaluation measure it."
                )
        base = self._goodness(candidates[0])
        allowed = [
            candidate for candidate in candidates if self._goodness(candidate) >= base - self.max_loss * abs(base)
        ]
        return min(allowed, key=lambda candidate: (self._cost(candidate), -self._goodness(candidate)))

    def _goodness(self, candidate: CandidateReport) -> float:
        value = candidate.metrics[self.objective]
        return -value if self.lower_is_better else value

    def _cost(self, candidate: CandidateReport) -> float:
        costs: dict[str, float | None] = {
            "smallest": candidate.size_bytes + (candidate.index_bytes or 0),
            "fastest_query": candidate.query_median_ms,
            "fastest_bulk": None if candidate.texts_per_second is None else -candidate.texts_per_second,
            "least_memory": candidate.peak_memory_mb,
            "best": -self._goodness(candidate),
        }
        cost = costs[self.keep]
        if cost is None or math.isnan(cost):
            raise InputError(
                f"The rule keep={self.keep!r} needs what was not measured for {candidate.name!r}. "
                "Give a workload, or keep='smallest'."
            )
        return cost
