"""Indexes that keep vectors in fewer bits: what they find, in Python and in the graph."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tfchain.core.errors import InputError
from tfchain.models.indexes.exact import StoredVectors, VectorIndex
from tfchain.models.indexes.exact_graph import make_search
from tfchain.models.indexes.storage import VectorStorage

INT8 = VectorStorage("int8")
SIGNS = VectorStorage("binary", rescore_multiplier=2, codes="signs")
LEARNED = VectorStorage("binary", rescore_multiplier=3)
BITS_ALONE = VectorStorage("binary", rescore_multiplier=None, codes="signs")


def make_index(storage: VectorStorage, dim: int, counts: list[int]) -> tuple[VectorIndex, np.ndarray]:
    random = np.random.default_rng(dim)
    vectors = random.normal(size=(sum(counts), dim)).astype("float32")
    index = VectorIndex(dim, "cosine", storage)
    index.add(vectors, counts)
    return index, vectors


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_int8_scores_are_nearly_the_cosines_and_the_best_of_a_documents_counts() -> None:
    index, vectors = make_index(INT8, 24, [1, 2] * 20)
    queries = np.random.default_rng(0).normal(size=(4, 24)).astype("float32")
    exact = np.maximum.reduceat(unit(queries) @ unit(vectors).T, index.starts, axis=1)
    rows, scores = index.search(queries, 40)
    np.testing.assert_allclose(scores, np.take_along_axis(exact, rows, 1), atol=0.01)
    assert index.nbytes == 60 * (24 + 4)


def test_int8_keeps_lengths_where_the_similarity_is_dot() -> None:
    index = VectorIndex(2, "dot", INT8)
    index.add(np.array([[3, 4], [30, 40]], dtype="float32"), [1, 1])
    rows, scores = index.search(np.array([[0, 5]], dtype="float32"), 2)
    assert rows.tolist() == [[1, 0]]
    np.testing.assert_allclose(scores, [[200, 20]], rtol=1e-6)


def test_bits_alone_are_ranked_by_how_many_agree_and_equal_ones_in_their_order() -> None:
    index = VectorIndex(4, "cosine", BITS_ALONE)
    index.add(np.array([[-1, 1, 1, 1], [1, 1, 1, -9], [1, 2, 3, 4], [-1, -1, -1, -1]], dtype="float32"), [1] * 4)
    rows, scores = index.search(np.array([[9, 1, 1, 1]], dtype="float32"), 4)
    assert rows.tolist() == [[2, 0, 1, 3]]
    np.testing.assert_allclose(scores, [[1, 0.5, 0.5, -1]])
    assert index.nbytes == 4


def test_rescoring_multiplies_the_float_query_by_the_signs_of_the_best_candidates() -> None:
    index = VectorIndex(4, "cosine", VectorStorage("binary", 3, "signs"))
    # Bits that agree with the query's: 3, 3 and 2. The first weighs most in the query, the last two least.
    index.add(np.array([[-1, 1, 1, 1], [1, 1, 1, -1], [1, 1, -1, -1]], dtype="float32"), [1] * 3)
    query = np.array([[8, 3, 2, 2]], dtype="float32")
    rows, scores = index.search(query, 1)
    assert rows.tolist() == [[1]]
    np.testing.assert_allclose(scores, [[11 / 9 / 2]], rtol=1e-6)  # (8 + 3 + 2 - 2) / |query| / sqrt(4)
    # With two candidates the third is not looked at, though its score would be better than the first's.
    rows, _ = VectorIndex.search(with_multiplier(index, 2), query, 1, more=2)
    assert rows.tolist() == [[1, 0]]
    rows, _ = index.search(query, 1, more=2)
    assert rows.tolist() == [[1, 2, 0]]


def with_multiplier(index: VectorIndex, multiplier: int) -> VectorIndex:
    made = VectorIndex(index.dim, "cosine", VectorStorage("binary", multiplier, "signs"))
    made.add(index.stored, index.counts.tolist())
    return made


def test_learned_bits_find_more_of_the_nearest_than_signs() -> None:
    random = np.random.default_rng(3)
    mix = random.normal(size=(32, 32)) * 0.85 ** np.arange(32)[:, None]
    vectors = (random.normal(size=(600, 32)) @ mix + 0.5).astype("float32")
    queries = (vectors[:50] + 0.3 * random.normal(size=(50, 32))).astype("float32")
    nearest = np.argsort(-(unit(queries) @ unit(vectors).T), axis=1)[:, :10]
    found = {}
    for codes in ("signs", "learned"):
        index = VectorIndex(32, "cosine", VectorStorage("binary", 10, codes))
        index.add(vectors, [1] * 600)
        rows, _ = index.search(queries, 10)
        found[codes] = np.mean([len(set(one) & set(other)) for one, other in zip(rows, nearest, strict=True)])
    assert found["learned"] > found["signs"] + 1
    assert index.nbytes == 600 * 4 + 4 * (32 * 32 + 32)


@pytest.mark.parametrize("storage", [INT8, SIGNS, LEARNED])
def test_what_was_kept_is_taken_by_another_index_and_survives_removing(storage: VectorStorage) -> None:
    index, _ = make_index(storage, 8, [1, 3, 2] * 20)
    other = VectorIndex(8, "cosine", storage, index.codebook)
    other.add(index.stored[:6], [1, 3, 2])
    other.add(index.stored[6:], [1, 3, 2] * 19)
    assert (index.codebook is None) == (storage is not LEARNED)
    queries = np.random.default_rng(1).normal(size=(3, 8)).astype("float32")
    for mine, others in zip(index.search(queries, 9), other.search(queries, 9), strict=True):
        np.testing.assert_array_equal(mine, others)
    other.remove(range(3))
    np.testing.assert_array_equal(other.stored.values, index.stored.values[6:])
    with pytest.raises(InputError, match="must be stored in"):
        other.add(StoredVectors(np.zeros((1, other.vectors.shape[1]), dtype="float64")), [1])


def test_vectors_that_come_later_keep_the_codebook_of_the_first() -> None:
    index, vectors = make_index(LEARNED, 8, [1] * 40)
    book = index.codebook
    index.add(vectors[:3], [1] * 3)
    assert index.codebook is book
    np.testing.assert_array_equal(index.vectors[40:], index.vectors[:3])


@pytest.mark.parametrize(("dim", "vectors"), [(8, 4096), (256, 4096), (257, 4112), (1024, 16384)])
def test_bits_are_learned_from_sixteen_vectors_a_dimension_and_no_fewer_than_a_part(dim: int, vectors: int) -> None:
    assert VectorIndex(dim, "cosine", LEARNED).num_to_learn == vectors
    assert VectorIndex(dim, "cosine", SIGNS).num_to_learn == 0
    assert VectorIndex(dim, "cosine", INT8).num_to_learn == 0


def test_nothing_is_learned_when_there_are_vectors_already() -> None:
    index, vectors = make_index(LEARNED, 8, [1] * 31)  # one less than four a bit
    assert index.num_to_learn == 0
    index.add(vectors, [1] * 31)
    assert index.codebook is None


def test_bits_are_refused_for_scalar_products() -> None:
    with pytest.raises(InputError, match="need the similarity 'cosine'.*Received: similarity='dot'. Use int8"):
        VectorIndex(4, "dot", SIGNS)


@pytest.mark.parametrize(
    ("storage", "dim"),
    [
        (VectorStorage(), 5),
        (INT8, 16),
        *((SIGNS, dim) for dim in (5, 16, 32, 64)),  # words of 8, 16, 32 and 64 bits
        (LEARNED, 5),
        (LEARNED, 16),
        (BITS_ALONE, 16),
    ],
)
@pytest.mark.parametrize("counts", [[1] * 120, [1, 3, 2] * 20], ids=["texts", "passages"])
def test_the_graph_finds_what_python_finds(storage: VectorStorage, counts: list[int], dim: int) -> None:
    index, _ = make_index(storage, dim, counts)
    module = tf.Module()
    search = tf.function(
        make_search(module, index, 7), input_signature=[tf.TensorSpec([None, dim], tf.float32)], autograph=False
    )
    queries = np.random.default_rng(9).normal(size=(6, dim)).astype("float32")
    rows, scores = index.search(queries, 7)
    found_scores, found_rows = search(queries)
    np.testing.assert_allclose(found_scores, scores, atol=1e-5)
    np.testing.assert_array_equal(found_rows, rows)
    assert search(np.zeros((0, dim), dtype="float32"))[0].shape == (0, 7)


@pytest.mark.parametrize("similarity", ["cosine", "dot"])
@pytest.mark.parametrize("storage", [VectorStorage(), INT8, SIGNS, LEARNED, BITS_ALONE], ids=repr)
@pytest.mark.parametrize("counts", [[1] * 120, [1, 3, 2] * 20], ids=["texts", "passages"])
def test_among_some_documents_the_best_are_those_of_an_index_of_these_alone(
    storage: VectorStorage, counts: list[int], similarity: Any
) -> None:
    if storage.precision == "binary" and similarity == "dot":
        pytest.skip("bits have no lengths")
    random = np.random.default_rng(5)
    index = VectorIndex(16, similarity, storage)
    index.add(random.normal(size=(sum(counts), 16)).astype("float32"), counts)
    index.remove_slots([0, 7, 29])  # rows are no slots
    queries = random.normal(size=(4, 16)).astype("float32")
    module = tf.Module()
    search = make_search(module, index, 7)
    for share in (0.5, 0.1, 0.0):
        allowed = np.arange(len(index)) < 3 if share == 0.1 else random.random(len(index)) < share
        chosen = np.flatnonzero(allowed)
        alone = VectorIndex(16, similarity, storage, index.codebook)
        alone.add(index.take(chosen), index.counts[chosen].tolist())
        expected_rows, expected_scores = alone.search(queries, 7)
        rows, scores = index.search(queries, 7, allowed=allowed)
        np.testing.assert_array_equal(rows, chosen[expected_rows])
        np.testing.assert_allclose(scores, expected_scores, rtol=1e-6, atol=1e-6)
        width = min(7, len(chosen))
        graph_scores, graph_rows = search(tf.constant(queries), tf.constant(allowed))
        np.testing.assert_array_equal(graph_rows[:, :width], rows)
        np.testing.assert_allclose(graph_scores[:, :width], scores, rtol=1e-5, atol=1e-5)
        assert np.isneginf(graph_scores[:, width:]).all()


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    queries = np.random.default_rng(9).normal(size=(3, 16)).astype("float32")
    for storage in (INT8, SIGNS):
        index, _ = make_index(storage, 16, [1] * 50)
        whole = index.search(queries, 5)
        monkeypatch.setattr("tfchain.models.indexes.exact.NUMBERS_IN_BLOCK", 16 * 20)
        monkeypatch.setattr("tfchain.models.indexes.exact_graph.NUMBERS_IN_BLOCK", 16 * 20)
        for mine, others in zip(index.search(queries, 5), whole, strict=True):
            np.testing.assert_allclose(mine, others, atol=1e-6)
        scores, rows = make_search(tf.Module(), index, 5)(tf.constant(queries))
        np.testing.assert_array_equal(rows, whole[0])
        np.testing.assert_allclose(scores, whole[1], atol=1e-6)
        monkeypatch.undo()


@pytest.mark.parametrize("storage", [VectorStorage(), INT8, SIGNS])
def test_the_graph_holds_nothing_of_removed_documents_and_the_same_cosines(storage: VectorStorage) -> None:
    index, vectors = make_index(storage, 16, [1, 3, 2] * 10)
    index.remove_slots([0, 7, 29])
    module = tf.Module()
    search = make_search(module, index, 27)
    assert module.vectors.shape[0] == 60 - 1 - 3 - 2
    queries = vectors[[0, 1, 5]]
    rows, scores = index.search(queries, 27)
    found_scores, found_rows = search(tf.constant(queries))
    np.testing.assert_allclose(found_scores, scores, atol=1e-5)
    np.testing.assert_array_equal(found_rows, rows)
    assert found_scores.numpy().max() <= 1
    assert index.num_slots == 30, "what is exported is a copy"


def test_the_graph_keeps_cosines_in_their_range() -> None:
    index = VectorIndex(2, "cosine", INT8)
    index.add(StoredVectors(np.array([[101, 0], [103, 0], [-104, 0]], "int8"), np.full(3, 0.01, "float32")), [1, 1, 1])
    scores, rows = make_search(tf.Module(), index, 3)(tf.constant([[2.0, 0.0]]))
    assert rows.numpy().tolist() == [[1, 0, 2]]
    assert scores.numpy().tolist() == [[1, 1, -1]]
