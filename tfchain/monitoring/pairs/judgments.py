"""From clicks to relevance: each click counts as one over the chance that its place was looked at."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tfchain.core.errors import InputError
from tfchain.monitoring.pairs.impressions import Impression
from tfchain.monitoring.pairs.position_model import count_impressions


@dataclass(frozen=True)
class JudgmentOptions:
    """What makes a document relevant to a query, or not.

    Args:
        min_clicks: The fewest clicks of a relevant document; a thumb up is enough alone. Default: 2.
        min_relevance: The smallest relevance of it, from 0 to 1: the share of those who looked that clicked, certain
            to one standard error. Default: 0.1.
        min_looks: The number of looks, which is what was shown times the chance of a look, from which on a document
            without a click counts as not relevant. Default: 10.
        largest_weight: The most that a click counts, so that a click far below does not outweigh all. Default: 10.

    Raises:
        InputError: if a value is out of range.
    """

    min_clicks: int = 2
    min_relevance: float = 0.1
    min_looks: float = 10.0
    largest_weight: float = 10.0

    def __post_init__(self) -> None:
        if self.min_clicks < 1 or not 0 <= self.min_relevance <= 1 or self.min_looks <= 0 or self.largest_weight < 1:
            raise InputError(
                "`min_clicks` and `largest_weight` must be at least 1, `min_relevance` from 0 to 1, and `min_looks` "
                f"above 0. Received: {self}."
            )


@dataclass(frozen=True)
class Judgment:
    """What users say of a document as the answer to a query.

    Args:
        query: The query.
        document_id: The document.
        relevance: The estimated share of those who look that find it relevant, from 0 to 1.
        clicks: The number of clicks.
        shown: How often it was shown.
        looks: How often it was looked at, by the model.
        grade: 2 for clearly relevant, 1 for relevant, 0 for not relevant, -1 for not known.
    """

    query: str
    document_id: str
    relevance: float
    clicks: int
    shown: int
    looks: float
    grade: int


def judge(
    impressions: Sequence[Impression], propensities: np.ndarray, options: JudgmentOptions | None = None
) -> list[Judgment]:
    """Estimates relevance by inverse propensity weighting (Joachims et al., "Unbiased Learning-to-Rank", 2017).

    The relevance of a document to a query is the sum of `1 / propensity` over its clicks, divided by how often it was
    shown: right on average, whatever the places were. Thumbs say it directly: they win over clicks.

    Args:
        impressions: What users saw and did.
        propensities: The chance that each place is looked at, relative to the first, `(places,)`.
        options: What makes a document relevant. Default: those of `JudgmentOptions`.

    Returns:
        The judgments, in the order in which queries and documents were first seen.
    """
    options = options or JudgmentOptions()
    counts = count_impressions(impressions, most_places=len(propensities))
    weight = np.minimum(1 / propensities, options.largest_weight)[counts.place]
    shown = np.bincount(counts.pair, counts.shown)
    clicks = np.bincount(counts.pair, counts.clicked)
    looks = np.bincount(counts.pair, counts.shown * propensities[counts.place])
    relevance = np.bincount(counts.pair, counts.clicked * weight) / shown
    # A click weighs w with chance p, so the sum of w² over clicks estimates the variance of the sum of w.
    error = np.sqrt(np.bincount(counts.pair, counts.clicked * weight**2)) / shown
    thumbs = _count_thumbs(impressions)
    found = []
    for row, (query, document_id) in enumerate(counts.pairs):
        lower = float(relevance[row] - error[row])
        thumb = thumbs.get((query, document_id), 0)
        grade = _grade(int(clicks[row]), float(relevance[row]), lower, float(looks[row]), thumb, options)
        numbers = (float(min(relevance[row], 1.0)), int(clicks[row]), int(shown[row]), float(looks[row]))
        found.append(Judgment(query, document_id, *numbers, grade))
    return found


def is_for_evaluation(query: str, share: float) -> bool:
    """Returns whether a query belongs to the evaluation set: the same ones each time, whatever else is in the log.

    Args:
        query: The query.
        share: The share of the queries that do, from 0 to 1.
    """
    drawn = int.from_bytes(hashlib.blake2b(query.encode("utf-8", "replace"), digest_size=8).digest(), "big")
    return drawn < share * 2**64


def _count_thumbs(impressions: Sequence[Impression]) -> dict[tuple[str, str], int]:
    """Returns thumbs up minus thumbs down by query and document; those that are even are left out."""
    thumbs: dict[tuple[str, str], int] = {}
    for impression in impressions:
        for documents, step in ((impression.likes, 1), (impression.dislikes, -1)):
            for document_id in documents:
                key = (impression.query, document_id)
                thumbs[key] = thumbs.get(key, 0) + step
    return {key: number for key, number in thumbs.items() if number}


def _grade(clicks: int, relevance: float, lower: float, looks: float, thumbs: int, options: JudgmentOptions) -> int:
    if thumbs:
        return 2 if thumbs > 0 else 0
    if clicks >= options.min_clicks and lower >= options.min_relevance:
        return 2 if relevance >= 0.5 else 1
    if not clicks and looks >= options.min_looks:
        return 0
    return -1
