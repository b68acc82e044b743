"""The kernels' search in 8 bits against scoring every vector, in float64 and by the library's own sums."""

import itertools
import threading
from typing import Any

import numpy as np
import pytest

from tfchain.models.indexes import native_vectors
from tfchain.models.indexes.native_vectors import MOST_HITS, VectorCopies, is_suitable
from tfchain.models.native_library import find_obstacle

pytestmark = pytest.mark.skipif(find_obstacle() is not None, reason=str(find_obstacle()))


def make_copies(values: np.ndarray, scales: np.ndarray | None = None, added: np.ndarray | None = None) -> VectorCopies:
    assert is_suitable(values, scales)
    copies = VectorCopies(values, scales, added=added)
    copies.extend(len(values))
    return copies


def find(
    copies: VectorCopies, queries: np.ndarray, top_k: int, counts: list[int], allowed: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, int]:
    offsets = np.cumsum([0, *counts])
    found = copies.find_best(queries, top_k, num_vectors=sum(counts), offsets=offsets, allowed=allowed)
    assert found is not None
    return found


def score_all(values: np.ndarray, query: np.ndarray, scales: np.ndarray | None = None) -> np.ndarray:
    """Every vector's score by the library's own sum: each alone in an index, where nothing can be left out."""
    scores = []
    for row in range(len(values)):
        copies = make_copies(values[row : row + 1], None if scales is None else scales[row : row + 1])
        scores.append(find(copies, query[None], 1, [1])[1][0, 0])
    return np.array(scores, dtype="float32")


def sort_documents(scores: np.ndarray, counts: list[int], allowed: np.ndarray) -> tuple[list[int], list[float]]:
    """All documents that may be found, best first, by sorting."""
    begins = np.cumsum([0, *counts])
    best = [max(scores[begin:end].tolist()) for begin, end in itertools.pairwise(begins)]
    order = sorted(np.flatnonzero(allowed).tolist(), key=lambda row: (-best[row], row))
    return order, [best[row] for row in order]


def make_values(kind: str, random: np.random.Generator, vectors: int, dim: int) -> np.ndarray:
    values: Any = random.standard_normal((vectors, dim))
    if kind == "alike":  # far closer to each other than 8 bits can tell
        values = values[:1] + 1e-4 * values
    elif kind == "twins":
        values = values[random.integers(0, max(1, vectors // 5), vectors)]
    elif kind == "zeros":
        values[random.random(vectors) < 0.5] = 0
    elif kind == "lengths":  # from far below the range of numbers with full precision to far above one
        values *= 10.0 ** random.uniform(-44, 15, (vectors, 1))
    elif kind == "one number":  # 8 bits keep nothing of the others
        values[:, 0] *= 1e4
    elif kind == "denormal":
        values *= 1e-41
    return values.astype("float32")


KINDS = ["any", "alike", "twins", "zeros", "lengths", "one number", "denormal"]


@pytest.mark.parametrize("dim", [1, 5, 64, 100, 384])
@pytest.mark.parametrize("kind", KINDS)
def test_documents_and_scores_are_bitwise_those_of_scoring_every_vector(kind: str, dim: int) -> None:
    random = np.random.default_rng([KINDS.index(kind), dim])
    for vectors in (1, 3, 17, 150):
        values = make_values(kind, random, vectors, dim)
        queries = np.concatenate([make_values(kind, random, 2, dim), values[-1:], np.zeros((1, dim), "float32")])
        queries = np.concatenate([queries, values[:1] * 3])  # five: more than a pass has
        copies = make_copies(values)
        exact = [score_all(values, query) for query in queries]
        few = [2, 1, 3] * vectors
        passages = few[: int(np.searchsorted(np.cumsum(few), vectors))]
        for counts in ([1] * vectors, [*passages, vectors - sum(passages)]):
            for allowed in (None, random.random(len(counts)) < 0.4):
                mask = np.ones(len(counts), dtype=bool) if allowed is None else allowed
                for top_k in {min(most, int(mask.sum())) for most in (1, 10, vectors)} - {0}:
                    rows, scores, _ = find(copies, queries, top_k, counts, allowed)
                    for number in range(len(queries)):
                        expected, best = sort_documents(exact[number], counts, mask)
                        assert rows[number].tolist() == expected[:top_k]
                        assert scores[number].tolist() == best[:top_k]


@pytest.mark.parametrize("counts", [[1] * 70, [5] * 14], ids=["texts", "passages"])
def test_what_rounding_to_8_bits_takes_from_vectors_is_allowed_for(counts: list[int]) -> None:
    """The bytes of 20 vectors add up to 127 + 32 · (41 + 20), and those of 50 worse ones to 127 + 32 · (41 + 21)."""
    worse, better = np.array([127, *[40.51, 20.51] * 32]), np.array([127, *[41.49, 20.49] * 32])
    values = np.array([worse] * 50 + [better] * 20, dtype="float32")
    rows, scores, _ = find(make_copies(values), np.ones((1, 65), "float32"), 4, counts)
    first = 50 // counts[0]
    assert rows.tolist() == [list(range(first, first + 4))]
    np.testing.assert_allclose(scores, 127 + 32 * (41.49 + 20.49), rtol=1e-6)


def test_what_rounding_to_8_bits_takes_from_a_query_is_allowed_for() -> None:
    """By its bytes, 40 and 21, the query's scores are 127² + 32 · 800, and 127² + 32 · 819 of what is worse."""
    worse, better = np.array([127, *[0, 39] * 32]), np.array([127, *[20, 0] * 32])
    values = np.array([worse] * 50 + [better] * 20, dtype="float32")
    query = np.array([[127, *[40.49, 20.51] * 32]], dtype="float32")
    rows, scores, _ = find(make_copies(values), query, 10, [1] * 70)
    assert rows.tolist() == [list(range(50, 60))]
    np.testing.assert_allclose(scores, 127**2 + 32 * 20 * 40.49, rtol=1e-6)


@pytest.mark.parametrize("size", [0.1, 10, 1e8])
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_added_to_scores_counts(kind: str, size: float) -> None:
    random = np.random.default_rng([KINDS.index(kind), 1])
    values, queries = make_values(kind, random, 150, 40), make_values(kind, random, 5, 40)
    added = (size * random.standard_normal(150)).astype("float32")
    plain = make_copies(values)
    allowed = random.random(150) < 0.5
    for counts in ([1] * 150, [2, 1, 3] * 25):
        for mask in (None, allowed[: len(counts)]):
            rows, scores, _ = find(make_copies(values, added=added), queries, 10, counts, mask)
            for number, query in enumerate(queries):
                exact = score_all(values, query) + added  # in float32
                may = np.ones(len(counts), dtype=bool) if mask is None else mask
                expected, best = sort_documents(exact, counts, may)
                assert rows[number].tolist() == expected[:10]
                assert scores[number].tolist() == best[:10]
    assert plain.nbytes == make_copies(values, added=added).nbytes


def test_one_large_addition_does_not_widen_the_bounds_of_others() -> None:
    random = np.random.default_rng(6)
    values, added = random.standard_normal((3000, 128)).astype("float32"), np.zeros(3000, "float32")
    added[7] = -1e9
    _, _, rescored = find(make_copies(values, added=added), values[:8] + values[8:16], 10, [1] * 3000)
    assert rescored < 8 * 100


def test_nothing_is_found_beside_an_addition_out_of_range() -> None:
    values, added = np.ones((3, 8), "float32"), np.array([0, np.inf, 0], "float32")
    copies = make_copies(values, added=added)
    assert copies.find_best(values[:1], 1, num_vectors=3, offsets=np.arange(4)) is None


def test_scores_are_products_to_rounding() -> None:
    random = np.random.default_rng(1)
    values, queries = random.standard_normal((200, 96)).astype("float32"), random.standard_normal((6, 96))
    rows, scores, _ = find(make_copies(values), queries.astype("float32"), 200, [1] * 200)
    products = queries.astype("float32").astype("float64") @ values.astype("float64").T
    np.testing.assert_allclose(scores, np.take_along_axis(products, rows, axis=1), atol=1e-5)
    assert (np.diff(scores) <= 0).all()


def test_few_vectors_are_scored_in_float32() -> None:
    random = np.random.default_rng(2)
    values = random.standard_normal((3000, 128)).astype("float32")
    _, _, rescored = find(make_copies(values), values[:8] + values[8:16], 10, [1] * 3000)
    assert 80 <= rescored < 8 * 100


@pytest.mark.parametrize("counts", [[1] * 90, [1, 3, 2] * 15], ids=["texts", "passages"])
def test_vectors_in_int8_are_their_own_copies(counts: list[int]) -> None:
    random = np.random.default_rng(3)
    values = random.integers(-128, 128, (90, 70)).astype("int8")
    values[7] = 0
    scales = random.uniform(0, 0.1, 90).astype("float32")
    queries = random.standard_normal((3, 70)).astype("float32")
    copies = make_copies(values, scales)
    assert copies._bytes is values
    rows, scores, _ = find(copies, queries, 10, counts)
    exact = queries.astype("float64") @ (values * scales[:, None].astype("float64")).T
    for number, query in enumerate(queries):
        expected, best = sort_documents(score_all(values, query, scales), counts, np.ones(len(counts), dtype=bool))
        assert (rows[number].tolist(), scores[number].tolist()) == (expected[:10], best[:10])
        near, near_scores = sort_documents(exact[number], counts, np.ones(len(counts), dtype=bool))
        assert rows[number].tolist() == near[:10]
        np.testing.assert_allclose(scores[number], near_scores[:10], rtol=1e-5)


@pytest.mark.parametrize(("value", "query"), [(1, np.nan), (1, np.inf), (1, -np.inf), (3e38, 1), (1e30, 1e30)], ids=str)
def test_numbers_beyond_the_range_are_left_to_others(value: float, query: float) -> None:
    values, queries = np.full((4, 3), value, "float32"), np.full((5, 3), 1, "float32")
    queries[4, 1] = query
    assert make_copies(values).find_best(queries, 2, num_vectors=4, offsets=np.arange(5)) is None


def test_more_hits_than_the_library_keeps_are_left_to_others() -> None:
    values = np.ones((MOST_HITS + 1, 2), dtype="float32")
    copies = make_copies(values)
    offsets = np.arange(len(values) + 1)
    assert copies.find_best(values[:1], MOST_HITS + 1, num_vectors=len(values), offsets=offsets) is None
    found = copies.find_best(values[:1], MOST_HITS, num_vectors=len(values), offsets=offsets)
    assert found is not None
    assert found[0].tolist() == [list(range(MOST_HITS))]


@pytest.mark.parametrize(
    ("values", "scales"),
    [
        (np.ones((4, 4))[:, :2], None),
        (np.ones((4, 4), "float32")[:, ::2], None),
        (np.ones((4, 2), "int8"), np.ones(4)),
        (np.ones((1, native_vectors.MOST_DIM + 1), "float32"), None),
        (np.ones((4, 0), "float32"), None),
    ],
    ids=["float64", "not contiguous", "scales in float64", "too wide", "no dimensions"],
)
def test_what_the_library_does_not_read_is_not_suitable(values: np.ndarray, scales: np.ndarray | None) -> None:
    assert not is_suitable(values, scales)


def test_vectors_are_copied_as_they_come() -> None:
    random = np.random.default_rng(4)
    values = random.standard_normal((500, 32)).astype("float32")
    copies = VectorCopies(values)
    assert copies.nbytes == 0
    for end in (1, 2, 100, 500):
        copies.extend(end)
        assert copies.nbytes == end * (32 + 4 + 12)
        rows, scores, _ = find(copies, values[:3], min(5, end), [1] * end)
        whole = find(make_copies(values[:end]), values[:3], min(5, end), [1] * end)
        assert (rows.tolist(), scores.tolist()) == (whole[0].tolist(), whole[1].tolist())


def test_many_threads_with_helpers_find_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(5)
    values = random.standard_normal((5000, 24)).astype("float32")  # five blocks
    copies = make_copies(values)
    expected = find(copies, values[:41], 7, [1] * 5000)
    monkeypatch.setattr(native_vectors, "BYTES_ALONE", 0)
    monkeypatch.setattr(native_vectors, "count_cores", lambda: 3)
    wrong = []

    def ask(first: int) -> None:
        for begin in range(first, 40, 4):
            rows, scores, _ = find(copies, values[begin : begin + 2], 7, [1] * 5000)
            if (rows != expected[0][begin : begin + 2]).any() or (scores != expected[1][begin : begin + 2]).any():
                wrong.append(begin)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert not wrong
