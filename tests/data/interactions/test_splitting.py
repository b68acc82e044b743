"""Splits of interactions by time and by user."""

import datetime

import numpy as np
import pytest

from tfchain.core.errors import InputError
from tfchain.data.interactions.reading import read_interactions
from tfchain.data.interactions.splitting import leave_last_out, split_by_time

ROWS = [
    {"user": user, "item": item, "timestamp": time}
    for user, item, time in [("a", "x", 1), ("a", "y", 2), ("a", "z", 3), ("b", "x", 4), ("c", "z", 10), ("c", "x", 20)]
]


def test_the_last_of_each_user_is_held_out() -> None:
    read = read_interactions(ROWS)
    train, held_out = leave_last_out(read)
    assert held_out.user_rows.tolist() == [0, 2]  # b has one alone, and keeps it
    assert [read.items.ids[row] for row in held_out.item_rows] == ["z", "x"]
    assert (len(train), len(train.users), train.items) == (4, 3, read.items)
    assert [len(part) for part in leave_last_out(read, least=3)] == [5, 1]
    with pytest.raises(InputError, match="`least` must be at most the interactions of some user, 3. Received: 4"):
        leave_last_out(read, least=4)


def test_what_came_last_of_all_is_held_out() -> None:
    read = read_interactions(ROWS)
    train, held_out = split_by_time(read, at=4)
    assert (len(train), len(held_out), float(held_out.times.min())) == (3, 3, 4.0)  # type: ignore[union-attr]
    assert [len(part) for part in split_by_time(read, share=0.2)] == [4, 2]  # the quantile is 10


def test_splits_that_cannot_be_are_refused() -> None:
    read = read_interactions(ROWS)
    for options, message in (
        ({}, "Give one of `share` and `at`"),
        ({"share": 1.0}, "`share` must be above 0 and below 1"),
        ({"at": 99}, "Both sides of a split must have interactions"),
    ):
        with pytest.raises(InputError, match=message):
            split_by_time(read, **options)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="A split by time needs times. Received: interactions without"):
        split_by_time(read_interactions([{"user": "a", "item": "x"}]), share=0.5)


def test_a_moment_is_a_date_as_well() -> None:
    read = read_interactions([{**row, "timestamp": f"2020-01-{row['timestamp']:02d}"} for row in ROWS])
    for at in ("2020-01-04", datetime.date(2020, 1, 4), np.float64(1577836800 + 3 * 86400)):
        assert [len(part) for part in split_by_time(read, at=at)] == [3, 3]
    with pytest.raises(InputError, match="`at` must be seconds since 1970, a date, .* Received: at='no'"):
        split_by_time(read, at="no")
