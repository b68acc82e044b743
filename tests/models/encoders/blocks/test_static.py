"""A static encoder is a table: its life from training to a version, without layers."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tfchain import NeuralSearchChain, Quantize, Shrink
from tfchain.core.errors import InputError
from tfchain.models.encoders.anatomy import fingerprint_weights, list_shapes
from tfchain.models.encoders.blocks.static import make_static_shape
from tfchain.models.encoders.encoder import Encoder, fingerprint_model
from tfchain.models.encoders.keras_weights import KerasWeights
from tfchain.models.text_encoder import TextEncoder
from tfchain.tasks.text_graph import TextGraph

FOLDER = Path(__file__).parents[3] / "parity" / "fixtures" / "static"
TEXTS = ["the quick brown fox jumps", "how do I merge two sorted lists", "stocks fell on monday", "", "a lazy dog"]
PAIRS = [("fox", "the quick brown fox jumps"), ("lists", "how do I merge two sorted lists"), ("dog", "a lazy dog")] * 4


@pytest.fixture
def text_encoder() -> TextEncoder:
    return TextEncoder.from_pretrained(FOLDER)


def test_it_is_the_mean_of_the_rows_of_a_texts_tokens() -> None:
    encoder = Encoder(make_static_shape(4, 2, normalize=False))
    encoder.set_weights([np.array([[1, 2], [3, 0], [0, 4], [9, 9]], "float32")])
    inputs = {
        "token_ids": np.array([[0, 1, 2], [2, 3, 3], [3, 3, 3]]),
        "padding_mask": np.array([[1, 1, 1], [1, 0, 0], [0, 0, 0]]),
    }
    np.testing.assert_allclose(np.asarray(encoder(inputs)), [[4 / 3, 2], [0, 4], [0, 0]], atol=1e-6)


def test_its_weights_and_fingerprint_are_known_without_keras(text_encoder: TextEncoder) -> None:
    encoder = text_encoder.own_encoder
    listed = list(list_shapes(encoder.config).items())
    assert listed == [(weight.path, tuple(weight.shape)) for weight in encoder.weights]
    assert fingerprint_weights(encoder.config, KerasWeights(encoder).__getitem__) == fingerprint_model(encoder)


@pytest.mark.parametrize("precision", ["float32", "float16", "int8", "bfloat16"])
def test_its_graph_answers_texts_as_python_does(text_encoder: TextEncoder, precision: Any) -> None:
    made = text_encoder.with_precision(precision)
    graph = TextGraph(made, name="static")
    found = graph.signatures["embed"](np.array(TEXTS, dtype=object))["embedding"].numpy()
    np.testing.assert_allclose(found, made.encode(TEXTS), atol=1e-2 if precision == "bfloat16" else 1e-6)


def test_it_learns_from_pairs(eager: None) -> None:
    chain = NeuralSearchChain.from_pretrained(FOLDER)
    before = chain.encode(["fox", "the quick brown fox jumps"])
    chain.fit(PAIRS, epochs=2, batch_size=6, learning_rate=0.02)
    after = chain.encode(["fox", "the quick brown fox jumps"])
    assert after[0] @ after[1] > before[0] @ before[1] + 0.05
    chain.add(TEXTS)
    assert chain.search("fox").hits[0].text == "the quick brown fox jumps"


def test_recipes_that_need_layers_say_so(text_encoder: TextEncoder) -> None:
    chain = NeuralSearchChain.from_pretrained(FOLDER)
    with pytest.raises(InputError, match="Shrink needs an encoder with layers. Received: a static one"):
        chain.compress([Shrink(layers=1)])
    (report,) = chain.compress([Quantize("int8")]).candidates
    assert report.precision == "int8"
    assert np.sum(chain.encode(TEXTS[:1]) * text_encoder.encode(TEXTS[:1])) > 0.999


def test_a_tokenizer_that_adds_special_tokens_is_refused(text_encoder: TextEncoder, tiny_model_path: Path) -> None:
    with_special = TextEncoder.from_pretrained(tiny_model_path, engine="tensorflow").tokenizer.source
    encoder = Encoder(make_static_shape(len(with_special), 4, normalize=True))
    with pytest.raises(InputError, match="must add no special tokens.* Received: one that adds 2"):
        TextEncoder(with_special, encoder)


def test_a_chain_of_it_is_saved_and_loaded(tmp_path: Path, text_encoder: TextEncoder) -> None:
    chain = NeuralSearchChain.from_pretrained(FOLDER, max_length=7)
    chain.add(TEXTS)
    again = NeuralSearchChain.load(chain.save(tmp_path / "chain"))
    assert [hit.text for hit in again.search("sorted lists").hits] == [
        hit.text for hit in chain.search("sorted lists").hits
    ]
    chain.text_encoder.save(
        tmp_path / "portable" if (tmp_path / "portable").mkdir() is None else tmp_path, portable=True
    )
    assert json.loads((tmp_path / "portable" / "tokenizer.json").read_text())["truncation"]["max_length"] == 7
    assert TextEncoder.from_pretrained(tmp_path / "portable").tokenizer.max_length == 7
