"""Cross-encoders as text encoders: new heads, token types through every engine, and what is kept."""

from pathlib import Path

import numpy as np
import pytest

from tests.tiny_model import save_tiny_model
from tfchain import Reranker
from tfchain.core.errors import InputError
from tfchain.models.encoders.config import TransformerConfig
from tfchain.models.encoders.encoder import fingerprint_model
from tfchain.models.native_library import find_obstacle
from tfchain.models.pair_encoder import load_pair_encoder, make_pair_encoder, save_pair_encoder
from tfchain.models.text_encoder import TextEncoder
from tfchain.models.tokenizers.pairs import join_pair

FIXTURE = Path(__file__).parents[1] / "parity" / "reranker_fixtures" / "bert"
TEXTS = [join_pair("who does what", "the cat sleeps"), join_pair("a", "stocks fell on monday"), "a text alone"]


def test_a_new_head_keeps_the_transformer(tmp_path: Path) -> None:
    save_tiny_model(tmp_path / "bert", seed=1, num_layers=1)
    encoder = TextEncoder.from_pretrained(tmp_path / "bert", engine="tensorflow")

    made = make_pair_encoder(encoder, seed=3)

    weights = {weight.path: np.asarray(weight) for weight in made.own_encoder.weights}
    for weight in encoder.own_encoder.weights:
        np.testing.assert_array_equal(weights[weight.path], np.asarray(weight))
    assert made.encode(TEXTS).shape == (3, 1)
    assert made.fingerprint == make_pair_encoder(encoder, seed=3).fingerprint != make_pair_encoder(encoder).fingerprint


@pytest.mark.skipif(find_obstacle() is not None, reason="needs the int8 kernels")
def test_the_kernels_add_the_token_type_of_each_token() -> None:
    """The second text's type changes the output as much as in float32, where it is more than int8 rounds."""
    model, _ = load_pair_encoder(FIXTURE, engine="tensorflow")
    typed = model.tokenizer(TEXTS)
    size = model.config.transformer.vocabulary_size
    plain = [[number % size for number in ids] for ids in typed]
    assert plain != typed
    native = model.with_precision("int8", engine="native")
    for ids in (typed, plain):
        np.testing.assert_allclose(native.runner(ids), model.runner(ids), atol=0.03)
    assert np.abs(model.runner(typed) - model.runner(plain))[:2].min() > 0.1


def test_a_saved_pair_encoder_answers_as_before(tmp_path: Path) -> None:
    model, activation = load_pair_encoder(FIXTURE, engine="tensorflow")
    (tmp_path / "own").mkdir()
    model.save(tmp_path / "own")
    again = TextEncoder.from_pretrained(tmp_path / "own", engine="tensorflow")
    assert again.fingerprint == model.fingerprint
    np.testing.assert_array_equal(again.encode(TEXTS), model.encode(TEXTS))
    (tmp_path / "theirs").mkdir()
    save_pair_encoder(model, tmp_path / "theirs", activation=activation)
    theirs, kept = load_pair_encoder(tmp_path / "theirs", engine="tensorflow")
    assert kept == activation
    np.testing.assert_array_equal(theirs.encode(TEXTS), model.encode(TEXTS))


def test_a_head_keeps_its_dropout_when_tfchain_saves_it(tmp_path: Path) -> None:
    reranker = Reranker.from_pretrained(FIXTURE.parent / "roberta", engine="tensorflow")
    before = reranker.text_encoder.config
    assert before is not None
    assert before.head is not None
    assert (before.dense[0].dropout, before.head.dropout) == (0.1, 0.1)
    saved = reranker.save(tmp_path / "own")
    again = Reranker.load(saved, engine="tensorflow").text_encoder
    assert again.config == before
    assert again.encoder_fingerprint == reranker.text_encoder.encoder_fingerprint
    assert fingerprint_model(again.own_encoder) == fingerprint_model(reranker.text_encoder.own_encoder)


def test_token_types_need_a_table() -> None:
    with pytest.raises(InputError, match="'typed' for a model with two token types or more"):
        TransformerConfig(
            architecture="bert",
            vocabulary_size=9,
            hidden_dim=4,
            num_layers=1,
            num_heads=1,
            intermediate_dim=4,
            max_positions=8,
            pairs="typed",
        )
