"""Chooses which of a query's candidates become negatives: filters them, picks some, and fills up short rows."""

import logging

import numpy as np

from tfchain.core.errors import InputError
from tfchain.training.mining.options import Mining
from tfchain.training.mining.ranked_corpus import Queries

logger = logging.getLogger(__name__)


def filter_candidates(kept: np.ndarray, scores: np.ndarray, positives: np.ndarray | None, mining: Mining) -> np.ndarray:
    """Leaves out candidates by their scores.

    Args:
        kept: bool `(queries, size)`: True for a candidate.
        scores: float32 `(queries, size)`.
        positives: float32 `(queries,)`: the score of each query's positive; None if no margin is used.
        mining: The margins and limits. With `positives` and no margin, no candidate may score above the positive.

    Returns:
        bool `(queries, size)`: the remaining candidates.
    """
    removed = {}
    if positives is not None:
        least = positives[:, None]
        if mining.absolute_margin is not None:
            removed["absolute_margin"] = scores + mining.absolute_margin > least
        if mining.relative_margin is not None:
            # Not least * (1 - margin): where the positive's score is negative, that would lie above it.
            removed["relative_margin"] = scores > least - np.abs(least) * mining.relative_margin
        if not removed:
            removed["positive's score"] = scores > least
    if mining.max_score is not None:
        removed["max_score"] = scores > mining.max_score
    if mining.min_score is not None:
        removed["min_score"] = scores < mining.min_score
    for name, out in removed.items():
        logger.info("Mining: %d of %d candidates left out for %s.", np.sum(kept & out), np.sum(kept), name)
        kept = kept & ~out
    return kept


def choose_negatives(
    candidates: np.ndarray, kept: np.ndarray, queries: Queries, sample: np.ndarray, mining: Mining
) -> tuple[list[int], np.ndarray]:
    """Chooses each row's negatives.

    Args:
        candidates: int64 `(queries, size)`: text keys, best first.
        kept: bool `(queries, size)`: those that the filters left.
        queries: The queries and the texts that may not be their negatives.
        sample: int64: keys of random documents, for rows with too few candidates.
        mining: How many to choose, from which ranks, and what to do if there are too few.

    Returns:
        `(rows, keys)`: the numbers of the rows that have all their negatives, and int64 `(rows, num_negatives)`.

    Raises:
        InputError: if no row has a candidate, or none has enough.
    """
    rng = np.random.default_rng([mining.seed, 2])
    needed = mining.num_negatives
    if kept.sum(axis=1).max() <= mining.range_min:
        raise InputError(
            f"No row has a candidate left for a negative, of {int((candidates != 0).sum())} candidates in all. "
            f"Received: {_describe(mining)}. Use weaker filters, or a corpus with more documents."
        )
    rows: list[int] = []
    chosen: list[np.ndarray] = []
    num_short = num_filled = 0
    for row, query in enumerate(queries.of_row):
        keys = candidates[query][kept[query]][mining.range_min :]
        if mining.sampling == "random" and len(keys) > needed:
            keys = keys[np.sort(rng.choice(len(keys), needed, replace=False))]  # still the best first
        keys = keys[:needed]
        if len(keys) < needed:
            num_short += 1
            if mining.fill:
                mined = len(keys)
                keys = np.concatenate([keys, _draw(sample, candidates, queries, query, needed - mined, rng)])
                num_filled += len(keys) - mined if len(keys) == needed else 0
        if len(keys) == needed:
            rows.append(row)
            chosen.append(keys)
    num_dropped = len(queries.of_row) - len(rows)
    if num_short:
        logger.warning(
            "Mining: %d of %d rows have fewer than %d candidates. %d random documents fill up, %d rows are dropped.",
            *(num_short, len(queries.of_row), needed, num_filled, num_dropped),
        )
    if not rows:
        raise InputError(
            f"No row has {needed} negatives. Received: {_describe(mining)}. Use a smaller `num_negatives`, weaker "
            "filters, or a corpus with more documents."
        )
    return rows, np.stack(chosen)


def _draw(
    sample: np.ndarray, candidates: np.ndarray, queries: Queries, query: int, number: int, rng: np.random.Generator
) -> np.ndarray:
    """Draws random documents that are not candidates: those that a filter left out may well answer the query."""
    excluded, _ = queries.by_query.find(np.array([query]))
    free = sample[~np.isin(sample, np.concatenate([candidates[query], excluded]))]
    return rng.choice(free, min(number, len(free)), replace=False)


def _describe(mining: Mining) -> str:
    names = ("num_negatives", "range_min", "range_max", "absolute_margin", "relative_margin", "max_score", "min_score")
    values = {name: getattr(mining, name) for name in names}
    return ", ".join(f"{name}={value}" for name, value in values.items() if value is not None)
