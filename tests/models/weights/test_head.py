"""Encoders with a task's head: what comes out, and folders that keep them."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from tfchain.core.errors import InputError
from tfchain.models.encoders.config import EncoderConfig
from tfchain.models.encoders.dense_config import DenseConfig
from tfchain.models.encoders.encoder import Encoder
from tfchain.models.text_encoder import TextEncoder
from tfchain.optimization.recipes import ReduceDimensions
from tfchain.optimization.reduce import reduce_dimensions

TEXTS = ["the cat sleeps", "who runs", "你好"]


def make_with_head(tiny_model_path: Path, *, normalize: bool = True) -> tuple[TextEncoder, np.ndarray, np.ndarray]:
    """A text encoder with a head of three outputs, and the head's kernel and bias."""
    plain = TextEncoder.from_pretrained(tiny_model_path, engine="tensorflow")
    head = DenseConfig(in_dim=16, out_dim=3, activation="linear")
    encoder = Encoder(dataclasses.replace(plain.own_encoder.config, normalize=normalize, head=head))
    random = np.random.default_rng(0)
    kernel, bias = random.normal(size=(16, 3)).astype("float32"), random.normal(size=3).astype("float32")
    encoder.set_weights([*plain.own_encoder.get_weights(), kernel, bias])
    return plain.with_encoder(encoder), kernel, bias


def test_a_head_multiplies_the_normalized_vectors(tiny_model_path: Path) -> None:
    made, kernel, bias = make_with_head(tiny_model_path)
    vectors = TextEncoder.from_pretrained(tiny_model_path, engine="tensorflow").encode(TEXTS)
    np.testing.assert_allclose(made.encode(TEXTS), vectors @ kernel + bias, atol=1e-5)
    assert made.embedding_dim == 3


@pytest.mark.torch
@pytest.mark.parametrize("normalize", [True, False])
def test_sentence_transformers_reads_a_saved_head(tiny_model_path: Path, tmp_path: Path, normalize: bool) -> None:
    from sentence_transformers import SentenceTransformer

    made, _, _ = make_with_head(tiny_model_path, normalize=normalize)
    made.save(tmp_path, portable=True)
    found = SentenceTransformer(str(tmp_path), device="cpu").encode(TEXTS)
    np.testing.assert_allclose(found, made.encode(TEXTS), atol=1e-5)


@pytest.mark.parametrize("normalize", [True, False])
def test_a_saved_head_is_read_as_a_head_again(tiny_model_path: Path, tmp_path: Path, normalize: bool) -> None:
    made, _, _ = make_with_head(tiny_model_path, normalize=normalize)
    made.save(tmp_path, portable=True)
    again = TextEncoder.from_pretrained(tmp_path, engine="tensorflow")
    assert again.own_encoder.config == made.own_encoder.config
    assert again.fingerprint == made.fingerprint
    np.testing.assert_array_equal(again.encode(TEXTS), made.encode(TEXTS))
    kinds = [module["type"].rsplit(".", 1)[-1] for module in json.loads((tmp_path / "modules.json").read_text())]
    assert kinds == ["Transformer", "Pooling", *["Normalize"] * normalize, "Dense"]


def test_configurations_without_a_head_are_written_as_before(tiny_model_path: Path) -> None:
    config = TextEncoder.from_pretrained(tiny_model_path, engine="tensorflow").own_encoder.config
    assert set(config.to_dict()) == {"transformer", "pooling", "dense", "normalize"}
    assert EncoderConfig.from_dict(config.to_dict()).head is None


def test_a_head_of_another_width_is_refused(tiny_model_path: Path) -> None:
    config = TextEncoder.from_pretrained(tiny_model_path, engine="tensorflow").own_encoder.config
    with pytest.raises(InputError, match="`head` must take vectors of the encoder's width, 16"):
        dataclasses.replace(config, head=DenseConfig(in_dim=15, out_dim=3))


def test_the_outputs_of_a_head_are_not_reduced(tiny_model_path: Path) -> None:
    made, _, _ = make_with_head(tiny_model_path)
    with pytest.raises(InputError, match="this encoder ends in a head, whose outputs all count"):
        reduce_dimensions(made, ReduceDimensions(2), TEXTS)
