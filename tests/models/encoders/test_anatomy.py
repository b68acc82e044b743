"""What is known of an encoder from its configuration alone, beside the Keras model."""

import dataclasses
from typing import Any

import numpy as np
import pytest

from tfchain.models.encoders.anatomy import fingerprint_weights, list_shapes
from tfchain.models.encoders.config import EncoderConfig
from tfchain.models.encoders.dense_config import DenseConfig
from tfchain.models.encoders.encoder import Encoder, fingerprint_model
from tfchain.models.encoders.keras_weights import KerasWeights

SHAPES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "plain": ({}, {}),
    "nothing optional": ({"num_token_types": 0}, {"normalize": False}),
    "narrow tokens, relative positions, unequal layers": (
        {
            "architecture": "mpnet", "token_embedding_dim": 4, "relative_attention_buckets": 8, "num_layers": 3,
            "num_heads": (2, 1, 3), "head_dim": 5, "intermediate_dim": (12, 7, 9), "position_offset": 2,
        },
        {},
    ),
    "a mean over layers": ({"layer_weights": (0.0, 1.0, 3.0)}, {}),
    "token types too": ({"token_embedding_dim": 4, "relative_attention_buckets": 8}, {}),
    "heads": (
        {},
        {"dense": (DenseConfig(in_dim=8, out_dim=6), DenseConfig(in_dim=6, out_dim=3, use_bias=False))},
    ),
    "heads with dropout": (
        {},
        {
            "dense": (DenseConfig(in_dim=8, out_dim=6, dropout=0.1), DenseConfig(in_dim=6, out_dim=3)),
            "head": DenseConfig(in_dim=3, out_dim=2, dropout=0.2),
        },
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SHAPES)
def test_weights_and_fingerprint_are_those_of_the_keras_model(small_config: EncoderConfig, name: str) -> None:
    inner, outer = SHAPES[name]
    config = dataclasses.replace(
        small_config, transformer=dataclasses.replace(small_config.transformer, **inner), **outer
    )
    encoder = Encoder(config)
    assert list(list_shapes(config).items()) == [(weight.path, tuple(weight.shape)) for weight in encoder.weights]
    weights = KerasWeights(encoder)
    before = fingerprint_weights(config, weights.__getitem__)
    assert before == fingerprint_model(encoder)
    encoder.weights[-1].assign(np.asarray(encoder.weights[-1]) + 1)
    assert before != fingerprint_weights(config, weights.__getitem__) == fingerprint_model(encoder)
