"""Documents that become vectors in an index, part by part."""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tfchain import NeuralSearchChain
from tfchain.core.errors import InputError
from tfchain.core.types import Document, Passage
from tfchain.models.indexes.binary_codebook import learn_codebook
from tfchain.models.indexes.storage import VectorStorage
from tfchain.models.text_encoder import TextEncoder
from tfchain.tasks.search.document_index import DocumentIndex
from tfchain.tasks.search.search import (
    EncodedDocuments,
    PassageConfig,
    encode_documents,
    fill_index,
    make_index,
    new_index,
    search_texts,
)

WORDS = ("cat", "dog", "stock", "monday", "who")
DOCUMENTS = [Document(str(n), " ".join(words)) for n, words in enumerate(itertools.product(WORDS, WORDS, WORDS))]
TRUNCATE = PassageConfig(mode="truncate")


@pytest.fixture
def binary_encoder(tiny_model_path: Path, monkeypatch: pytest.MonkeyPatch) -> TextEncoder:
    """Its documents come in parts of ten, and bits are learned from 80 vectors of 16 dimensions: five a bit."""
    monkeypatch.setattr("tfchain.tasks.search.search.DOCUMENTS_AT_ONCE", 10)
    monkeypatch.setattr("tfchain.models.indexes.binary_codebook.ROWS_IN_BLOCK", 7)
    monkeypatch.setattr("tfchain.models.indexes.binary_codebook.MOST_VECTORS_A_BIT", 5)
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
    assert "63 vectors are too few to learn a codebook of 16 bits, which takes 64 different ones: signs" in caplog.text


class WordsEncoder:
    """Counts words as tokens, and gives each text its number of words as its vector."""

    document_prompt = ""

    def __init__(self) -> None:
        self.tokenizer = self.document_tokenizer = self
        self.max_length, self.content_length = 22, 20

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return [len(text.split()) for text in texts]

    def encode_document(self, texts: Sequence[str], **_: object) -> np.ndarray:
        return np.array([self.count_tokens(texts)], dtype="float32").T


@pytest.mark.parametrize(
    ("prompt", "overlap", "expected"),
    [("", None, (20, 2)), ("find this: ", None, (18, 2)), ("", 0, (20, 0)), ("", 5, (20, 5)), ("", 99, (20, 19))],
)
def test_passages_leave_room_for_the_prompt_and_share_a_tenth_of_the_maximum(
    prompt: str, overlap: int | None, expected: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder: Any = WordsEncoder()
    encoder.document_prompt = prompt
    cut = []

    def split(documents: list[Document], *, max_tokens: int, overlap_tokens: int, **_: object) -> list:
        cut.append((max_tokens, overlap_tokens))
        return [[Passage(one.id, "a b", 0, 3), Passage(one.id, "c", 4, 5)] for one in documents]

    monkeypatch.setattr("tfchain.tasks.search.search.split_all", split)
    monkeypatch.setattr("tfchain.tasks.search.search.DOCUMENTS_AT_ONCE", 2)
    parts = list(encode_documents(encoder, DOCUMENTS[:3], PassageConfig(overlap_tokens=overlap)))
    assert cut == [expected] * 2
    assert [(one.documents, one.counts) for one in parts] == [(DOCUMENTS[:2], [2, 2]), (DOCUMENTS[2:3], [2])]
    assert [one.vectors.ravel().tolist() for one in parts] == [[2, 1, 2, 1], [2, 1]]


def test_documents_that_are_truncated_have_a_vector_each() -> None:
    encoder: Any = WordsEncoder()
    documents = [Document("a", "one two", title="three"), Document("b", " ".join(["word"] * 50))]
    (part,) = encode_documents(encoder, documents, TRUNCATE)
    assert (part.documents, part.counts, part.vectors.tolist()) == (documents, [1, 1], [[3], [50]])


def test_a_prompt_that_leaves_no_room_is_named() -> None:
    encoder: Any = WordsEncoder()
    encoder.document_prompt = "word " * 20
    with pytest.raises(InputError, match=r"prompt for documents must leave room .* for at most 22 tokens. Shorten it"):
        list(encode_documents(encoder, DOCUMENTS, PassageConfig()))
    encoder.document_prompt = "word " * 19
    assert list(encode_documents(encoder, DOCUMENTS[:1], PassageConfig()))


def test_bits_are_learned_from_no_more_parts_than_that_takes(binary_encoder: TextEncoder) -> None:
    """Parts of ten vectors, and 80 to learn from: the ninth goes in behind."""
    index, added = new_index(binary_encoder), []
    parts = [
        EncodedDocuments(DOCUMENTS[start : start + 5], [2] * 5, np.random.default_rng(start).normal(size=(10, 16)))
        for start in range(0, 50, 5)
    ]
    add = index.vectors.__class__.add

    def count(vectors: object, rows: np.ndarray, counts: list[int]) -> None:
        added.append(len(rows))
        add(vectors, rows, counts)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(index.vectors.__class__, "add", count)
        fill_index(index, parts, fingerprint=index.fingerprint)
    assert added == [80, 10, 10]
    assert [one.id for one in index] == [one.id for one in DOCUMENTS[:50]]


class Axes:
    """Encodes a text, the number of an axis, as the unit vector of that axis."""

    def encode_query(self, texts: Sequence[str], *, batch_size: int) -> np.ndarray:
        return np.eye(3, dtype="float32")[[int(text) for text in texts]]


def test_the_answer_is_the_text_of_the_best_hit_or_its_title_if_it_has_none() -> None:
    index = DocumentIndex(3, "m", "dot")
    documents = [Document("a", "first", title="one"), Document("b", "", title="two"), Document("c", "third")]
    index.add(documents, [1] * 3, np.eye(3, dtype="float32"), fingerprint="m")
    encoder: Any = Axes()
    found = search_texts(encoder, index, ["1", "0", "2"], top_k=2)
    assert [(one["text"], one["answer"]) for one in found] == [("1", "two"), ("0", "first"), ("2", "third")]
    assert [one.hits[0].id for one in found] == ["b", "a", "c"]
    assert [len(one.hits) for one in found] == [2, 2, 2]
    assert len(search_texts(encoder, index, ["0"], top_k=9)[0].hits) == 3


@pytest.mark.parametrize("index", [None, DocumentIndex(3, "m")])
def test_without_documents_each_text_is_its_own_answer_and_that_is_told(
    index: DocumentIndex | None, caplog: pytest.LogCaptureFixture
) -> None:
    encoder: Any = Axes()
    (found,) = search_texts(encoder, index, ["1"])
    assert (found, found.hits) == ({"text": "1", "answer": "1"}, ())
    assert "No documents were added" in caplog.text


def test_settings_of_passages_are_checked() -> None:
    assert PassageConfig(overlap_tokens=0).to_dict() == {"mode": "split", "overlap_tokens": 0}
    with pytest.raises(InputError, match="`overlap_tokens` must be a whole number of at least 0"):
        PassageConfig(overlap_tokens=-1)
    with pytest.raises(
        InputError,
        match="`passages` must be one of 'split', 'sentences', 'structure', 'truncate'. Received: passages='whole'",
    ):
        PassageConfig(mode="whole")  # type: ignore[arg-type]
