import pickle

import numpy as np
import pytest

from tfchain.core.errors import InputError
from tfchain.models.indexes.exact import Similarity, StoredVectors, VectorIndex
from tfchain.models.indexes.storage import VectorStorage
from tfchain.models.native_library import find_obstacle

needs_kernels = pytest.mark.skipif(find_obstacle() is not None, reason=str(find_obstacle()))


def vectors(*rows: list[float]) -> np.ndarray:
    return np.array(rows, dtype="float32")


def test_cosine_compares_directions_and_dot_takes_lengths_into_account() -> None:
    documents, query = vectors([3, 4], [10, 1], [0, 2]), vectors([0, 5])
    cosine, dot = VectorIndex(2, "cosine"), VectorIndex(2, "dot")
    for index in (cosine, dot):
        index.add(documents, [1, 1, 1])
    rows, scores = cosine.search(query, 3)
    assert rows.tolist() == [[2, 0, 1]]
    np.testing.assert_allclose(scores, [[1, 0.8, 1 / 101**0.5]], rtol=1e-6)
    rows, scores = dot.search(query, 3)
    assert rows.tolist() == [[0, 2, 1]]
    np.testing.assert_allclose(scores, [[20, 10, 5]])


def test_a_document_is_scored_by_its_best_passage_and_counts_once() -> None:
    index = VectorIndex(2, "dot")
    index.add(vectors([1, 0], [0, 1], [0.5, 0.5], [0.9, 0]), [2, 1, 1])
    rows, scores = index.search(vectors([1, 0], [0, 1]), 2)
    assert rows.tolist() == [[0, 2], [0, 1]]
    np.testing.assert_allclose(scores, [[1, 0.9], [1, 0.5]])


def test_equal_scores_are_ranked_in_the_order_of_adding() -> None:
    index = VectorIndex(1, "dot")
    index.add(vectors([1], [2], [1], [1], [2]), [1] * 5)
    assert index.search(vectors([1]), 4)[0].tolist() == [[1, 4, 0, 2]]


def test_adding_in_parts_and_removing_gives_the_same_as_adding_what_is_left() -> None:
    random = np.random.default_rng(1)
    rows = random.normal(size=(30, 4)).astype("float32")
    counts = [2, 1, 3, 1, 1, 2] * 3
    index = VectorIndex(4)
    start = 0
    for number, count in enumerate(counts):
        index.add(rows[start : start + count], [count])
        start += count
        assert len(index) == number + 1
    index.remove([0, 5, 17])
    kept = [number for number in range(18) if number not in (0, 5, 17)]
    begins = np.cumsum([0, *counts])
    whole = VectorIndex(4)
    whole.add(
        np.concatenate([rows[begins[number] : begins[number + 1]] for number in kept]),
        [counts[number] for number in kept],
    )
    queries = random.normal(size=(5, 4)).astype("float32")
    for mine, other in zip(index.search(queries, 7), whole.search(queries, 7), strict=True):
        np.testing.assert_array_equal(mine, other)


def test_many_queries_are_searched_in_blocks_with_the_same_result(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(2)
    index = VectorIndex(4)
    index.add(random.normal(size=(50, 4)).astype("float32"), [1] * 50)
    queries = random.normal(size=(9, 4)).astype("float32")
    rows, scores = index.search(queries, 5)
    expected = index.prepare(queries) @ index.vectors.T
    assert rows.tolist() == np.argsort(-expected, axis=1, kind="stable")[:, :5].tolist()
    monkeypatch.setattr("tfchain.models.indexes.exact.SCORES_IN_BLOCK", 100)
    again = index.search(queries, 5)
    np.testing.assert_array_equal(again[0], rows)
    np.testing.assert_allclose(again[1], scores, rtol=1e-6)


def test_more_hits_than_documents_gives_all_and_none_gives_none() -> None:
    index = VectorIndex(2)
    assert index.search(vectors([1, 0]), 5)[0].shape == (1, 0)
    index.add(vectors([1, 0]), [1])
    assert index.search(vectors([1, 0]), 5)[0].tolist() == [[0]]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda index: index.search(vectors([1, 0]), 0), "must be a whole number of at least 1. Received: top_k=0"),
        (lambda index: index.add(vectors([1, 2, 3]), [1]), r"must be \(vectors, 2\).*Received: shape \(1, 3\)"),
        (lambda index: index.add(vectors([1, 2]), [2]), "1 counts with the sum 2"),
        (lambda index: index.add(vectors([1, np.nan]), [1]), "must be finite"),
        (lambda index: VectorIndex(2, "l2"), "'cosine' or 'dot'. Received: similarity='l2'"),
    ],
)
def test_bad_input_is_named_and_changes_nothing(call, message: str) -> None:
    index = VectorIndex(2)
    index.add(vectors([0, 1]), [1])
    with pytest.raises(InputError, match=message):
        call(index)
    assert len(index) == 1
    assert index.vectors.tolist() == [[0, 1]]


def test_a_copy_stays_as_it_was() -> None:
    index = VectorIndex(2, "dot")
    index.add(vectors([1, 0], [0, 1]), [1, 1])
    before = index.copy()
    index.remove([0])
    index.add(vectors([0, 5]), [1])
    assert before.vectors.tolist() == [[1, 0], [0, 1]]
    assert before.search(vectors([0, 1]), 2)[1].tolist() == [[1, 0]]
    assert index.search(vectors([0, 1]), 2)[1].tolist() == [[5, 1]]
    assert index.slots.tolist() == [1, 2]
    assert (index.starts.tolist(), index.counts.tolist()) == ([0, 1], [1, 1])


@pytest.mark.parametrize("storage", [VectorStorage(), VectorStorage("int8"), VectorStorage("binary", 4, "learned")])
def test_cosines_are_never_above_one(storage: VectorStorage) -> None:
    rows = np.random.default_rng(3).normal(size=(400, 48)).astype("float32")
    rows[0] = 1
    rows[0, 0] = 127.49  # int8 keeps 1, but 127 steps of it in place of 127.49
    index = VectorIndex(48, "cosine", storage)
    index.add(rows, [1] * 400)
    _, scores = index.search(np.concatenate([rows, -rows]), 400)
    assert scores.max() <= 1
    assert scores.min() >= -1
    if storage.precision != "binary":
        assert scores.max() > 0.999


def test_scores_beyond_one_keep_their_order() -> None:
    """Coarse vectors are longer than one, some more than others."""
    index = VectorIndex(2, "cosine", VectorStorage("int8"))
    kept = StoredVectors(np.array([[101, 0], [103, 0], [102, 0]], "int8"), np.full(3, 0.01, "float32"))
    index.add(kept, [1, 1, 1])
    rows, scores = index.search(vectors([1, 0]), 3)
    assert rows.tolist() == [[1, 2, 0]]
    assert scores.tolist() == [[1, 1, 1]]


def test_scalar_products_may_be_of_any_size() -> None:
    index = VectorIndex(1, "dot")
    index.add(vectors([-7], [7]), [1, 1])
    assert index.search(vectors([3]), 2)[1].tolist() == [[21, -21]]


@pytest.mark.parametrize("top_k", [1, 2, 3, 4])
def test_twins_at_the_cut_are_ranked_in_the_order_of_adding(top_k: int) -> None:
    index = VectorIndex(2, "dot")
    index.add(vectors([0, 1], [1, 0], [2, 0], [1, 0], [1, 0]), [1] * 5)
    assert index.search(vectors([1, 0]), top_k)[0].tolist() == [[2, 1, 3, 4][:top_k]]


@needs_kernels
@pytest.mark.parametrize("storage", [VectorStorage(), VectorStorage("int8")], ids=repr)
@pytest.mark.parametrize("similarity", ["cosine", "dot"])
def test_the_kernels_find_what_numpy_finds(
    storage: VectorStorage, similarity: Similarity, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = np.random.default_rng(4)
    index = VectorIndex(24, similarity, storage)
    queries = random.normal(size=(6, 24)).astype("float32")
    for count in (1, 40, 300):  # searched between the additions, and with room at the end
        index.add(random.normal(size=(3 * count, 24)).astype("float32"), [1, 2] * count)
        if count == 40:
            index.remove([0, 5, 17])
        for allowed in (None, random.random(len(index)) < 0.3):
            for top_k, more in ((1, 0), (9, 4), (1000, 0)):
                rows, scores = index.search(queries, top_k, more=more, allowed=allowed)
                with monkeypatch.context() as patch:
                    patch.setattr("tfchain.models.indexes.vector_rows.is_suitable", lambda *_: False)
                    plain = index.copy()
                    plain._rows._arrays.copies, kept = None, plain._rows._arrays.copies
                    expected_rows, expected_scores = plain.search(queries, top_k, more=more, allowed=allowed)
                    plain._rows._arrays.copies = kept
                np.testing.assert_array_equal(rows, expected_rows)
                np.testing.assert_allclose(scores, expected_scores, rtol=1e-6, atol=1e-6)
    assert index._rows._arrays.copies is not None


@needs_kernels
def test_a_query_alone_and_among_others_has_the_same_scores() -> None:
    random = np.random.default_rng(6)
    index = VectorIndex(40)
    index.add(random.normal(size=(700, 40)).astype("float32"), [1] * 700)
    queries = random.normal(size=(7, 40)).astype("float32")
    rows, scores = index.search(queries, 10)
    for number in range(7):
        alone = index.search(queries[number : number + 1], 10)
        assert (alone[0].tolist(), alone[1].tolist()) == ([rows[number].tolist()], [scores[number].tolist()])


def test_scores_beyond_the_range_of_float32_are_numpys() -> None:
    index = VectorIndex(2, "dot")
    index.add(vectors([1e30, 0], [1, 1], [-1e30, 0], [2e30, 0]), [1] * 4)
    with np.errstate(over="ignore"):
        rows, scores = index.search(vectors([1e30, 0]), 4)
    assert rows.tolist() == [[0, 3, 1, 2]]
    assert scores.tolist() == [[np.inf, np.inf, np.float32(1e30), -np.inf]]


@needs_kernels
def test_copies_are_made_at_the_first_search_and_shared_by_versions_of_the_same_arrays() -> None:
    index = VectorIndex(8)
    index.add(np.eye(8, dtype="float32"), [1] * 8)
    assert index._rows._arrays.copies is None
    index.search(np.eye(8, dtype="float32")[:1], 1)
    copies = index._rows._arrays.copies
    assert copies is not None
    before = index.copy()
    index.add(2 * np.eye(8, dtype="float32")[:3], [1] * 3)
    assert index.search(np.eye(8, dtype="float32")[:1], 3)[0].tolist() == [[0, 8, 1]]
    assert before.search(np.eye(8, dtype="float32")[:1], 3)[0].tolist() == [[0, 1, 2]]
    assert index._rows._arrays.copies is copies
    index.compact()
    assert pickle.loads(pickle.dumps(index)).search(np.eye(8, dtype="float32")[:1], 2)[0].tolist() == [[0, 8]]
