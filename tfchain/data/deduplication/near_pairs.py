"""Pairs of texts that nearly repeat each other, found by MinHash and then compared exactly."""

from collections.abc import Iterator, Sequence
from hashlib import blake2b
from itertools import combinations, product

import numpy as np

from tfchain.data.deduplication.shingles import SHINGLE_SIZE, check_shingle_size, jaccard, make_shingles
from tfchain.data.deduplication.sketches import Keys, check_threshold, choose_rows, make_band_keys, make_sketches

SKETCHED_AT_ONCE = 4096


def find_near_duplicates(
    texts: Sequence[str],
    others: Sequence[str] | None = None,
    *,
    threshold: float = 0.5,
    shingle_size: int = SHINGLE_SIZE,
) -> list[tuple[int, int, float]]:
    """Finds the pairs of texts whose shingles overlap, within one list or between two.

    Use it to look at duplicates, or for leaks from one set of texts to another; `RemoveNearDuplicates` removes them
    from a stream.

    Candidates come from MinHash, with a probability of at least 0.97 for a pair right at the threshold and quickly more
    above it; each is then compared exactly, so that every similarity returned is exact.

    Args:
        texts: The texts. In memory with their shingles, as far as they are candidates.
        others: The texts to compare them with. Default: each other.
        threshold: The least Jaccard similarity: the shingles that two texts share over those that either has. Default:
            0.5. A text in which every tenth word was edited keeps about 0.67, every fifth about 0.45.
        shingle_size: Words of a shingle, in Chinese characters. Default: 2.

    Returns:
        `(i, j, similarity)`, ascending by `i` and `j`: `texts[i]` with `texts[j]`, `i < j`, or with `others[j]`. Within
        one list, texts of equal shingles are a group, and `i` or `j` is its first; so a text that stands there a
        thousand times gives 999 pairs and not half a million.

    Raises:
        InputError: if `threshold` or `shingle_size` is out of range.
        MissingPackageError: if rensa is not installed.

    Example:
        >>> find_near_duplicates(["How do I top up my card?", "Hello.", "How do I top up my new card?"])
        [(0, 2, 0.625)]
    """
    check_threshold(threshold)
    check_shingle_size(shingle_size)
    rows = choose_rows(threshold)
    if others is None:
        first, groups = group_equal(texts, shingle_size)
        kept = [texts[place] for place in first]
        pairs = same_keys(sketch_keys(kept, shingle_size, rows))
        near = compare(kept, kept, pairs, threshold, shingle_size)
        found = [(first[i], first[j], similarity) for i, j, similarity in near]
        return sorted(found + [(one, other, 1.0) for one, other in groups])
    keys = np.concatenate([sketch_keys(texts, shingle_size, rows), sketch_keys(others, shingle_size, rows)])
    pairs = same_keys(keys, border=len(texts))
    return sorted(compare(texts, others, ((i, j - len(texts)) for i, j in pairs), threshold, shingle_size))


def group_equal(texts: Sequence[str], size: int) -> tuple[list[int], list[tuple[int, int]]]:
    """Returns the places of texts with different sets of shingles, and each other place with the first like it."""
    first: dict[bytes, int] = {}
    repeats: list[tuple[int, int]] = []
    for place, text in enumerate(texts):
        shingles = "\0".join(sorted(set(make_shingles(text, size))))
        one = first.setdefault(blake2b(shingles.encode("utf-8", "surrogatepass"), digest_size=16).digest(), place)
        if one != place:
            repeats.append((one, place))
    return sorted(first.values()), repeats


def sketch_keys(texts: Sequence[str], size: int, rows: int) -> Keys:
    """Returns the keys of each text's bands."""
    parts = []
    for start in range(0, max(len(texts), 1), SKETCHED_AT_ONCE):
        shingles = [make_shingles(text, size) for text in texts[start : start + SKETCHED_AT_ONCE]]
        parts.append(make_band_keys(make_sketches(shingles), rows))
    return np.concatenate(parts)


def same_keys(keys: Keys, border: int | None = None) -> Iterator[tuple[int, int]]:
    """Yields each pair of rows with a key in common, once: of all rows, or of rows before and from the border on."""
    seen: set[int] = set()
    total = len(keys)
    for band in range(keys.shape[1]):
        order = np.argsort(keys[:, band], kind="stable")
        sorted_keys = keys[order, band]
        bounds = np.flatnonzero(np.append(True, sorted_keys[1:] != sorted_keys[:-1]))  # where another key begins
        bounds = np.append(bounds, total)
        large = np.flatnonzero(np.diff(bounds) > 1)
        for start, end in zip(bounds[large], bounds[large + 1], strict=True):
            members = [int(row) for row in order[start:end]]
            if border is None:
                pairs: Iterator[tuple[int, int]] = combinations(members, 2)
            else:
                pairs = product([row for row in members if row < border], [row for row in members if row >= border])
            for i, j in pairs:
                if i * total + j not in seen:
                    seen.add(i * total + j)
                    yield i, j


def compare(
    texts: Sequence[str],
    others: Sequence[str],
    pairs: Iterator[tuple[int, int]],
    threshold: float,
    size: int,
) -> list[tuple[int, int, float]]:
    """Returns the pairs whose exact similarity reaches the threshold."""
    known: dict[int, frozenset[str]] = {}
    known_others: dict[int, frozenset[str]] = known if others is texts else {}
    found = []
    for i, j in pairs:
        if i not in known:
            known[i] = frozenset(make_shingles(texts[i], size))
        if j not in known_others:
            known_others[j] = frozenset(make_shingles(others[j], size))
        similarity = jaccard(known[i], known_others[j])
        if similarity >= threshold:
            found.append((i, j, similarity))
    return found
