"""Tests of the array that grows."""

import numpy as np

from tfchain.data.deduplication.growing_array import GrowingArray


def test_rows_are_those_that_were_added():
    array = GrowingArray(np.empty((0, 2), np.int8))
    assert len(array) == 0
    for number in range(3000):
        array.add(np.array([[number % 100, 1]], np.int8))
    assert len(array) == 3000
    assert array.rows.shape == (3000, 2)
    assert array.rows[:, 0].tolist() == [number % 100 for number in range(3000)]
    assert array.rows.dtype == np.int8


def test_it_does_not_copy_at_every_addition():
    array = GrowingArray(np.empty(0, np.bool_))
    array.add(np.ones(10, np.bool_))
    before = array.rows
    array.add(np.zeros(10, np.bool_))
    assert np.shares_memory(before, array.rows)
