"""Pairs of near-duplicates: candidates meet the signatures of both records, and are compared."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfchain.data.beam.near_candidates import Sketches

PAIRS_AT_ONCE = 8192

Array = np.ndarray[Any, Any]
SIMILAR = np.dtype(
    [
        *(("block", "<i8"), ("row", "<i4"), ("first_block", "<i8"), ("first_row", "<i4")),
        *(("similarity", "<f8"), ("same", "?"), ("id", "<i4"), ("first_id", "<i4")),
    ]
)


@dataclass(frozen=True)
class HalfPairs:
    """Pairs between two blocks, with the signatures of their first records.

    Args:
        first_block: The block of the first records.
        firsts: Their signatures, each once.
        first: The place in `firsts` of each pair's first record. `(n,)`
        rows: The row of each pair's later record. `(n,)`
        same: Whether a pair is one of equal signatures. `(n,)`
    """

    first_block: int
    firsts: Sketches
    first: Array
    rows: Array
    same: Array


@dataclass(frozen=True)
class SimilarPairs:
    """Pairs at or above the threshold.

    Args:
        pairs: `SIMILAR`; `id` and `first_id` are places in `ids`.
        ids: The records' ids.
    """

    pairs: Array
    ids: list[str]


def attach_first(joined: tuple[int, Any]) -> Iterator[tuple[int, HalfPairs]]:
    """Takes a block's signatures and the pairs that begin in it; yields the pairs by the block where they end."""
    block, found = joined
    parts = list(found["pairs"])
    if not parts:
        return
    (sketches,) = found["sketches"]
    pairs = np.unique(np.concatenate(parts))  # several bands find the same pair
    pairs = pairs[np.argsort(pairs["block"], kind="stable")]
    blocks, starts = np.unique(pairs["block"], return_index=True)
    for end, part in zip(blocks.tolist(), np.split(pairs, starts[1:]), strict=False):
        rows, places = np.unique(part["first"], return_inverse=True)
        yield end, HalfPairs(block, sketches.take(rows), places, part["row"], part["same"])


def compare(joined: tuple[int, Any], threshold: float) -> Iterator[SimilarPairs]:
    """Takes a block's signatures and the pairs that end in it; yields those that are similar."""
    block, found = joined
    halves = list(found["pairs"])
    if not halves:
        return
    (sketches,) = found["sketches"]
    for half in halves:
        for start in range(0, len(half.rows), PAIRS_AT_ONCE):
            part = slice(start, start + PAIRS_AT_ONCE)
            similarity = similarities(sketches, half.rows[part], half.firsts, half.first[part])
            at = np.flatnonzero(np.where(half.same[part], similarity == 1, similarity >= threshold))
            if len(at):
                yield similar_pairs(block, sketches, half, start + at, similarity[at])


def similarities(sketches: Sketches, rows: Array, firsts: Sketches, first: Array) -> Array:
    """Returns the share of slots in which the signatures of pairs agree; of short texts, whether all do."""
    mine = np.searchsorted(sketches.rows, rows)
    equal = np.mean(sketches.sketches[mine] == firsts.sketches[first], axis=1)
    return np.where(sketches.short[mine] | firsts.short[first], equal == 1, equal)


def similar_pairs(block: int, sketches: Sketches, half: HalfPairs, at: Array, similarity: Array) -> SimilarPairs:
    """Makes similar pairs of some of the pairs between two blocks."""
    used, first_ids = np.unique(half.first[at], return_inverse=True)
    rows, ids = np.unique(half.rows[at], return_inverse=True)
    pairs = np.empty(len(at), SIMILAR)
    pairs["block"], pairs["row"], pairs["first_block"] = block, half.rows[at], half.first_block
    pairs["first_row"], pairs["similarity"] = half.firsts.rows[half.first[at]], similarity
    pairs["same"], pairs["first_id"], pairs["id"] = half.same[at], first_ids, len(used) + ids
    return SimilarPairs(pairs, [*(half.firsts.ids[place] for place in used), *sketches.take(rows).ids])
