"""A linear map of vectors: its gradient, what it learns, and the model that it becomes."""

from typing import Any

import numpy as np
import pytest

from tests.training.conftest import ROWS, MakeTextEncoder
from tfchain.chains.search import NeuralSearchChain
from tfchain.core.errors import InputError
from tfchain.training.adapters.linear_adapter import fit_linear_adapter, fit_map, loss_and_gradient
from tfchain.training.adapters.options import AdapterOptions

QUERIES = [query for query, _, _ in ROWS]
PASSAGES = [document for _, document, _ in ROWS]
OPTIONS = AdapterOptions(learning_rate=0.05, steps=60, scale=10.0)


def random_vectors(count: int, dim: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, dim))


def test_the_gradient_is_that_of_finite_differences() -> None:
    queries, passages = random_vectors(3, 4, 0), random_vectors(5, 4, 1)
    own = np.array([4, 0, 0])
    matrix = np.eye(4) + 0.1 * random_vectors(4, 4, 2)
    loss, gradient = loss_and_gradient(matrix, queries, passages, own, 7.0)

    cosines = (queries @ matrix) @ (passages @ matrix).T
    cosines /= np.linalg.norm(queries @ matrix, axis=1)[:, None] * np.linalg.norm(passages @ matrix, axis=1)[None]
    by_hand = -np.log(np.exp(7 * cosines)[range(3), own] / np.exp(7 * cosines).sum(axis=1)).mean()
    assert loss == pytest.approx(by_hand)
    for row, column in ((0, 0), (1, 3), (3, 2)):
        moved = []
        for change in (1e-6, -1e-6):
            other = matrix.copy()
            other[row, column] += change
            moved.append(loss_and_gradient(other, queries, passages, own, 7.0)[0])
        assert gradient[row, column] == pytest.approx((moved[0] - moved[1]) / 2e-6, rel=1e-4, abs=1e-7)


def test_a_map_undoes_a_rotation_between_queries_and_noise() -> None:
    """One direction is shared noise: the map learns to leave it out, and queries find their passages."""
    rng = np.random.default_rng(0)
    passages = rng.normal(size=(60, 8)).astype("float32")
    queries = passages.copy()
    passages[:, 0] = rng.normal(size=60) * 6
    queries[:, 0] = rng.normal(size=60) * 6
    own = np.arange(60)

    def found(matrix: np.ndarray) -> float:
        asked, there = queries @ matrix, passages @ matrix
        scores = (asked / np.linalg.norm(asked, axis=1)[:, None]) @ (there / np.linalg.norm(there, axis=1)[:, None]).T
        return float((scores.argmax(axis=1) == own).mean())

    for passages_at_once in (8192, 30):
        options = AdapterOptions(learning_rate=0.02, steps=200, batch_size=32, passages=passages_at_once)
        matrix = fit_map(queries, passages, own, options)
        assert found(np.eye(8)) < 0.7
        assert found(matrix) > 0.95
        np.testing.assert_array_equal(matrix, fit_map(queries, passages, own, options))


def test_the_model_gives_the_mapped_vectors_and_ranks_its_pairs_higher(make_text_encoder: MakeTextEncoder) -> None:
    text_encoder = make_text_encoder()
    before = text_encoder.encode_query(QUERIES), text_encoder.encode_document(PASSAGES)
    adapted = fit_linear_adapter(text_encoder, QUERIES, PASSAGES, range(len(ROWS)), OPTIONS)

    matrix = fit_map(*before, np.arange(len(ROWS)), OPTIONS)
    for old, new in zip(before, (adapted.encode_query(QUERIES), adapted.encode_document(PASSAGES)), strict=True):
        mapped = old @ matrix
        np.testing.assert_allclose(new, mapped / np.linalg.norm(mapped, axis=1)[:, None], atol=1e-5)
    np.testing.assert_array_equal(text_encoder.encode_query(QUERIES), before[0])
    assert adapted.fingerprint != text_encoder.fingerprint
    margins = []
    for asked, there in (before, (adapted.encode_query(QUERIES), adapted.encode_document(PASSAGES))):
        scores = asked @ there.T
        margins.append((np.diag(scores) - (scores.sum(axis=1) - np.diag(scores)) / (len(ROWS) - 1)).mean())
    assert margins[1] > margins[0] + 0.1


def test_a_chain_fits_an_adapter_and_encodes_its_documents_again(thin_model_path: Any, tmp_path: Any) -> None:
    chain = NeuralSearchChain.from_pretrained(thin_model_path, engine="tensorflow").add(PASSAGES)
    before = chain.encode(["the cat"])
    chain.fit_adapter(ROWS, OPTIONS)
    assert np.abs(chain.encode(["the cat"]) - before).max() > 1e-3
    hits = chain.search(QUERIES[0]).hits
    loaded = NeuralSearchChain.load(chain.save(tmp_path / "chain"), engine="tensorflow")
    assert [hit.id for hit in loaded.search(QUERIES[0]).hits] == [hit.id for hit in hits]
    with pytest.raises(InputError, match="`dataset` must have queries and documents. Received: single texts"):
        chain.fit_adapter(["one text"])


def test_what_cannot_be_adapted_is_refused(make_text_encoder: MakeTextEncoder) -> None:
    with pytest.raises(InputError, match="Received: 1 passages, 1 queries, 1 numbers"):
        fit_linear_adapter(make_text_encoder(), ["a"], ["b"], [0])
    with pytest.raises(InputError, match="`own` must be numbers of the 2 passages. Received: 2"):
        fit_linear_adapter(make_text_encoder(), ["a"], ["b", "c"], [2])
    with pytest.raises(InputError, match="`learning_rate` must be above 0. Received: learning_rate=0"):
        AdapterOptions(learning_rate=0)
    with pytest.raises(InputError, match="`steps` must be a whole number of at least 1"):
        AdapterOptions(steps=0)
