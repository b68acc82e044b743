"""Exact duplicates across blocks: the smallest place stays."""

import numpy as np
import pytest

from tfchain.data.beam.exact_duplicates import deal, find_repeats
from tfchain.data.beam.offsets import to_offsets

pytestmark = pytest.mark.beam


def part(block: int, rows: list[int], keys: list[int]) -> tuple[int, np.ndarray, np.ndarray]:
    return block, np.array(rows, np.int32), np.array(keys, np.uint64)


def test_the_first_of_equal_hashes_stays_whatever_comes_first() -> None:
    # Block 1 has ten records before block 5. Hash 7 stands in row 2 of block 1 first, hash 8 in row 0 of block 5.
    parts = [part(5, [0, 3, 4], [8, 7, 8]), part(1, [2, 9], [7, 7])]

    assert dict(find_repeats((0, parts), {1: 100, 5: 110})) == {
        1: [(9, "repeats record number 103 of those that came here")],
        5: [
            (3, "repeats record number 103 of those that came here"),
            (4, "repeats record number 111 of those that came here"),
        ],
    }


def test_rows_are_dealt_by_their_hashes() -> None:
    found = {
        number: (block, rows.tolist(), keys.tolist())
        for number, (block, rows, keys) in deal(*part(3, [0, 4, 6], [5, 8, 3]), 2)
    }  # type: ignore[arg-type]

    assert found == {0: (3, [4], [8]), 1: (3, [0, 6], [5, 3])}
    assert list(deal(*part(3, [], []), 2)) == []


def test_offsets_count_what_stands_before() -> None:
    assert to_offsets([(2**32, 4), (0, 3), (1, 5)]) == {0: 0, 1: 3, 2**32: 8}
