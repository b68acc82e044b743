"""Models of late interaction made of encoders; those of folders are compared in tests/parity/test_small_late.py."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from tfchain.core.errors import InputError, ModelFolderError
from tfchain.models.text_encoder import TextEncoder
from tfchain.models.token_encoder import find_skipped_ids, load_token_encoder, make_token_encoder, register_markers

FIXTURES = Path(__file__).parents[1] / "parity" / "late_fixtures"


@pytest.fixture(scope="module")
def encoder(thin_model_path: Path) -> TextEncoder:
    return TextEncoder.from_pretrained(thin_model_path, engine="tensorflow")


def test_a_new_model_has_the_encoders_transformer_and_a_projection(encoder: TextEncoder) -> None:
    made = make_token_encoder(encoder, 6, query_length=8, document_length=12, seed=1)
    config = made.config
    assert (config.vector_dim, config.embedding_dim, config.tokens.num_vectors) == (6, 12 * 6, 12)
    assert (made.query_tokenizer.max_length, made.document_tokenizer.max_length) == (8, 12)
    own = encoder.own_encoder.backbone.get_weights()
    assert all(np.array_equal(*pair) for pair in zip(own, made.own_encoder.backbone.get_weights(), strict=True))
    vectors = made.encode_document("the cat sleeps").reshape(12, 6)
    lengths = np.linalg.norm(vectors, axis=1)
    count = len(made.tokenizer(["the cat sleeps"])[0])
    np.testing.assert_allclose(lengths, [1] * count + [0] * (12 - count), atol=1e-6)
    again = make_token_encoder(encoder, 6, query_length=8, document_length=12, seed=1)
    assert again.fingerprint == made.fingerprint != make_token_encoder(encoder, 6, seed=2).fingerprint


def test_what_no_model_can_be_made_of(encoder: TextEncoder) -> None:
    with pytest.raises(InputError, match="`dim` must be a whole number of at least 1"):
        make_token_encoder(encoder, 0)
    with pytest.raises(InputError, match="`query_length` must be a whole number of at least 4"):
        make_token_encoder(encoder, query_length=2)
    static = TextEncoder.from_pretrained(FIXTURES.parent / "fixtures" / "static")
    with pytest.raises(InputError, match="needs one of tfchain's own encoders of single texts, with layers"):
        make_token_encoder(static)


def test_documents_may_be_shorter_than_the_folder_says() -> None:
    made, _ = load_token_encoder(FIXTURES / "stanford", engine="tensorflow", document_length=10)
    assert made.document_tokenizer.max_length == 10
    assert made.config.tokens.num_vectors == 16  # an expanded query's


def test_an_expansion_by_an_unknown_token_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(FIXTURES / "roberta", folder)
    path = folder / "sentence_bert_config.json"
    values = json.loads(path.read_text())
    values["query_expansion"]["token"] = "[nowhere]"
    path.write_text(json.dumps(values))
    with pytest.raises(ModelFolderError, match=r"expands queries with \[nowhere\], which its tokenizer does not have"):
        load_token_encoder(folder)


def test_a_marker_in_the_vocabulary_becomes_one_token(encoder: TextEncoder) -> None:
    tokenizer = load_token_encoder(FIXTURES / "stanford", engine="tensorflow")[0].tokenizer.tokenizer
    assert tokenizer.tokenize("[unused0] s") == ["[unused0]", "s"]
    before = len(tokenizer)
    register_markers(tokenizer, ["[unused0]", "[Q] "])  # known already, and in no vocabulary
    assert len(tokenizer) == before
    assert find_skipped_ids(tokenizer, [".", "no such token"]) == (tokenizer.convert_tokens_to_ids("."),)
