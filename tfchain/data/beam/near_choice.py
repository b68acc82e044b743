"""Which of similar records stay: each unless an earlier one that stays is similar."""

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any

import numpy as np

from tfchain.data.beam.near_pairs import SIMILAR, SimilarPairs

Array = np.ndarray[Any, Any]
Place = tuple[int, int]  # block and row
Best = tuple[float, int]  # the similarity of the record that another repeats, and the place of its id


def choose(parts: Iterable[SimilarPairs]) -> Iterator[tuple[int, list[tuple[int, str]]]]:
    """Chooses which records to drop, of all pairs of similar records in the corpus.

    A record is dropped if an earlier one that stays is similar; it then repeats the most similar of those, of equally
    similar ones the first. A record with the same signature as an earlier one comes with no other pair, since what is
    similar to one is similar to the other: it is dropped because of the earlier one or, if that was dropped, because of
    whatever resembles that.

    Args:
        parts: The pairs; the first record of each is earlier than the other.

    Yields:
        The dropped rows of each block, with what to say of them.
    """
    pairs, ids = join(list(parts))
    later = later_by_first(pairs)
    dropped: dict[Place, Best] = {}
    for place, group in groupby(pairs.tolist(), key=lambda pair: pair[:2]):
        best: Best = (0.0, -1)
        for _, _, *first, similarity, same, _, name in group:
            fate = dropped.get(tuple(first))
            if fate is None:
                best = better(best, similarity, name)
            elif same:
                best = fate
                for other, other_similarity, other_name in later.get(tuple(first), ()):
                    if other < place and other not in dropped:
                        best = better(best, other_similarity, other_name)
        if best[1] >= 0:
            dropped[place] = best
    for block, places in groupby(dropped, key=lambda place: place[0]):
        rows = [(row, *dropped[block, row]) for _, row in places]
        yield block, [(row, f"repeats {ids[name]} (similarity {similarity:.2f})") for row, similarity, name in rows]


def join(parts: list[SimilarPairs]) -> tuple[Array, list[str]]:
    """Joins pairs, ascending by their records; returns them with the ids."""
    ids: list[str] = []
    pairs = [np.empty(0, SIMILAR)]
    for part in parts:
        shifted = part.pairs.copy()
        shifted["id"] += len(ids)
        shifted["first_id"] += len(ids)
        pairs.append(shifted)
        ids += part.ids
    joined = np.concatenate(pairs)
    return joined[np.lexsort((joined["first_row"], joined["first_block"], joined["row"], joined["block"]))], ids


def later_by_first(pairs: Array) -> dict[Place, list[tuple[Place, float, int]]]:
    """Returns, for each record whose signature later ones have, the later records of other signatures like it."""
    repeated = {(pair["first_block"], pair["first_row"]) for pair in pairs[pairs["same"]]}
    found: dict[Place, list[tuple[Place, float, int]]] = {}
    for block, row, first_block, first_row, similarity, same, name, _ in pairs.tolist():
        if not same and (first_block, first_row) in repeated:
            found.setdefault((first_block, first_row), []).append(((block, row), similarity, name))
    return found


def better(best: Best, similarity: float, name: int) -> Best:
    """Returns the more similar of two records; of equally similar ones the first."""
    return (similarity, name) if similarity > best[0] else best
