"""Histories cut into windows: each item counts once, and has half a window before it."""

import numpy as np
import pytest

from tfchain.data.interactions.reading import read_interactions
from tfchain.training.recommendation.windows import HistoryWindows

LENGTHS = {"a": 3, "b": 23, "c": 1}
WORLD = read_interactions(
    [
        {"user": user, "item": f"i{number}", "timestamp": number}
        for user, size in LENGTHS.items()
        for number in range(size)
    ]
)


@pytest.mark.parametrize("epoch", range(5))
def test_each_item_counts_once_with_enough_before_it(epoch: int) -> None:
    windows = HistoryWindows(WORLD, 7, seed=3)
    found = list(windows.of_epoch(epoch))
    assert len(found) == windows.num_windows
    counted: dict[int, list[int]] = {0: [], 1: [], 2: []}
    for window in found:
        items, counts = window["items"], window["counts"]
        assert items.shape == counts.shape == (8,)
        real = items[items >= 0]
        assert (items[: len(real)] == real).all()  # padding is at the end
        assert (np.diff(real) == 1).all()
        counted[int(window["user"])] += items[counts].tolist()
        if counts.any() and real[0] > 0:  # not the beginning of a history
            assert np.flatnonzero(counts)[0] >= 4
    assert {user: sorted(rows) for user, rows in counted.items()} == {0: [0, 1, 2], 1: list(range(23)), 2: [0]}


def test_epochs_differ_and_are_the_same_when_they_come_again() -> None:
    windows = HistoryWindows(WORLD, 7)
    first, again, second = ([window["items"].tolist() for window in windows.of_epoch(epoch)] for epoch in (0, 0, 1))
    assert first == again != second


def test_a_user_has_at_most_so_many_windows() -> None:
    windows = HistoryWindows(WORLD, 7, most_windows=2)
    users = [int(window["user"]) for window in windows.of_epoch(0)]
    assert (sorted(users), windows.num_windows) == ([0, 1, 1, 2], 4)
