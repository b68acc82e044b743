"""Every row has its place in an epoch, duplicates stay apart, and the same seed gives the same plan."""

import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfchain.core.errors import InputError
from tfchain.data.pairs.distinct_batches import fill_distinct
from tfchain.data.pairs.samplers import mix_plans, plan_epoch

KEYS = st.integers(1, 3).flatmap(
    lambda columns: st.lists(st.lists(st.integers(1, 12), min_size=columns, max_size=columns), min_size=1, max_size=60)
)


def to_lists(plan: list[np.ndarray]) -> list[list[int]]:
    return [batch.tolist() for batch in plan]


@settings(max_examples=40, deadline=None)
@given(keys=KEYS, batch_size=st.integers(1, 9), seed=st.integers(0, 5), by_length=st.booleans())
def test_no_key_comes_twice_in_a_batch_and_every_row_comes_once(
    keys: list[list[int]], batch_size: int, seed: int, by_length: bool
) -> None:
    options: dict[str, Any] = {"batches": "no_duplicates_by_length" if by_length else "no_duplicates"}
    options |= {"keys": np.array(keys), "lengths": np.arange(len(keys)), "seed": seed}
    plan = to_lists(plan_epoch(len(keys), batch_size, **options))
    assert sorted(row for batch in plan for row in batch) == list(range(len(keys)))
    for batch in plan:
        assert 1 <= len(batch) <= batch_size
        for place, row in enumerate(batch):
            assert not any(set(keys[row]) & set(keys[other]) for other in batch[:place])
    sizes = [len(batch) for batch in plan]
    assert sizes == sorted(sizes, reverse=True)
    assert plan == to_lists(plan_epoch(len(keys), batch_size, **options))


@settings(max_examples=40, deadline=None)
@given(num_rows=st.integers(1, 300), batch_size=st.integers(1, 40), seed=st.integers(0, 5), by_length=st.booleans())
def test_batches_are_full_but_for_the_last_one(num_rows: int, batch_size: int, seed: int, by_length: bool) -> None:
    lengths = np.arange(num_rows) % 7
    plan = plan_epoch(num_rows, batch_size, batches="length" if by_length else "random", lengths=lengths, seed=seed)
    assert sorted(np.concatenate(plan).tolist()) == list(range(num_rows))
    rest = num_rows % batch_size
    assert [len(batch) for batch in plan] == [batch_size] * (num_rows // batch_size) + ([rest] if rest else [])
    assert all(batch.dtype == np.int64 for batch in plan)


@settings(max_examples=30, deadline=None)
@given(
    counts=st.lists(st.integers(1, 12), min_size=1, max_size=20), batch_size=st.integers(1, 8), seed=st.integers(0, 3)
)
def test_no_more_batches_than_one_key_a_row_makes_unavoidable(counts: list[int], batch_size: int, seed: int) -> None:
    keys = np.repeat(np.arange(1, len(counts) + 1), counts)[:, None]
    plan = plan_epoch(len(keys), batch_size, batches="no_duplicates", keys=keys, seed=seed)
    assert len(plan) == max(-(-len(keys) // batch_size), max(counts))


def test_random_is_the_permutation_of_seed_and_epoch() -> None:
    order = np.random.default_rng([3, 2]).permutation(10).tolist()
    assert to_lists(plan_epoch(10, 4, seed=3, epoch=2)) == [order[:4], order[4:8], order[8:]]
    assert to_lists(plan_epoch(10, 4, seed=3, epoch=2, drop_remainder=True)) == [order[:4], order[4:8]]
    assert to_lists(plan_epoch(10, 4, seed=3, epoch=1)) != to_lists(plan_epoch(10, 4, seed=3, epoch=2))


def test_a_text_that_fills_half_of_the_rows_is_in_every_batch_once() -> None:
    keys = np.array([[1, 100 + row] if row % 2 else [200 + row, 100 + row] for row in range(20)])
    plan = plan_epoch(20, 2, batches="no_duplicates", keys=keys, seed=1)
    assert [sorted(row % 2 for row in batch) for batch in to_lists(plan)] == [[0, 1]] * 10


def test_dropping_the_remainder_leaves_full_batches_only() -> None:
    keys = np.ones((10, 1), dtype=np.int64) * np.array([[1]] * 6 + [[2], [3], [4], [5]])
    plan = plan_epoch(10, 2, batches="no_duplicates", keys=keys, drop_remainder=True)
    assert [len(batch) for batch in plan] == [2] * 4
    with pytest.raises(InputError, match="No batch is full, .*10 rows, batch_size=6"):
        plan_epoch(10, 6, batches="no_duplicates", keys=keys, drop_remainder=True)


def test_length_batches_pad_little_and_come_in_random_order() -> None:
    lengths = np.random.default_rng(0).integers(5, 256, 6400)

    def padded(plan: list[np.ndarray]) -> float:
        return float(sum(len(rows) * lengths[rows].max() for rows in plan) / lengths.sum())

    keys = np.stack([np.arange(6400) // 4, 10_000 + np.arange(6400)], axis=1)
    assert padded(plan_epoch(6400, 32)) > 1.7
    for batches in ("length", "no_duplicates_by_length"):
        plan = plan_epoch(6400, 32, batches=batches, lengths=lengths, keys=keys)  # type: ignore[arg-type]
        assert padded(plan) < 1.1
        means = np.array([lengths[rows].mean() for rows in plan])
        assert abs(np.corrcoef(means[:-1], means[1:])[0, 1]) < 0.3


def test_many_duplicates_take_no_quadratic_time() -> None:
    number = np.arange(20_000)
    for keys in (
        np.zeros((20_000, 2), dtype=np.int64),  # one text everywhere
        np.stack([number // 142, 1000 + number % 142], axis=1),  # every query with every document
        np.stack([number, 100_000 + number % 10], axis=1),  # ten documents
    ):
        start = time.perf_counter()
        plan_epoch(20_000, 64, batches="no_duplicates", keys=keys)
        assert time.perf_counter() - start < 5  # about 0.2 s; a scan over all that wait takes 20


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_rows": 0}, "`num_rows` must be a whole number of at least 1"),
        ({"batch_size": 0}, "`batch_size` must be a whole number of at least 1"),
        ({"seed": -1}, "`seed` must be a whole number of at least 0"),
        ({"epoch": 0.5}, "`epoch` must be a whole number"),
        ({"batches": "sorted"}, "must be one of random, no_duplicates, length.* Received: batches='sorted'"),
        (
            {"batches": "length"},
            r"batches='length' needs `lengths`, whole numbers of shape \(4\). Received: lengths=None",
        ),
        ({"batches": "length", "lengths": np.ones(3, int)}, r"Received: lengths=int64 \(3,\)"),
        (
            {"batches": "no_duplicates", "keys": np.ones((4, 2))},
            r"shape \(4, columns\). Received: keys=float64 \(4, 2\)",
        ),
        ({"batch_size": 5, "drop_remainder": True}, "No batch is full"),
    ],
)
def test_bad_arguments_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        plan_epoch(**{"num_rows": 4, "batch_size": 2, **options})


def test_round_robin_ends_with_the_shortest_dataset() -> None:
    assert mix_plans([3, 2, 5]) == [0, 1, 2, 0, 1, 2]


def test_proportional_takes_all_batches_in_an_order_of_seed_and_epoch() -> None:
    order = mix_plans([30, 20, 1], mixing="proportional", seed=1, epoch=2)
    assert [order.count(number) for number in range(3)] == [30, 20, 1]
    assert order != sorted(order)
    assert order == mix_plans([30, 20, 1], mixing="proportional", seed=1, epoch=2)
    assert order != mix_plans([30, 20, 1], mixing="proportional", seed=1, epoch=3)


def test_bad_mixtures_are_refused() -> None:
    with pytest.raises(InputError, match="must be one of round_robin, proportional. Received: mixing='all'"):
        mix_plans([1], mixing="all")  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"at least one batch. Received: sizes=\[2, 0\]"):
        mix_plans([2, 0])


def test_rows_that_fill_no_batch_are_drawn_at_random_and_not_by_length() -> None:
    order = np.random.default_rng([1, 0]).permutation(103)
    lengths = np.zeros(103, dtype=int)
    lengths[order] = np.arange(103, 0, -1)  # every row is longer than all that are drawn behind it
    plan = to_lists(plan_epoch(103, 10, batches="length", lengths=lengths, seed=1))
    assert plan[-1] == order[100:].tolist()
    # All ten batches are one pool: sorted by length they are the order backwards.
    backwards = order[99::-1].tolist()
    assert sorted(plan[:-1]) == sorted(backwards[start : start + 10] for start in range(0, 100, 10))


def test_a_row_that_waits_keeps_its_turn_where_its_text_comes_with_another_row() -> None:
    first, second = 1, 2
    keys = np.arange(100, 130).reshape(15, 2)
    keys[0, 0] = keys[1, 0] = first
    keys[1, 1] = keys[2, 0] = keys[3, 0] = keys[4, 0] = second
    # Row 1 waits for `first`, rows 3 and 4 for `second`. Row 1 is in the second batch, with `second`: 3 stays before 4.
    assert to_lists(fill_distinct(np.arange(15), keys, 3)) == [
        [0, 2, 5],
        [1, 6, 7],
        [3, 8, 9],
        [4, 10, 11],
        [12, 13, 14],
    ]


def test_the_order_of_a_mixture_is_not_that_of_the_rows_of_a_dataset_of_its_size() -> None:
    numbers = np.repeat([0, 1, 2], [5, 4, 3])
    expected = np.random.default_rng([2, 3, 1]).permutation(numbers).tolist()
    assert mix_plans([5, 4, 3], mixing="proportional", seed=2, epoch=3) == expected
