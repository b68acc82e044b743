"""The layers of the towers: values by hand, and the round trip of their configurations."""

import keras
import numpy as np
import pytest

from tfchain.models.images.layers import (
    Attention,
    AttentionPool,
    FeedForward,
    Patches,
    Positions,
    TowerLayer,
    apply_activation,
)


def test_patches_are_cut_row_by_row() -> None:
    pixels = np.arange(2 * 5 * 3, dtype="float32").reshape(1, 2, 5, 3)  # the fifth column makes no patch
    patches = np.array(Patches(2)(pixels))
    assert patches.shape == (1, 2, 12)
    np.testing.assert_array_equal(patches[0, 0], [0, 1, 2, 3, 4, 5, 15, 16, 17, 18, 19, 20])


def test_a_class_token_comes_first() -> None:
    layer = Positions(3, has_class=True)
    layer.build((None, 2, 4))
    layer.class_token.assign([1.0, 2.0, 3.0, 4.0])
    layer.table.assign(np.full((3, 4), 10.0))
    found = np.array(layer(np.zeros((1, 2, 4), "float32")))
    np.testing.assert_array_equal(found, [[[11, 12, 13, 14], [10] * 4, [10] * 4]])


def test_attention_is_the_mean_of_values_where_all_scores_are_equal() -> None:
    layer = Attention(1, 2)
    layer.build((None, 3, 2))
    eye = np.eye(2, dtype="float32")
    layer.set_weights([eye * 0, np.zeros(2), eye, np.zeros(2), eye, np.zeros(2), eye, np.zeros(2)])
    values = np.array([[[1.0, 2.0], [3.0, 4.0], [8.0, 0.0]]], "float32")
    np.testing.assert_allclose(np.array(layer(values, values))[0], [[4.0, 2.0]] * 3, atol=1e-6)
    masked = np.array(layer(values, values, np.array([[[[0, 0, -1e9]]]], "float32")))
    np.testing.assert_allclose(masked[0], [[2.0, 3.0]] * 3, atol=1e-6)


def test_activations_are_those_of_the_checkpoints() -> None:
    one = np.ones(1, "float32")
    expected = {"quick_gelu": 1 / (1 + np.exp(-1.702)), "gelu": 0.8413447, "gelu_tanh": 0.8411920}
    for name, value in expected.items():
        np.testing.assert_allclose(np.array(apply_activation(one, name)), value, atol=1e-6)


@pytest.mark.parametrize(
    "layer",
    [
        Patches(2, name="a"),
        Positions(5, True, name="b"),
        Attention(2, 8, 0.1, name="c"),
        FeedForward(8, 16, "gelu", name="d"),
        TowerLayer(8, 2, 16, "quick_gelu", 1e-5, "post", 0.1, name="e"),
        AttentionPool(8, 2, 16, "gelu_tanh", 1e-6, name="f"),
    ],
)
def test_a_layer_survives_its_configuration(layer: keras.layers.Layer) -> None:
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert type(again) is type(layer)
    assert again.get_config() == layer.get_config()


def test_products_are_dense_layers() -> None:
    layer = TowerLayer(8, 2, 16, "quick_gelu", 1e-5)
    layer.build((None, 3, 8))
    dense = [part.path for part in layer._flatten_layers() if isinstance(part, keras.layers.Dense)]
    assert len(dense) == 6
