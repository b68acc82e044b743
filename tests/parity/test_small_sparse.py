"""Sparse encoders from every kind of folder against sentence-transformers' SparseEncoder."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from tests.parity.test_fixtures_torch import list_files, read_content
from tfchain import SparseEncoder
from tfchain.models.indexes.sparse import SparseIndex
from tfchain.models.sparse_encoder import TokenTable

FIXTURES = Path(__file__).parent / "sparse_fixtures"
NAMES = sorted(path.stem for path in FIXTURES.glob("*.npz"))


@pytest.fixture(scope="module", params=NAMES)
def kept(request: pytest.FixtureRequest) -> tuple[SparseEncoder, dict[str, np.ndarray]]:
    with np.load(FIXTURES / f"{request.param}.npz") as arrays:
        loaded = dict(arrays)
    return SparseEncoder.from_pretrained(FIXTURES / request.param, engine="tensorflow"), loaded


@pytest.mark.parametrize("side", ["query", "document"])
def test_vectors_are_those_of_a_sparse_encoder_together_and_alone(kept, side: str) -> None:
    encoder, expected = kept
    encode, texts = getattr(encoder, f"encode_{side}"), expected[f"{side}_texts"].tolist()
    found = encode(texts)
    vectors = expected[f"{side}_vectors"]
    np.testing.assert_allclose(found.to_matrix().todense(), vectors, atol=1e-5, rtol=1e-6)
    np.testing.assert_allclose(encode(texts[:1]).to_matrix().todense(), vectors[:1], atol=1e-5, rtol=1e-6)
    assert (found.weights > 0).all()
    assert len(encode([])) == 0


def test_a_search_ranks_by_the_product_of_the_vectors(kept) -> None:
    encoder, expected = kept
    index = SparseIndex(encoder.encode_document(expected["document_texts"].tolist()))
    hits = index.search(encoder.encode_query(expected["query_texts"].tolist()), top_k=3)
    scores = expected["query_vectors"] @ expected["document_vectors"].T
    for found, row in zip(hits, scores, strict=True):
        best = np.sort(row[row > 0])[::-1][:3]
        np.testing.assert_allclose([score for _, score in found], best, rtol=1e-4, atol=1e-5)


def test_the_words_of_a_vector_are_told() -> None:
    encoder = SparseEncoder.from_pretrained(FIXTURES / "opensearch", engine="tensorflow")
    assert isinstance(encoder.query, TokenTable)
    vectors = encoder.encode_query(["s s ."])  # a query's weights are those of its own tokens, each once
    names = encoder.query.tokenizer.convert_tokens_to_ids
    expected = {word: encoder.query.weights[names(word)] for word in ("s", ".")}
    told = dict(encoder.decode(vectors, 0))
    assert told == pytest.approx({word: weight for word, weight in expected.items() if weight})


@pytest.mark.torch
@pytest.mark.parametrize("name", NAMES)
def test_a_small_model_made_again_equals_the_kept_one(name: str, tmp_path: Path) -> None:
    if importlib.util.find_spec("torch") is None:
        pytest.skip("needs PyTorch (`make test-torch`)")
    from tests.parity.small_sparse import SMALL_SPARSE, make_small_sparse

    assert sorted(SMALL_SPARSE) == NAMES
    make_small_sparse(name, tmp_path)
    assert list_files(tmp_path / name) == list_files(FIXTURES / name)
    for file in set(list_files(tmp_path / name)) - {"config_sentence_transformers.json"}:
        assert read_content(tmp_path / name / file) == read_content(FIXTURES / name / file), file
    with np.load(tmp_path / f"{name}.npz") as made, np.load(FIXTURES / f"{name}.npz") as expected:
        np.testing.assert_allclose(made["document_vectors"], expected["document_vectors"], rtol=0, atol=5e-6)
