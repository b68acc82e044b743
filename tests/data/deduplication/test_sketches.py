"""Tests of MinHash signatures, their bands, and what is said where rensa is missing."""

import sys

import numpy as np
import pytest

from tfchain.core.errors import MissingPackageError
from tfchain.data.deduplication.sketches import choose_rows, make_band_keys, make_sketches


def test_equal_slots_estimate_the_similarity():
    first, second = [str(i) for i in range(300)], [str(i) for i in range(100, 400)]
    sketches = make_sketches([first, second, list(reversed(first)) * 2])
    assert sketches.shape == (3, 256)
    assert sketches.dtype == np.uint16
    assert abs(float(np.mean(sketches[0] == sketches[1])) - 0.5) < 0.1  # 200 shared of 400; the error is 0.03
    assert np.array_equal(sketches[0], sketches[2])  # order and repetition do not matter


def test_rows_of_a_band_by_hand():
    # 1 - (1 - 0.5^4)^64 = 0.984; with five rows 1 - (1 - 0.5^5)^51 = 0.80
    assert choose_rows(0.5) == 4
    assert choose_rows(0.01) == 1
    assert choose_rows(1.0) == 32


def test_keys_are_equal_where_all_slots_of_a_band_are():
    sketches = np.array([[1, 2, 3, 4, 5], [1, 2, 3, 9, 5], [3, 4, 1, 2, 5]], np.uint16)
    keys = make_band_keys(sketches, 2)
    assert keys.shape == (3, 2)  # the fifth slot belongs to no band
    assert keys[0, 0] == keys[1, 0]
    assert len(set(keys.reshape(-1).tolist())) == 5  # the band's number is part of its key


def test_keys_of_few_bits_are_below_their_limit():
    keys = make_band_keys(np.arange(4000, dtype=np.uint16).reshape(1000, 4), 2, bits=10)
    assert int(keys.max()) < 1024
    assert len(np.unique(keys)) > 800  # 2000 keys in 1024 places: 879 expected


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "rensa", None)
    with pytest.raises(MissingPackageError, match=r"need the package rensa.*pip install 'tfchain\[data\]'"):
        make_sketches([["a"]])
