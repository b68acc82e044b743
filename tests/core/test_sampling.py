"""Evenly spread parts."""

import pytest

from tfchain.core.sampling import spread_evenly


@pytest.mark.parametrize(("count", "expected"), [
    (0, []), (1, ["a"]), (2, ["a", "c"]), (3, ["a", "b", "d"]), (5, list("abcde")), (9, list("abcde")),
])  # fmt: skip
def test_items_are_taken_at_equal_distances(count: int, expected: list[str]) -> None:
    assert spread_evenly("abcde", count) == expected
    assert spread_evenly([], count) == []
