"""Every architecture and every kind of folder against PyTorch transformers and sentence-transformers."""

from pathlib import Path

import numpy as np
import pytest

from tfchain.models.encoders import attend
from tfchain.models.encoders.general import shared_inputs
from tfchain.models.text_encoder import TextEncoder

FIXTURES = Path(__file__).parent / "fixtures"
NAMES = sorted(path.stem for path in FIXTURES.glob("*.npz") if path.stem != "minilm")


@pytest.fixture(scope="module", params=NAMES)
def model(request: pytest.FixtureRequest) -> tuple[TextEncoder, np.lib.npyio.NpzFile]:
    name = request.param
    return TextEncoder.from_pretrained(FIXTURES / name, engine="tensorflow"), np.load(FIXTURES / f"{name}.npz")


def test_token_ids_are_those_of_transformers(model) -> None:
    encoder, expected = model
    skip_static(expected)
    texts = [str(text) for text in expected["texts"]][: len(expected["token_ids"])]
    for ids, row, mask in zip(encoder.tokenizer(texts), expected["token_ids"], expected["padding_mask"], strict=True):
        assert ids == row[mask == 1].tolist()


def test_hidden_states_are_those_of_transformers(model) -> None:
    encoder, expected = model
    skip_static(expected)
    inputs = {"token_ids": expected["token_ids"], "padding_mask": expected["padding_mask"]}
    hidden = np.asarray(encoder.encoder.backbone(inputs)) * expected["padding_mask"][..., None]
    np.testing.assert_allclose(hidden, expected["last_hidden_state"], atol=1e-5, rtol=0)


def test_vectors_are_those_of_sentence_transformers(model) -> None:
    encoder, expected = model
    texts = [str(text) for text in expected["texts"]]
    for name, vectors in {
        "embeddings": encoder.encode(texts),
        "embeddings_without_prompt": encoder.encode(texts, prompt=""),
        "query_embeddings": encoder.encode_query(texts),
        "document_embeddings": encoder.encode_document(texts),
    }.items():
        if name in expected:
            np.testing.assert_allclose(vectors, expected[name], atol=1e-5, rtol=0, err_msg=name)


def test_special_tokens_that_are_written_in_a_text_are_read_as_sentence_transformers_reads_them(model) -> None:
    encoder, expected = model
    texts = [str(text) for text in expected["special_texts"]]
    np.testing.assert_allclose(encoder.encode(texts), expected["special_embeddings"], atol=1e-5, rtol=0)
    alone = np.stack([encoder.encode(text) for text in texts])
    np.testing.assert_allclose(alone, expected["special_embeddings"], atol=1e-5, rtol=0)


def test_a_text_alone_in_a_batch_or_padded_gives_the_same_vector(model) -> None:
    encoder, expected = model
    texts = [str(text) for text in expected["texts"]]
    together = encoder.encode(texts, batch_size=len(texts))
    alone = np.stack([encoder.encode(text) for text in texts])
    np.testing.assert_allclose(alone, together, atol=1e-5, rtol=0)


def test_saving_and_loading_keeps_vectors_and_fingerprint(model, tmp_path: Path) -> None:
    encoder, expected = model
    (tmp_path / "saved").mkdir()
    encoder.save(tmp_path / "saved", portable=True)
    again = TextEncoder.from_pretrained(tmp_path / "saved", engine="tensorflow")
    texts = [str(text) for text in expected["texts"]]
    np.testing.assert_array_equal(again.encode(texts), encoder.encode(texts))
    np.testing.assert_array_equal(again.encode_query(texts), encoder.encode_query(texts))
    assert again.fingerprint == encoder.fingerprint


def skip_static(expected) -> None:
    if "token_ids" not in expected:
        pytest.skip("transformers has no static encoders")


@pytest.mark.parametrize("name", ["mpnet", "bert_concatenated", "gemma3_text"])
def test_litert_gives_the_same_vectors(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (attend, shared_inputs):  # so that some texts are long, and their attention computed in blocks
        monkeypatch.setattr(module, "LONG", 32)
    monkeypatch.setattr(attend, "BLOCK", 16)
    encoder = TextEncoder.from_pretrained(FIXTURES / name, engine="litert")
    encoder.runner.refresh()  # without a cache
    expected = np.load(FIXTURES / f"{name}.npz")
    for texts, embeddings in (("texts", "embeddings"), ("special_texts", "special_embeddings")):
        vectors = encoder.encode([str(text) for text in expected[texts]])
        np.testing.assert_allclose(vectors, expected[embeddings], atol=1e-5, rtol=0)
