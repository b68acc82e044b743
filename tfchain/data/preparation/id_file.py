"""Finds documents with equal ids among any number of them, in memory that does not grow."""

from pathlib import Path

import numpy as np

from tfchain.data.preparation.encoded_block import DIGEST_BYTES

PART_IDS = 1 << 18  # about as many are compared at a time
DIGEST = np.dtype([("first", "<u8"), ("second", "<u8")])


def find_equal_ids(path: Path) -> tuple[int, int] | None:
    """Finds two records whose ids have the same digest.

    The digests are dealt to parts by their first bytes, and one part after the other is sorted.

    Args:
        path: A file of digests of 16 bytes, one for each record in order.

    Returns:
        The numbers of the two records, from 0; of several such pairs one. `None` if all ids differ.
    """
    number = path.stat().st_size // DIGEST_BYTES
    parts = -(-number // PART_IDS)
    for part in range(parts):
        equal = find_equal(*read_part(path, number, part, parts))
        if equal is not None:
            return equal
    return None


def read_part(path: Path, number: int, part: int, parts: int) -> tuple[np.ndarray, np.ndarray]:
    """Reads the digests of one part, and the numbers of their records."""
    digests, places = [], []
    with path.open("rb") as file:
        for start in range(0, number, PART_IDS):
            block = np.frombuffer(file.read(PART_IDS * DIGEST_BYTES), dtype=DIGEST)
            mine = np.flatnonzero(block["first"] % np.uint64(parts) == part)
            digests.append(block[mine])
            places.append(mine + start)
    return np.concatenate(digests), np.concatenate(places)


def find_equal(digests: np.ndarray, places: np.ndarray) -> tuple[int, int] | None:
    """Finds two equal digests; returns their places, of several such pairs that which ends first."""
    order = np.lexsort((digests["second"], digests["first"]))  # stable: equal ones keep their order
    ordered, numbers = digests[order], places[order]
    equal = np.flatnonzero(ordered[1:] == ordered[:-1])
    if not len(equal):
        return None
    first = equal[np.argmin(numbers[equal + 1])]
    return int(numbers[first]), int(numbers[first + 1])
