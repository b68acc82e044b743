"""The rule by which one of several candidates is kept."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from tfchain.core.errors import InputError
from tfchain.optimization.report import CandidateReport

Keep = Literal["smallest", "fastest_query", "fastest_bulk", "least_memory", "best"]
RANKING = "ndcg@10"


@dataclass(frozen=True, kw_only=True)
class Rule:
    """Which candidate is kept, among those that rank nearly as well as the model in float32.

    Args:
        keep: `smallest` (bytes on disk and, where it was measured, of the index), `fastest_query` (median time of one
            query), `fastest_bulk` (texts a second), `least_memory` (peak of a process), or `best` (nDCG@10).
            Default: `smallest`.
        max_ndcg_loss: The part of the float32 model's nDCG@10 that may be lost: 0.01 is one per cent. Default: 0.01.

    Raises:
        InputError: if a value is out of range.
    """

    keep: Keep = "smallest"
    max_ndcg_loss: float = 0.01

    def __post_init__(self) -> None:
        if self.keep not in get_args(Keep):
            raise InputError(f"`keep` must be one of {', '.join(get_args(Keep))}. Received: keep={self.keep!r}.")
        loss = self.max_ndcg_loss
        if isinstance(loss, bool) or not isinstance(loss, int | float) or not 0 <= loss <= 1:
            raise InputError(
                f"`max_ndcg_loss` must be in [0, 1]. Received: max_ndcg_loss={loss!r}. Use 0.01 for one per cent."
            )

    def check(self, *, ranking: bool, speed: bool) -> None:
        """Stops a rule on what will not be measured, before anything is.

        Raises:
            InputError: if it needs the ranking or the speed and there is none.
        """
        if not ranking:
            raise InputError(
                f"The rule (keep={self.keep!r}, max_ndcg_loss={self.max_ndcg_loss}) needs {RANKING}, which is not "
                "measured without a dataset. Give an evaluation dataset, or one candidate and no rule."
            )
        if not speed and self.keep in ("fastest_query", "fastest_bulk", "least_memory"):
            raise InputError(
                f"The rule keep={self.keep!r} needs speed and memory, which are not measured without texts. "
                "Give a workload, or keep='smallest'."
            )

    def choose(self, candidates: Sequence[CandidateReport]) -> CandidateReport:
        """The candidate to keep; the first one is the model in float32, which loses nothing.

        Of equally good ones, the better ranking is kept, then the earlier one.

        Raises:
            InputError: if something that the rule needs was not measured.
        """
        for one in candidates:
            if RANKING not in one.metrics:
                raise InputError(
                    f"The rule needs {RANKING}, which was not measured for {one.name!r}. "
                    f"Received: {', '.join(one.metrics) or 'no metrics'}. Let the evaluation measure it."
                )
        least = candidates[0].metrics[RANKING] * (1 - self.max_ndcg_loss)
        allowed = [one for one in candidates if one.metrics[RANKING] >= least]
        return min(allowed, key=lambda one: (self._cost(one), -one.metrics[RANKING]))

    def _cost(self, candidate: CandidateReport) -> float:
        costs: dict[str, float | None] = {
            "smallest": candidate.size_bytes + (candidate.index_bytes or 0),
            "fastest_query": candidate.query_median_ms,
            "fastest_bulk": None if candidate.texts_per_second is None else -candidate.texts_per_second,
            "least_memory": candidate.peak_memory_mb,
            "best": -candidate.metrics[RANKING],
        }
        cost = costs[self.keep]
        if cost is None or math.isnan(cost):
            raise InputError(
                f"The rule keep={self.keep!r} needs what was not measured for {candidate.name!r}. "
                "Give a workload, or keep='smallest'."
            )
        return cost
