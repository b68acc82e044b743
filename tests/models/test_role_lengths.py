"""Queries and documents with maxima of their own: in Python, versions, kernels, passages and training."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tfchain import NeuralSearchChain
from tfchain.core.errors import InputError
from tfchain.core.types import Document
from tfchain.models.native_library import find_obstacle
from tfchain.models.native_text_encoder import NativeTextEncoder, save_native_text_encoder
from tfchain.models.text_encoder import TextEncoder
from tfchain.tasks.native_version import _text_questions
from tfchain.tasks.search.search import PassageConfig, encode_documents
from tfchain.training.batches.training_data import make_training_set, read_datasets

FIXTURES = Path(__file__).parent.parent / "parity" / "fixtures"
LONG = "how do I merge two sorted lists and return the smallest elements of a dataset? " * 4


@pytest.fixture(scope="module")
def chain() -> NeuralSearchChain:
    made = NeuralSearchChain.from_pretrained(FIXTURES / "bert_lengths", engine="tensorflow", passages="truncate")
    made.add([LONG, "the quick brown fox"])
    return made


def test_each_role_is_cut_off_at_its_own_length(chain: NeuralSearchChain) -> None:
    encoder = chain.text_encoder
    assert encoder.role_lengths == {"query_length": 6, "document_length": 14}
    assert [len(encoder.find_tokenizer(role)([LONG])[0]) for role in ("query", "document", None)] == [6, 14, 40]
    whole = encoder.encode(LONG, prompt="")
    assert not np.allclose(encoder.encode_query(LONG), whole)
    assert np.array_equal(encoder.encode(LONG, prompt="", role="query"), encoder.encode_query(LONG))
    prompted = encoder.encode_query(LONG, prompt_name="document")
    assert np.array_equal(prompted, encoder.encode(f"text: {LONG}", role="query"))
    with pytest.raises(InputError, match="`role` must be 'query', 'document' or None. Received: role='passage'"):
        encoder.encode(LONG, role="passage")  # type: ignore[arg-type]


def test_lengths_are_part_of_the_fingerprint_and_survive_copies(chain: NeuralSearchChain, tmp_path: Path) -> None:
    encoder = chain.text_encoder
    others = [
        TextEncoder.from_pretrained(FIXTURES / "bert_lengths", engine="tensorflow", **{name: None})
        for name in ("query_length", "document_length")
    ]
    assert len({encoder.fingerprint, *(other.fingerprint for other in others)}) == 3
    assert pickle.loads(pickle.dumps(encoder)).fingerprint == encoder.fingerprint
    encoder.save(tmp_path, portable=True)
    own = json.loads((tmp_path / "sentence_bert_config.json").read_text(encoding="utf-8"))
    assert (own["query_length"], own["document_length"], own["max_seq_length"]) == (6, 14, 40)


@pytest.mark.parametrize("name", ["query_length", "document_length"])
def test_a_length_out_of_range_is_named(name: str) -> None:
    with pytest.raises(InputError, match=f"`{name}` must be at least 3 and at most the model's 40 .*{name}=41"):
        TextEncoder.from_pretrained(FIXTURES / "bert_lengths", **{name: 41})


def test_a_version_cuts_off_as_sentence_transformers_does(chain: NeuralSearchChain, tmp_path: Path) -> None:
    version = tf.saved_model.load(str(chain.export(tmp_path / "versions")))
    expected = np.load(FIXTURES / "bert_lengths.npz")
    texts = tf.constant([str(text) for text in expected["texts"]])
    for name, vectors in {
        "embed": expected["embeddings"],
        "embed_query": expected["query_embeddings"],
        "embed_document": expected["document_embeddings"],
    }.items():
        found = version.signatures[name](texts)["embedding"].numpy()
        np.testing.assert_allclose(found, vectors, atol=1e-5, err_msg=name)
    hits = chain.search(LONG, top_k=2).hits
    scores = version.signatures["search"](tf.constant([LONG]))["scores"].numpy()[0]
    np.testing.assert_allclose(scores, [hit.score for hit in hits], atol=1e-5)
    (path,) = (tmp_path / "versions").glob("*/assets.extra/tfchain.json")
    described = json.loads(path.read_text(encoding="utf-8"))
    assert described["text_model"]["role_lengths"] == chain.text_encoder.role_lengths


@pytest.mark.skipif(find_obstacle() is not None, reason="needs the int8 kernels")
def test_the_kernels_cut_off_at_the_same_lengths(tmp_path: Path) -> None:
    encoder = TextEncoder.from_pretrained(FIXTURES / "bert_lengths", precision="int8", engine="native")
    save_native_text_encoder(encoder, tmp_path)
    native = NativeTextEncoder(tmp_path, num_threads=1)
    for role in ("query", "document", None):
        found = native.encode([LONG], role=role)
        np.testing.assert_allclose(found, encoder.encode([LONG], prompt="", role=role), atol=1e-6)


def test_a_versions_questions_have_the_roles_of_their_lengths() -> None:
    questions = _text_questions(TextEncoder.from_pretrained(FIXTURES / "bert_lengths", engine="tensorflow"))
    assert {name: question.role for name, question in questions.items()} == {
        "embed": None, "tokenize": None, "embed_query": "query", "tokenize_query": "query",
        "embed_document": "document", "tokenize_document": "document",
    }  # fmt: skip
    assert "role" not in questions["embed"].to_dict()


def test_passages_fit_into_the_length_of_documents(chain: NeuralSearchChain) -> None:
    parts = encode_documents(chain.text_encoder, [Document(text=LONG, id="a")], PassageConfig(mode="split"))
    assert sum(sum(part.counts) for part in parts) > 4  # 14 tokens each, with special ones and prompt


def test_training_sees_texts_as_they_are_served(chain: NeuralSearchChain) -> None:
    (named,) = read_datasets({"pairs": [(LONG, LONG), ("a", "b")]})
    tokens = make_training_set(named, chain.text_encoder, progress=False).store
    assert tokens.lengths(tokens.rows)[0].tolist() == [6, 14]


@pytest.mark.torch
@pytest.mark.parametrize("name", ["bert_lengths", "bert_cut_left"])
def test_sentence_transformers_reads_what_is_saved(tmp_path: Path, name: str) -> None:
    from sentence_transformers import SentenceTransformer

    encoder = TextEncoder.from_pretrained(FIXTURES / name, engine="tensorflow")
    encoder.save(tmp_path, portable=True)
    theirs = SentenceTransformer(str(tmp_path), device="cpu")
    for method in ("encode", "encode_query", "encode_document"):
        found = getattr(theirs, method)([LONG, "Fox"])
        np.testing.assert_allclose(found, getattr(encoder, method)([LONG, "Fox"]), atol=1e-5, err_msg=method)
