"""A mean over layers: its value by hand, alone and in an encoder, its weights, and what training leaves of them."""

import dataclasses
import json
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfchain.core.errors import InputError
from tfchain.models.encoders.blocks.static import make_static_shape
from tfchain.models.encoders.config import EncoderConfig, TransformerConfig
from tfchain.models.encoders.encoder import Encoder
from tfchain.models.encoders.layer_config import LayerConfig
from tfchain.models.encoders.layer_mean import LayerMean
from tfchain.models.encoders.layer_weights import check_layer_weights

IDS = np.array([[2, 5, 7, 3], [2, 9, 3, 0]], dtype="int32")
MASK = np.array([[1, 1, 1, 1], [1, 1, 1, 0]], dtype="int32")
STATES = [np.full((1, 2, 3), value, dtype="float32") for value in (100.0, 1.0, 3.0)]
PRE_NORM = LayerConfig(norm_place="pre", embedding_norm=False, final_norm=True)


def average(config: EncoderConfig, weights: tuple[float, ...], **changes: Any) -> EncoderConfig:
    shape = dataclasses.replace(config.transformer, layer_weights=weights, **changes)
    return dataclasses.replace(config, transformer=shape)


def test_the_mean_is_the_weighted_sum_divided_by_the_weights_sum() -> None:
    layer = LayerMean([0.0, 1.0, 3.0])
    np.testing.assert_allclose(layer(STATES), np.full((1, 2, 3), 2.5))  # (1 * 1 + 3 * 3) / 4
    np.testing.assert_allclose(LayerMean([1.0, 0.0, 1.0])(STATES), np.full((1, 2, 3), 51.5))
    assert layer.weights == []
    assert layer.compute_output_shape([(None, 2, 3)] * 3) == (None, 2, 3)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert again.get_config() == layer.get_config()
    np.testing.assert_array_equal(again(STATES), layer(STATES))


@pytest.mark.parametrize(
    "changes", [{}, {"architecture": "qwen3", "num_token_types": 0, "layer": PRE_NORM}], ids=["post", "pre"]
)
def test_an_encoder_averages_the_embeddings_and_the_layers_and_the_last_after_its_norm(
    small_config: EncoderConfig, changes: dict[str, Any]
) -> None:
    """By hand: the encoder's parts, one after the other."""
    encoder = Encoder(average(small_config, (1.0, 2.0, 5.0), **changes))
    block = encoder.get_layer("attention_mask")(MASK)
    shared = {"padding": block, "bias": block, "local_bias": block} if changes else block
    first = encoder.get_layer("embeddings")(IDS)
    second = encoder.get_layer("layer_0")(first, shared, IDS)
    third = encoder.get_layer("layer_1")(second, shared, IDS)
    if changes:
        third = encoder.get_layer("final_norm")(third)
    expected = (np.asarray(first) + 2 * np.asarray(second) + 5 * np.asarray(third)) / 8

    inputs = {"token_ids": IDS, "padding_mask": MASK}
    np.testing.assert_allclose(encoder.backbone(inputs), expected, atol=1e-6)
    vectors = (expected * MASK[..., None]).sum(axis=1) / MASK.sum(axis=1, keepdims=True)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    np.testing.assert_allclose(encoder(inputs), vectors, atol=1e-6)


def test_training_changes_the_layers_that_count_and_not_the_weights_of_the_mean(small_config: EncoderConfig) -> None:
    encoder = Encoder(average(small_config, (1.0, 3.0, 0.0)))
    plain = Encoder(small_config)
    assert [weight.path for weight in encoder.weights] == [weight.path for weight in plain.weights]
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(encoder({"token_ids": IDS, "padding_mask": MASK}, training=True) * np.arange(8.0))
    gradients = tape.gradient(loss, [weight.value for weight in encoder.weights])
    parts = [weight.path.split("/")[0] for weight in encoder.weights]
    moved = {part: gradient is not None for part, gradient in zip(parts, gradients, strict=True)}
    assert moved == {"embeddings": True, "layer_0": True, "layer_1": False}


def test_an_encoder_in_bfloat16_averages_in_float32(small_config: EncoderConfig) -> None:
    encoder = Encoder(average(small_config, (1.0, 1.0, 1.0)), dtype="mixed_bfloat16")
    assert encoder.backbone.output.dtype == "float32"
    again = Encoder.from_config(encoder.get_config())
    again.set_weights(encoder.get_weights())
    inputs = {"token_ids": IDS, "padding_mask": MASK}
    np.testing.assert_array_equal(again(inputs), encoder(inputs))


def test_the_weights_are_plain_values_of_the_shape(small_config: EncoderConfig) -> None:
    plain, shape = small_config.transformer, average(small_config, (0.0, 0.1, 0.2)).transformer
    assert "layer_weights" not in plain.to_dict()
    assert shape.layer_weights == (0.0, float(np.float32(0.1)), float(np.float32(0.2)))  # as a file of weights has them
    assert TransformerConfig(**json.loads(json.dumps(shape.to_dict()))) == shape
    assert check_layer_weights([], 2) == ()


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ((1.0, 1.0), "one for each layer's, 3; .* Received: 2 weights for 2 layers"),
        ((1.0, float("nan"), 1.0), "must be finite, and not add up to 0"),
        ((1.0, 1e300, 1.0), "must be finite"),
        (("a", "b", "c"), "must be numbers"),
        ((1.0, -2.0, 1.0), r"not add up to 0: .*layer_weights=\(1.0, -2.0, 1.0\)"),
    ],
)
def test_weights_without_a_mean_are_refused(small_config: EncoderConfig, weights: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        average(small_config, weights)


def test_a_static_encoder_has_no_layers_to_average() -> None:
    with pytest.raises(InputError, match="a static encoder has none"):
        average(make_static_shape(5, 4, normalize=False), (1.0,))
