"""Arrays that grow and lose documents beside their readers."""

import pickle

import numpy as np
import pytest

from tfchain.models.indexes.vector_rows import SPARE, StoredVectors, VectorRows


def stored(*numbers: int) -> StoredVectors:
    return StoredVectors(np.array(numbers, dtype="int8")[:, None], np.array(numbers, dtype="float32") / 2)


def numbers(rows: VectorRows) -> list[int]:
    live = rows.live
    assert live.scales is not None
    np.testing.assert_array_equal(live.scales * 2, live.values[:, 0])
    return live.values[:, 0].tolist()


@pytest.fixture
def rows() -> VectorRows:
    """Documents of 1, 2 and 1 vectors."""
    return VectorRows(stored(1), [1]).added(stored(2, 3, 4), [2, 1])


def test_older_versions_stay_as_they_were(rows: VectorRows) -> None:
    fewer = rows.removed([1])
    more = fewer.added(stored(5, 6), [2])
    last = more.removed([0, 3])
    assert [numbers(one) for one in (rows, fewer, more, last)] == [[1, 2, 3, 4], [1, 4], [1, 4, 5, 6], [4]]
    assert [one.counts.tolist() for one in (rows, fewer, more, last)] == [[1, 2, 1], [1, 1], [1, 1, 2], [1]]
    assert [one.slots.tolist() for one in (rows, fewer, more, last)] == [[0, 1, 2], [0, 2], [0, 2, 3], [2]]
    assert [len(one) for one in (rows, fewer, more, last)] == [3, 2, 3, 1]
    assert [one.nbytes for one in (rows, fewer, more, last)] == [20, 10, 20, 5]


def test_two_versions_that_follow_the_same_one_do_not_write_over_each_other(rows: VectorRows) -> None:
    left, right = rows.removed([0]).added(stored(7), [1]), rows.added(stored(8), [1]).removed([2])
    assert numbers(left) == [2, 3, 4, 7]
    assert numbers(right) == [1, 2, 3, 8]
    assert numbers(left.removed([3]).added(stored(9), [1])) == [2, 3, 4, 9]
    assert numbers(right.removed([0])) == [2, 3, 8]
    assert numbers(rows) == [1, 2, 3, 4]


def test_a_version_shares_the_arrays_of_the_one_before(rows: VectorRows) -> None:
    after = rows.removed([0]).added(stored(7), [1])
    assert np.shares_memory(after.all.values, rows.all.values)
    assert rows.live.values.base is not None  # nothing was removed: no copy
    assert np.shares_memory(rows.live.values, rows.all.values)


def test_removed_documents_stay_removed_where_the_arrays_grow_or_are_copied(rows: VectorRows) -> None:
    fewer, many = rows.removed([1]), 2 * SPARE
    nines = StoredVectors(np.full((many, 1), 9, "int8"), np.full(many, 4.5, "float32"))
    grown = fewer.added(nines, [1] * many)
    assert not np.shares_memory(grown.all.values, fewer.all.values)
    copied = fewer.added(stored(7), [1])  # `fewer` is not the last version any more
    assert not np.shares_memory(copied.all.values, grown.all.values)
    assert numbers(grown) == [1, 4] + [9] * many
    assert numbers(copied) == [1, 4, 7]
    assert (len(grown), len(copied)) == (many + 2, 3)


def test_compacted_rows_count_anew_and_go_on(rows: VectorRows) -> None:
    moved = rows.removed([1]).compacted()
    assert moved.is_dense
    assert moved.slots.tolist() == [0, 1]
    assert numbers(moved.added(stored(9), [1]).removed([0])) == [4, 9]
    assert numbers(moved) == [1, 4]


def test_documents_are_sparse_from_an_eighth_removed_on_and_small_ones_never() -> None:
    many = VectorRows(StoredVectors(np.zeros((8000, 1), "float32")), [4] * 2000)
    assert not many.removed(range(265)).is_sparse  # 1,060 vectors of 8,000
    assert many.removed(range(270)).is_sparse
    assert not VectorRows(StoredVectors(np.zeros((64, 1), "float32")), [1] * 64).removed(range(64)).is_sparse


def test_the_vectors_of_some_documents_come_in_the_order_asked(rows: VectorRows) -> None:
    assert rows.removed([0]).take(np.array([2, 1])).values[:, 0].tolist() == [4, 2, 3]


def test_pickled_rows_hold_what_is_there_alone(rows: VectorRows) -> None:
    again = pickle.loads(pickle.dumps(rows.removed([1])))
    assert numbers(again) == [1, 4]
    assert again.num_slots == 2
