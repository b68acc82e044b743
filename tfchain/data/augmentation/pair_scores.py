"""Labels by a better model: the scores that a cross-encoder or another teacher gives to rows."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, get_args

import numpy as np

from tfchain.core.errors import InputError
from tfchain.data.augmentation.query_filters import check_row
from tfchain.data.steps.record import NEGATIVE_NAME, Record
from tfchain.data.steps.step import Step
from tfchain.data.steps.step_log import StepLog

Score = Callable[[Sequence[tuple[str, str]]], Sequence[float]]
ScoreForm = Literal["score", "scores", "margin"]


@dataclass(frozen=True)
class ScorePairs(Step):
    """Adds the scores of a teacher to rows, as labels to train on.

    Forms, by the loss that they are for:

    - `score`: the score of query and positive, a number (`cosine_mse`, `cosent`).
    - `scores`: the scores of positive and negatives, a list (`kl_divergence`).
    - `margin`: the positive's score minus each negative's, a list (`margin_mse`; Hofstätter et al. 2020).

    Args:
        form: What to add. Default: `margin`.
        score: Returns a number for each pair of query and document: a cross-encoder, or the product of a large model's
            vectors.

    Raises:
        InputError: if the form is unknown; when it runs, if a row has no negatives although the form needs them, or
            the teacher does not return a finite number for each pair.
    """

    name: ClassVar[str] = "score_pairs"

    form: ScoreForm = "margin"
    score: Score | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.form not in get_args(ScoreForm):
            raise InputError(f"`form` must be one of {', '.join(get_args(ScoreForm))}. Received: form={self.form!r}.")

    def settings(self) -> dict[str, Any]:
        """Returns the settings as plain values."""
        return {"form": self.form}

    def process(self, records: Sequence[Record], log: StepLog, state: Any) -> list[Record]:
        """Scores a block of rows, all pairs in one call."""
        if self.score is None:
            raise InputError("score_pairs needs a teacher. Received: none. Hand one in: score=….")
        rows = [check_row(self.name, record) for record in records]
        documents = [[row["positive"], *(() if self.form == "score" else find_negatives(row))] for row in rows]
        pairs = [(row["query"], text) for row, texts in zip(rows, documents, strict=True) for text in texts]
        for row, texts in zip(rows, documents, strict=True):
            if self.form != "score" and len(texts) < 2:
                raise InputError(
                    f"score_pairs with form={self.form!r} needs rows with negatives. Received: the columns "
                    f"{', '.join(row)[:80]}. Mine negatives first, or use form='score'."
                )
        values = np.asarray(self.score(pairs), dtype=np.float64).reshape(-1)
        if len(values) != len(pairs) or not np.isfinite(values).all():
            raise InputError(
                f"`score` must return a finite number for each pair. Received: {len(values)} for {len(pairs)} pairs"
                f"{'' if np.isfinite(values).all() else ', some not finite'}."
            )
        found = iter(values.tolist())
        return [self.label(row, [next(found) for _ in texts]) for row, texts in zip(rows, documents, strict=True)]

    def label(self, row: Mapping[str, Any], scores: list[float]) -> Record:
        """Returns a row with its label."""
        if self.form == "score":
            return {**row, "score": scores[0]}
        if self.form == "scores":
            return {**row, "scores": scores}
        return {**row, "margin": [scores[0] - other for other in scores[1:]]}


def find_negatives(row: Mapping[str, Any]) -> list[str]:
    """Returns a row's negatives, in the order in which training reads them."""
    numbered = sorted((name for name in row if NEGATIVE_NAME.fullmatch(name)), key=lambda name: int(name[9:]))
    found: list[str] = []
    for name in ("negative", "negatives", *numbered):
        value = row.get(name)
        if isinstance(value, str):
            found.append(value)
        elif isinstance(value, list | tuple):
            found += [text for text in value if isinstance(text, str)]
    return found
