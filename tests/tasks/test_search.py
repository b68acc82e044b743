"""Documents that become vectors in an index, part by part."""

import itertools
from pathlib import Path

import numpy as np
import pytest

from tfchain import NeuralSearchChain
from tfchain.core.types import Document
from tfchain.models.binary_codebook import learn_codebook
from tfchain.models.text_encoder import TextEncoder
from tfchain.models.vector_storage import VectorStorage
from tfchain.tasks.search import PassageConfig, make_index

WORDS = ("cat", "dog", "stock", "monday", "who")
DOCUMENTS = [Document(str(n), " ".join(words)) for n, words in enumerate(itertools.product(WORDS, WORDS, WORDS))]
TRUNCATE = PassageConfig(mode="truncate")


@pytest.fixture
def binary_encoder(tiny_model_path: Path, monkeypatch: pytest.MonkeyPatch) -> TextEncoder:
    """Its documents come in parts of ten, and bits are learned from 80 vectors of 16 dimensions: five a bit."""
    monkeypatch.setattr("tfchain.tasks.search.DOCUMENTS_AT_ONCE", 10)
    monkeypatch.setattr("tfchain.models.binary_codebook.ROWS_IN_BLOCK", 7)
    monkeypatch.setattr("tfchain.models.binary_codebook.MOST_VECTORS_A_BIT", 5)
    made = TextEncoder.from_pretrained(tiny_model_path, engine="tensorflow")
    return made.with_vector_storage(VectorStorage("binary"))


def expected_matrix(text_encoder: TextEncoder) -> np.ndarray:
    """Of the first 80 documents' vectors, encoded ten at a time: other batches are rounded otherwise."""
    texts = [one.full_text for one in DOCUMENTS]
    vectors = np.concatenate([text_encoder.encode_document(texts[start : start + 10]) for start in range(0, 80, 10)])
    book = learn_codebook(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
    assert book is not None
    return book.matrix


def test_bits_are_learned_from_as_many_vectors_as_that_takes_though_they_come_in_parts(
    binary_encoder: TextEncoder,
) -> None:
    index = make_index(binary_encoder, iter(DOCUMENTS), TRUNCATE)
    assert index.vectors.codebook is not None
    np.testing.assert_allclose(index.vectors.codebook.matrix, expected_matrix(binary_encoder), atol=1e-5)
    assert [one.id for one in index] == [one.id for one in DOCUMENTS]


def test_a_chain_without_documents_learns_from_all_that_are_added_at_once(binary_encoder: TextEncoder) -> None:
    chain = NeuralSearchChain(binary_encoder.tokenizer.tokenizer, binary_encoder.encoder, passages="truncate")
    chain.text_encoder = binary_encoder
    chain.add(DOCUMENTS[:90])
    book = chain.index.vectors.codebook
    assert book is not None
    np.testing.assert_allclose(book.matrix, expected_matrix(binary_encoder), atol=1e-5)
    chain.add(DOCUMENTS[90:])
    assert chain.index.vectors.codebook is book
    assert len(chain) == len(DOCUMENTS)


def test_documents_that_are_too_few_to_learn_from_are_told(
    binary_encoder: TextEncoder, caplog: pytest.LogCaptureFixture
) -> None:
    index = make_index(binary_encoder, DOCUMENTS[:63], TRUNCATE)
    assert index.vectors.codebook is None
    assert [one.levelname for one in caplog.records] == ["WARNING"]
    assert "63 vectors are too few to learn what 16 bits stand for, which takes 64 different ones: signs" in caplog.text
