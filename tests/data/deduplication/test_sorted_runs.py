"""Tests of the growing table of sorted arrays, beside a dict."""

import random
from collections import defaultdict
from itertools import pairwise

import numpy as np

from tfchain.data.deduplication.sorted_runs import SortedRuns


def found_of(table: SortedRuns, keys: list[int]) -> dict[int, list[int]]:
    found = defaultdict(list)
    for place, value in zip(*table.find(np.array(keys, np.uint32)), strict=True):
        found[int(place)].append(int(value))
    return {place: sorted(values) for place, values in found.items()}


def test_every_value_of_a_key_is_found(tmp_path):
    generator = random.Random(0)
    table, expected, number = SortedRuns(), defaultdict(list), 0
    for _ in range(60):
        keys = [generator.randrange(300) for _ in range(generator.randrange(1, 40))]
        values = list(range(number, number + len(keys)))
        number += len(keys)
        table.add(np.array(keys, np.uint32), np.array(values, np.uint32))
        for key, value in zip(keys, values, strict=True):
            expected[key].append(value)
    asked = list(range(320))
    hand = {place: expected[key] for place, key in enumerate(asked) if key in expected}
    assert found_of(table, asked) == hand
    lengths = [len(keys) for keys, _ in table.runs]
    assert all(longer > 2 * shorter for longer, shorter in pairwise(lengths))

    table.save(tmp_path)
    assert found_of(SortedRuns.load(tmp_path), asked) == hand


def test_nothing_is_found_in_an_empty_table(tmp_path):
    SortedRuns().save(tmp_path)
    for table in (SortedRuns(), SortedRuns.load(tmp_path)):
        assert found_of(table, [1, 2]) == {}
