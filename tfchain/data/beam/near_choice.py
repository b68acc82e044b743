"""Which of similar records stay: each unless an earlier one that stays is similar."""

from collections.abc import Iterable, Iterator
from itertools import groupby

import numpy as np

from tfchain.data.beam.near_pairs import SIMILAR, SimilarPairs

Place = tuple[int, int]  # block and row


def choose(parts: Iterable[SimilarPairs]) -> Iterator[tuple[int, list[tuple[int, str]]]]:
    """Chooses which records to drop, of all pairs of similar records in the corpus.

    A record is dropped if an earlier one that stays is similar; it then repeats the most similar of those, of equally
    similar ones the first. A record with the same signature as an earlier one is dropped with it, or because of it.

    Args:
        parts: The pairs; the first record of each is earlier than the other.

    Yields:
        The dropped rows of each block, with what to say of them.
    """
    parts = list(parts)
    ids: list[str] = []
    pairs = [np.empty(0, SIMILAR)]
    for part in parts:
        shifted = part.pairs.copy()
        shifted["id"] += len(ids)
        pairs.append(shifted)
        ids += part.ids
    joined = np.concatenate(pairs)
    joined = joined[np.lexsort((joined["first_row"], joined["first_block"], joined["row"], joined["block"]))]
    dropped: dict[Place, tuple[float, int]] = {}
    for place, group in groupby(joined.tolist(), key=lambda pair: (pair[0], pair[1])):
        best = (0.0, -1)
        for _, _, first_block, first_row, similarity, same, name in group:
            fate = dropped.get((first_block, first_row))
            if fate is None and similarity > best[0]:
                best = (similarity, name)
            elif fate is not None and same and fate[0] > best[0]:
                best = fate
        if best[1] >= 0:
            dropped[place] = best
    for block, places in groupby(dropped, key=lambda place: place[0]):
        rows = [(row, dropped[block, row]) for _, row in places]
        yield block, [(row, f"repeats {ids[name]} (similarity {similarity:.2f})") for row, (similarity, name) in rows]
