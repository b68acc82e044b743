"""ALBERT's layers share their weights: engines, calibration and distillation see each use of them."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tfchain import Shrink
from tfchain.core.errors import InputError, ModelFolderError
from tfchain.models.encoders.config import TransformerConfig
from tfchain.models.encoders.encoder import Encoder
from tfchain.models.encoders.keras_weights import KerasWeights
from tfchain.models.engines.calibration import measure_input_ranges
from tfchain.models.engines.kernel_weights import make_kernel_weights
from tfchain.models.text_encoder import TextEncoder
from tfchain.models.weights.folder import to_transformer_config
from tfchain.optimization.layer_distillation import show_layers
from tfchain.optimization.shrink import shrink

FOLDER = Path(__file__).parents[3] / "parity" / "fixtures" / "albert"
IDS = {"token_ids": tf.constant([[2, 9, 8, 30, 3]]), "padding_mask": tf.ones((1, 5), tf.int32)}


@pytest.fixture(scope="module")
def text_encoder() -> TextEncoder:
    return TextEncoder.from_pretrained(FOLDER, engine="tensorflow")


def test_which_layers_share() -> None:
    shape = {"vocabulary_size": 9, "hidden_dim": 8, "num_heads": 2, "intermediate_dim": 8, "max_positions": 8}
    config = TransformerConfig(architecture="albert", num_layers=12, num_shared_layers=3, **shape)
    assert [config.find_distinct_layer(layer) for layer in range(12)] == [0] * 4 + [1] * 4 + [2] * 4
    with pytest.raises(InputError, match="`num_shared_layers` must be from 1 to the number of layers, 2"):
        TransformerConfig(architecture="albert", num_layers=2, num_shared_layers=3, **shape)


def test_hidden_states_of_each_use_are_shown(text_encoder: TextEncoder) -> None:
    encoder: Encoder = text_encoder.own_encoder
    _, *shown = show_layers(encoder, [0, 1, 2, 3])(IDS)
    hidden = encoder.get_layer("embeddings")(IDS["token_ids"])
    for number, states in enumerate(shown):
        hidden = encoder.get_layer(f"layer_{number // 2}")(hidden, tf.zeros(()))
        np.testing.assert_allclose(states, hidden, atol=1e-5)


def test_ranges_are_those_of_all_uses(text_encoder: TextEncoder) -> None:
    encoder: Encoder = text_encoder.own_encoder
    calibration = text_encoder.calibrate(["the quick fox"] * 8)
    found = measure_input_ranges(encoder, calibration)["layer_0/attention/query_key_value"]
    ids = tf.constant([calibration.token_ids[0]])
    first = encoder.get_layer("embeddings")(ids)
    second = encoder.get_layer("layer_0")(first, tf.zeros(()))
    inputs = np.concatenate([first[0], second[0]])
    np.testing.assert_allclose(found.low, inputs.min(axis=0), atol=1e-5)
    np.testing.assert_allclose(found.high, inputs.max(axis=0), atol=1e-5)
    np.testing.assert_allclose(found.mean_square, np.square(inputs).mean(axis=0), atol=1e-5)


def test_layers_cannot_be_left_out(text_encoder: TextEncoder) -> None:
    with pytest.raises(InputError, match="Shrink needs layers with weights of their own"):
        shrink(text_encoder, Shrink(layers=2))


def test_groups_of_several_layers_are_refused() -> None:
    values = {"model_type": "albert", "vocab_size": 9, "hidden_size": 8, "num_hidden_layers": 2, "inner_group_num": 2}
    with pytest.raises(ModelFolderError, match="must have one layer .* Received: inner_group_num=2"):
        to_transformer_config(values, Path("folder"))


def test_the_kernels_get_a_layer_for_each_use() -> None:
    encoder = TextEncoder.from_pretrained(FOLDER, engine="tensorflow").own_encoder
    weights = make_kernel_weights(encoder.config, KerasWeights(encoder))
    layers = list(weights.layers)
    assert [layers[0] is layer for layer in layers] == [True, True, False, False]
